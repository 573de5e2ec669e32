"""Check that the paths, links and commands that the documentation names exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
# A path from the root: `chatbot/x.py`, `tests/y/`, `Procfile`. A file name alone (`x.py`) is not checked.
PATH = re.compile(
    r"(?:chatbot|workers|tests|benchmarks|docs|deploy|migrations)/[\w./-]*|config\.py|Procfile|\.env\.example"
)
MODULE = re.compile(r"python -m ((?:workers|benchmarks|chatbot|tests)[\w.]*)")
FLASK_COMMAND = re.compile(r"\bflask ([a-z]+) ([a-z-]+)")
MAKE_TARGET = re.compile(r"\bmake ([a-z-]+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`]+`", re.MULTILINE | re.DOTALL)


def snippets(page: Path) -> Iterator[str]:
    """Yield the code blocks and inline code of a page, on one line each."""
    for found in CODE.findall(page.read_text(encoding="utf-8")):
        yield " ".join(found.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_code_exists(page: Path) -> None:
    inline = [found.strip("`") for found in snippets(page)]
    wanted = {text.split("::")[0] for text in inline if PATH.fullmatch(text.split("::")[0])}
    assert {text for text in wanted if not (ROOT / text).exists()} == set()


def test_every_page_that_the_code_names_exists() -> None:
    wanted: set[str] = set()
    for folder in ("chatbot", "workers", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            wanted |= set(re.findall(r"\bdocs/[\w./-]+\.md", path.read_text(encoding="utf-8")))
    assert {name for name in wanted if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_is_run_exists(page: Path) -> None:
    names = {name.rstrip(".") for found in snippets(page) for name in MODULE.findall(found)}
    places = {name: ROOT / name.replace(".", "/") for name in names}
    assert [n for n, p in places.items() if not (p.with_suffix(".py").exists() or p.is_dir())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {name for found in snippets(page) for name in MAKE_TARGET.findall(found)} <= targets


def test_every_flask_command_exists(app: Flask) -> None:
    wanted = {
        pair for page in PAGES for found in snippets(page) for pair in FLASK_COMMAND.findall(found)
    }
    groups = {name: getattr(group, "commands", {}) for name, group in app.cli.commands.items()}
    # `db` is Flask-Migrate's group, which is loaded from its entry point.
    missing = {(g, c) for g, c in wanted if g != "db" and c not in groups.get(g, {})}
    assert missing == set()
    assert ("campaigns", "create") in wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}
            assert anchor in slugs, link


def test_decisions_are_numbered_dated_complete_and_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    numbers = [page.name[:4] for page in RECORDS]
    assert numbers == sorted(set(numbers))  # with gaps: numbers are reserved for parallel work
    for page in RECORDS:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}. ")
        assert re.search(r"^Date: 20\d\d-\d\d(-\d\d)?$", text, re.MULTILINE)
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What", "Why", "Cost"]
        assert f"({page.name})" in index


def test_the_glossary_names_classes_that_exist() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "chatbot").rglob("*.py"))
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("## Other names")[0]
    names = set(re.findall(r"`([A-Z][a-z]+\w*[a-z])`", page))
    assert len(names) > 20
    assert [name for name in sorted(names) if f"class {name}" not in source] == []

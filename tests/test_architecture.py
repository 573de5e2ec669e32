"""The rules of the house, read from the source: who imports whom, and what stands nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A line may import what stands before it; names on one line, not each other.
ORDER = [
    ["config"],
    ["chatbot.core"],
    ["chatbot.extensions"],
    ["chatbot.accounts"],
    ["chatbot.contacts"],
    ["chatbot.channels"],
    ["chatbot.message_templates"],
    ["chatbot.delivery"],
    ["chatbot.billing"],
    ["chatbot.conversations"],
    ["chatbot.segments"],
    ["chatbot.bot", "chatbot.campaigns"],
    ["chatbot.webhooks"],
    ["chatbot.privacy", "chatbot.realtime", "chatbot.ops", "chatbot.panel", "chatbot.demo"],
    ["chatbot.*"],  # the factory's modules: models, access, pages, cli and their like
    ["chatbot"],
    ["workers", "wsgi"],
]
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
# Panel pages are composed of what ops reads; single modules beside the packages make the factory,
# and may use each other (that they do so in no circle, another test says).
NEIGHBOURS = {("chatbot.panel", "chatbot.ops")}
READS_ENVIRONMENT = {"config", "workers.launch"}
MOST_LINES = 300
MOST_LINES_OF = {"config.py": 450}  # a list of settings, and the one place for them


@cache
def sources() -> dict[str, Path]:
    """Every module of the product by its name."""
    paths = [ROOT / "config.py", ROOT / "wsgi.py"]
    for folder in ("chatbot", "workers"):
        paths += sorted((ROOT / folder).rglob("*.py"))
    found = {}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def imports_in(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom) and inner.module:
            assert inner.level == 0, "relative imports hide who is imported"
            for alias in inner.names:
                whole = f"{inner.module}.{alias.name}"
                yield whole if whole in sources() else inner.module


def ours(module: str) -> set[str]:
    return {name for name in imports_in(tree(module)) if name in sources() and name != module}


def feature(module: str) -> str:
    first, *rest = module.split(".")
    head = ".".join([first, *rest[:1]])
    if first != "chatbot" or head == "chatbot":
        return first
    if head in PLACE or head == "chatbot.simulator":
        return head
    return "chatbot.*" if len(rest) == 1 and sources()[module].name != "__init__.py" else head


MODULES = sorted(sources())
PRODUCT = [m for m in MODULES if not m.startswith("chatbot.simulator")]


@pytest.mark.parametrize("module", PRODUCT)
def test_imports_go_one_way(module: str) -> None:
    here = feature(module)
    for used in sorted(ours(module)):
        there = feature(used)
        if there == here or (here, there) in NEIGHBOURS:
            continue
        if used == "chatbot" and here != "chatbot":
            assert PLACE[here] > PLACE["chatbot"], f"{module} imports the factory"
        assert PLACE[there] < PLACE[here], f"{module} imports {used}, which stands right of it"


def test_every_feature_has_its_place_in_the_order() -> None:
    assert {feature(m) for m in PRODUCT} <= set(PLACE)
    packages = {f"chatbot.{p.parent.name}" for p in (ROOT / "chatbot").glob("*/__init__.py")}
    assert packages - {"chatbot.simulator"} <= set(PLACE)


@pytest.mark.parametrize("module", [m for m in PRODUCT if m.endswith(".routes")])
def test_no_page_imports_the_factory_or_another_features_page(module: str) -> None:
    assert not {used for used in ours(module) if feature(used) in ("chatbot", "chatbot.*")}
    doors = {m for m in ours(module) if m.endswith((".routes", ".jobs", ".cli"))}
    assert doors == set()


@pytest.mark.parametrize("module", [m for m in PRODUCT if ".service" in m or ".queries" in m])
def test_rooms_know_neither_doors_nor_requests(module: str) -> None:
    assert not {m for m in ours(module) if m.endswith((".routes", ".jobs", ".cli", ".forms"))}
    names = {
        alias.name
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and node.module == "flask"
        for alias in node.names
    }
    assert not names & {"request", "session", "g", "Blueprint", "redirect"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way, module))
        if module not in done:
            for used in sorted(ours(module)):
                visit(used, (*way, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top_except_in_the_factory(module: str) -> None:
    for function in ast.walk(tree(module)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if module == "chatbot" and function.name == "create_app":
            continue
        inside = [n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)]
        assert not inside, f"{module}.{function.name} imports in line {inside[0].lineno}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("chatbot.simulator")])
def test_the_simulator_knows_nothing_of_us(module: str) -> None:
    others = {m for m in ours(module) if not m.startswith("chatbot.simulator")}
    assert others == set()


@pytest.mark.parametrize("module", MODULES)
def test_only_the_settings_read_the_environment(module: str) -> None:
    if module in READS_ENVIRONMENT or module.startswith("chatbot.simulator"):
        return
    for node in ast.walk(tree(module)):
        is_environ = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if is_environ and getattr(node.value, "id", "") == "request":
            continue  # a request's, which is WSGI's
        named = isinstance(node, ast.ImportFrom) and node.module == "os"
        assert not is_environ, f"line {getattr(node, 'lineno', 0)}"
        if named:
            assert not {alias.name for alias in node.names} & {"environ", "getenv"}


FORBIDDEN_MODULES = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "jsonpickle"}
FORBIDDEN_CALLS = {"flushall", "flushdb"}
REDIS_NAMES = {"client", "redis", "connection", "pipe", "direct", "_client", "_read_client",
               "_write_client", "_direct"}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_nothing_unpickles_and_nothing_scans_or_empties_redis(module: str) -> None:
    used = {name.split(".")[0] for name in imports_in(tree(module))}
    assert not used & FORBIDDEN_MODULES
    for node in ast.walk(tree(module)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        assert node.func.attr not in FORBIDDEN_CALLS, f"line {node.lineno}"
        owner = node.func.value
        while isinstance(owner, ast.Call):
            owner = owner.func
        name = getattr(owner, "attr", getattr(owner, "id", ""))
        if node.func.attr == "keys" and name in REDIS_NAMES:
            raise AssertionError(f"KEYS in line {node.lineno}")
        if node.func.attr == "execute_command" and node.args:
            first = node.args[0]
            word = str(first.value).upper() if isinstance(first, ast.Constant) else ""
            assert word not in ("KEYS", "FLUSHALL", "FLUSHDB"), f"line {node.lineno}"


@pytest.mark.parametrize("folder", ["chatbot", "workers", "tests"])
def test_no_file_is_longer_than_it_should_be(folder: str) -> None:
    paths = [*(ROOT / folder).rglob("*.py"), ROOT / "config.py", ROOT / "wsgi.py"]
    long = {
        name: lines
        for path in paths
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > MOST_LINES_OF.get(name := str(path.relative_to(ROOT)), MOST_LINES)
    }
    assert long == {}


def test_what_guards_the_rules_can_fail(tmp_path: Path) -> None:
    """The readers of this file see what they are to see."""
    code = "def f():\n    import pickle\n    from chatbot.core import db\n    client.keys('*')\n"
    parsed = ast.parse(code)
    assert set(imports_in(parsed)) == {"pickle", "chatbot.core.db"}
    assert feature("chatbot.core.redis.pool") == "chatbot.core"
    assert feature("chatbot.access") == "chatbot.*"
    assert feature("chatbot") == "chatbot"
    assert feature("workers.run") == "workers"

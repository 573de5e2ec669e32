"""The catalogues are complete, agree with the code and with what is compiled."""

from __future__ import annotations

import ast
import io
import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.core.i18n import ERROR_CLASSES, extract_table_sentences
from chatbot.extensions import LOCALES
from tests.support.clients import make_client, make_signed_in_client

ROOT = Path(__file__).parents[1]
CATALOGUES = ROOT / "chatbot" / "translations"
PLACEHOLDER = re.compile(r"%\(\w+\)[sdr]|%%|\{\{.*?\}\}")
JINJA = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# The columns of a file, and the class of a page.
NO_TEXT = re.compile(r"<code>.*?</code>|{% block page_class %}.*?{% endblock %}")
ATTRIBUTE = re.compile(r'(?:aria-label|title|placeholder|alt)="[^"]*?([A-Za-zÀ-ÿ]{2,})')
TEXT = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
# Names, which are the same in every language.
NAMES = {"Prosa", "Redis", "English", "Português", "CSV", "WhatsApp", "CPF", "CNPJ"}
KEYWORDS = {"_": None, "_l": None, "gettext": None, "ngettext": (1, 2), "lazy_gettext": None}


@cache
def extract_sentences() -> dict[str, str]:
    """Each sentence of the code, and one file in which it stands."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(str(ROOT / "chatbot"), methods, options, KEYWORDS)
    return {first_form(message): file for file, _line, message, *_rest in found}


def first_form(message: object) -> str:
    return str(message[0] if isinstance(message, tuple | list) else message)


def folder(locale: str) -> Path:
    return CATALOGUES / locale / "LC_MESSAGES"


@cache
def catalogue(locale: str) -> Catalog:
    return read_po(io.BytesIO((folder(locale) / "messages.po").read_bytes()), locale=locale)


def texts(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_catalogue_has_the_sentences_of_the_code_and_no_others(locale: str) -> None:
    known = {first_form(message.id) for message in catalogue(locale) if message.id}
    missing = {
        sentence: file for sentence, file in extract_sentences().items() if sentence not in known
    }
    assert missing == {}, "run `make translations`, then translate"
    assert known - set(extract_sentences()) == set(), "run `make translations`"


def test_every_sentence_is_translated() -> None:
    untranslated = [
        message.id
        for message in catalogue("pt_BR")
        if message.id and (not all(texts(message)) or message.fuzzy)
    ]
    assert untranslated == []


@pytest.mark.parametrize("locale", LOCALES)
def test_placeholders_agree(locale: str) -> None:
    for message in catalogue(locale):
        wanted = set(PLACEHOLDER.findall(first_form(message.id)))
        for text in filter(None, texts(message)) if message.id else ():
            assert set(PLACEHOLDER.findall(text)) == wanted, text


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_is_written(locale: str) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(locale))
    assert (folder(locale) / "messages.mo").read_bytes() == compiled.getvalue(), "make translations"


def test_no_refusal_escapes_the_catalogue() -> None:
    """An error whose sentence is put together at run time could never be translated."""
    for path in sorted((ROOT / "chatbot").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and getattr(call.func, "id", "") in ERROR_CLASSES
                and call.args
            ):
                sentence = call.args[0]
                assert not isinstance(sentence, ast.JoinedStr | ast.BinOp), f"{path}:{call.lineno}"


def test_tables_of_reasons_are_found() -> None:
    source = 'A = 1\nREASONS: dict[str, str] = {\n    "a": "First.",\n    **OTHERS,\n}\n'
    assert list(extract_table_sentences(source)) == [(3, "First.")]
    assert "The area code (DDD) is missing: put it before the number." in extract_sentences()


def test_templates_hold_no_words_outside_the_catalogue() -> None:
    for path in sorted((ROOT / "chatbot" / "templates").rglob("*.html")):
        page = JINJA.sub(" ", NO_TEXT.sub("", path.read_text()))
        read = [*ATTRIBUTE.findall(page), *TEXT.findall(re.sub(r"<[^>]*>", "\n", page))]
        assert set(read) - NAMES == set(), path


@pytest.mark.parametrize(
    ("wanted", "cookie", "language"),
    [
        (None, None, "pt-BR"),
        ("pt-BR,pt;q=0.9,en;q=0.8", None, "pt-BR"),
        ("pt-PT", None, "pt-BR"),
        ("en-US,en;q=0.9,pt;q=0.5", None, "en"),
        ("fr-FR,en;q=0.5", None, "en"),
        ("fr-FR", None, "pt-BR"),
        ("*", None, "pt-BR"),
        ("en", "pt_BR", "pt-BR"),
        ("pt-BR", "en", "en"),
        ("pt-BR", "klingon", "pt-BR"),
    ],
)
def test_the_page_speaks_the_readers_language(
    app: Flask, wanted: str | None, cookie: str | None, language: str
) -> None:
    client = make_client(app)
    if cookie:
        client.set_cookie("locale", cookie)
    page = client.get("/login", headers={"Accept-Language": wanted} if wanted else {}).text
    assert f'<html lang="{language}"' in page
    assert ("Entrar" in page) == (language == "pt-BR")


def test_the_switch_is_remembered_and_leads_back(app: Flask) -> None:
    client, _ = make_signed_in_client(app, Role.ADMIN)
    answer = client.post("/language", data={"locale": "en", "next": "/users/?x=1"})
    assert (answer.status_code, answer.location) == (303, "/users/?x=1")
    assert "People who can sign in" in client.get("/users/").text
    client.post("/language", data={"locale": "pt_BR", "next": "//evil.example"})
    assert "Quem pode entrar" in client.get("/users/").text

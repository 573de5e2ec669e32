from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.csv_writer import escape_cell, render_csv, unescape_cell

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@x",
    "Ana,=1+1",
    "Ana;=1+1",
    'Ana, "=1+1',
    "a\n=1",
    "a\t@x",
    "\t=1",
    "＝1",
)


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONE])
def test_no_reader_finds_a_formula(text: str, delimiter: str, quoting: int) -> None:
    written = "".join(render_csv(["Nome", "Obs"], [["x", text], [text, "x"]])).removeprefix(
        "\ufeff"
    )
    lines = csv.reader(io.StringIO(written), delimiter=delimiter, quoting=quoting)
    cells = [cell.strip(' \t"') for line in lines for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "＝"))]


@given(st.text(alphabet="ab=+-@'\",; \t\n\r＝\u00a0"))
def test_what_is_escaped_is_read_unchanged(text: str) -> None:
    assert unescape_cell(escape_cell(text)) == text


def test_text_without_a_formula_is_written_as_it_is() -> None:
    for text in ("Ana d'Ávila", "'aspas'", "a+b", "x = y", "2026-12-01", "n° 5"):
        assert escape_cell(text) == text == unescape_cell(text)

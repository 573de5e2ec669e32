"""CSV files that Excel in Portuguese opens correctly, and in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
DELIMITER = ";"
# A cell that begins with = + - or @ is a formula (OWASP: CSV injection). A reader that splits at other
# delimiters than ours makes cells of parts of a cell, so those begin a cell too.
_CELL_START = r"(^|[,;\t\r\n])([\s\"]*)"
_FORMULA = "[=+@\uff1d\uff0b\uff0d\uff20-]"
_LEADING_TAB = re.compile(r"'*[\t\r\n]")
_TO_ESCAPE = re.compile(f"{_CELL_START}(?='*{_FORMULA})")
_ESCAPED = re.compile(f"{_CELL_START}'(?='*{_FORMULA})")


def escape_cell(value: object) -> str:
    """Return a cell that stays text: with a ' before what would be a formula, or before a tab."""
    text = _TO_ESCAPE.sub(r"\1\2'", "" if value is None else str(value))
    return f"'{text}" if _LEADING_TAB.match(text) else text


def unescape_cell(text: str) -> str:
    """Remove exactly each ' that `escape_cell` added."""
    if text.startswith("'") and _LEADING_TAB.match(text):
        text = text[1:]
    return _ESCAPED.sub(r"\1\2", text)


def render_csv(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the file line by line, so that a long one needs little memory."""
    yield BOM + _render_row(header)
    for row in rows:
        yield _render_row(row)


def _render_row(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=DELIMITER, quoting=csv.QUOTE_ALL)
    writer.writerow([escape_cell(cell) for cell in cells])
    return buffer.getvalue()

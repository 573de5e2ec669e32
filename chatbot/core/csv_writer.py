"""CSV for people's spreadsheets: Excel in Portuguese opens it right, and no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
DELIMITER = ";"
# What makes a spreadsheet calculate instead of show (OWASP: CSV injection).
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escape_cell(value: object) -> str:
    """Text that stays text. Our own import takes the leading ' away from a phone again."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def render_csv(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The file, line by line, so that a long one needs no memory."""
    yield BOM + _render_row(header)
    for row in rows:
        yield _render_row(row)


def _render_row(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=DELIMITER).writerow([escape_cell(cell) for cell in cells])
    return buffer.getvalue()

"""CSV files that Excel in Portuguese opens correctly, and in which no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
DELIMITER = ";"
# A cell with one of these first characters is evaluated as a formula (OWASP: CSV injection).
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escape_cell(value: object) -> str:
    """Return a cell that stays text. Our import removes the leading ' from a phone again."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def render_csv(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the file line by line, so that a long one needs little memory."""
    yield BOM + _render_row(header)
    for row in rows:
        yield _render_row(row)


def _render_row(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=DELIMITER).writerow([escape_cell(cell) for cell in cells])
    return buffer.getvalue()

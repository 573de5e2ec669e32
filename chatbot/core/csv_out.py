"""CSV for people's spreadsheets: Excel in Portuguese opens it right, and no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
DELIMITER = ";"
# What makes a spreadsheet calculate instead of show (OWASP: CSV injection).
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(value: object) -> str:
    """Text that stays text. Our own import takes the leading ' away from a phone again."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def csv_lines(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The file, line by line, so that a long one needs no memory."""
    yield BOM + _line(header)
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=DELIMITER).writerow([safe_cell(cell) for cell in cells])
    return buffer.getvalue()

"""Preview of an import from the first lines of the file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from chatbot.contacts.imports.csv_header import list_shown_columns
from chatbot.contacts.imports.csv_lines import read_lines
from chatbot.contacts.imports.csv_reader import BadLine, ContactRow, read_table

MAX_CHECKED_LINES = 1000
MAX_READ_LINES = 5000  # with blank ones and all lines of a record, so that a request is short
MAX_SHOWN_ROWS = 5
MAX_SHOWN_BAD_LINES = 10


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """Result of checking the first lines; `is_whole` if the file has no more."""

    columns: list[str]
    rows: list[ContactRow]
    bad_lines: list[BadLine]
    good: int
    bad: int
    is_whole: bool

    @property
    def checked(self) -> int:
        return self.good + self.bad


def build_preview(stream: BinaryIO) -> ImportPreview:
    """Check the first lines. Raises CsvError if the file as a whole can't be read."""
    source = read_lines(stream)
    columns, lines = read_table(islice(source, MAX_READ_LINES))
    checked = list(islice(lines, MAX_CHECKED_LINES))
    rows = [line for line in checked if isinstance(line, ContactRow)]
    bad = [line for line in checked if isinstance(line, BadLine)]
    dropped = [cell for row in rows for cell in row.dropped]
    return ImportPreview(
        columns=list_shown_columns(columns),
        rows=rows[:MAX_SHOWN_ROWS],
        bad_lines=sorted((*bad, *dropped), key=lambda line: line.line)[:MAX_SHOWN_BAD_LINES],
        good=len(rows),
        bad=len(bad),
        is_whole=next(lines, None) is None and next(source, None) is None,
    )


def get_cell(row: ContactRow, column: str) -> str:
    """Return a cell's text for the preview."""
    known = {
        "phone": row.phone.digits,
        "name": row.name,
        "document": row.document or "",
        "email": row.email or "",
        "tags": ", ".join(row.tags),
        "opt_in": "✓" if row.opt_in else "",
        "opt_out": "✓" if row.opt_out else "",
    }
    return known[column] if column in known else row.attributes.get(column, "")

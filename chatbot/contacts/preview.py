"""What a file would bring, from its first lines, before anything of it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from chatbot.contacts.csv_reader import BadLine, Row, read_table

CHECKED = 1000  # lines
SHOWN = 5
SHOWN_BAD = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """`checked` lines were looked at; `is_whole` says that there are no more."""

    columns: list[str]
    rows: list[Row]
    bad_lines: list[BadLine]
    good: int
    bad: int
    is_whole: bool

    @property
    def checked(self) -> int:
        return self.good + self.bad


def preview_file(stream: BinaryIO) -> Preview:
    """Raises CsvError when the file as a whole can't be read."""
    columns, lines = read_table(stream)
    looked_at = list(islice(lines, CHECKED))
    rows = [line for line in looked_at if isinstance(line, Row)]
    bad = [line for line in looked_at if isinstance(line, BadLine)]
    return Preview(
        columns=columns,
        rows=rows[:SHOWN],
        bad_lines=bad[:SHOWN_BAD],
        good=len(rows),
        bad=len(bad),
        is_whole=next(lines, None) is None,
    )


def cell_of(row: Row, column: str) -> str:
    """One cell as the preview shows it."""
    known = {
        "phone": row.phone.digits,
        "name": row.name,
        "document": row.document or "",
        "email": row.email or "",
        "tags": ", ".join(row.tags),
        "opt_in": "✓" if row.opt_in else "",
    }
    return known[column] if column in known else row.attributes.get(column, "")

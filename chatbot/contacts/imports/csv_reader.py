"""Read a CSV of contacts row by row, in constant memory.

A line that can't be used becomes a BadLine with its first problem. Blank lines are skipped.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import BinaryIO

from chatbot.brazil.documents import REASONS as DOCUMENT_REASONS
from chatbot.brazil.documents import InvalidDocument, parse_document
from chatbot.brazil.phone import REASONS as PHONE_REASONS
from chatbot.brazil.phone import Phone
from chatbot.contacts.imports.csv_cells import BadCell, read_emails, read_names, read_phones
from chatbot.contacts.imports.csv_header import (
    DELIMITERS,
    EXCEL_SEPARATOR,
    MAX_HEADER_LINES,
    find_header,
    parse_columns,
)
from chatbot.contacts.imports.csv_lines import CsvError, CsvLine, read_lines
from chatbot.core.csv_writer import unescape_cell
from chatbot.core.text import clean_lines, parse_yes_no

__all__ = ["REASONS", "BadLine", "ContactRow", "CsvError", "read_rows", "read_table"]

MAX_NAME, MAX_TAG, MAX_ATTRIBUTE = 200, 50, 1000  # characters
MAX_RECORD_LINES = 100  # physical lines of a record
MAX_SHOWN_VALUE = 200  # characters of a bad value that are reported

REASONS: dict[str, str] = {
    # Of the whole file (CsvError)
    "empty_file": "The file is empty: export it again with a header line.",
    "spreadsheet_file": "This is a spreadsheet file: save it as CSV (UTF-8) and upload that.",
    "binary_file": "This is not a text file: save the list as CSV (UTF-8) and upload that.",
    "unreadable_header": "The header line cannot be read: check its quotes, save as CSV (UTF-8).",
    "missing_phone": "No column contains phones: name one of them telefone in the first line.",
    "duplicate_column": "Two columns have the same meaning: keep one of them or rename the other.",
    "blank_column": "A column has no name in the first line: name it or remove it.",
    "column_too_long": "The name of a column is longer than 60 characters: shorten it.",
    "too_many_attributes": "There are more than 50 columns besides the known ones: remove some.",
    # Of one line (BadLine)
    "encoding": "The line has damaged letters: save the file as CSV (UTF-8).",
    "line_too_long": "The line is too long to be a contact: look for a missing line break.",
    "bad_quotes": 'A quotation mark is open or misplaced: close it, or write it twice ("").',
    "too_many_cells": "The line has more cells than the header: put text that contains ; or , "
    'in "".',
    "name_too_long": "The name is longer than 200 characters: shorten it.",
    "email_dropped": "This is not an e-mail address: the contact is imported without it.",
    "tag_too_long": "A tag is longer than 50 characters: shorten it.",
    "opt_in_invalid": "Write sim for contacts who agreed to campaigns, if you can prove it; "
    "otherwise leave it empty.",
    "opt_out_invalid": "Write sim for contacts who want no campaigns, otherwise leave it empty.",
    "attribute_too_long": "The text is longer than 1000 characters: shorten it.",
    **{f"phone_{reason}": sentence for reason, sentence in PHONE_REASONS.items()},
    **{f"document_{reason}": sentence for reason, sentence in DOCUMENT_REASONS.items()},
}

_EXCEL_TEXT = re.compile(r'="([^"]*)"')  # formula that keeps a spreadsheet from converting text


@dataclass(frozen=True, slots=True)
class BadLine:
    """Line that can't be imported; `column` is phone, name… or an attribute, `reason` a key of REASONS."""

    line: int
    column: str | None
    reason: str
    value: str


@dataclass(frozen=True, slots=True)
class ContactRow:
    """Row of a contact; `line` is its first line. Blank cells are None, "" (name) or left out."""

    line: int
    phone: Phone
    name: str
    document: str | None
    email: str | None
    tags: tuple[str, ...]
    opt_in: bool
    attributes: dict[str, str]
    opt_out: bool = False
    dropped: tuple[BadLine, ...] = ()  # cells that could not be used; the rest of the row is


def read_rows(stream: BinaryIO) -> Iterator[ContactRow | BadLine]:
    """Read the header at once, then yield rows and bad lines. Raises CsvError."""
    return read_table(read_lines(stream))[1]


def read_table(source: Iterator[CsvLine]) -> tuple[list[str], Iterator[ContactRow | BadLine]]:
    """Return the columns (phone, name… or an attribute's name) and the rows. Raises CsvError."""
    lines = _RecordReader(source)
    delimiter, columns = _read_header(lines)
    return columns, _read_body(lines, delimiter, columns)


class _RecordReader:
    """Joins physical lines into records; lines of an abandoned record can be pushed back."""

    def __init__(self, lines: Iterator[CsvLine]) -> None:
        self._lines = lines
        self._pushed_back: deque[CsvLine] = deque()

    def next_line(self) -> CsvLine | None:
        """Return the next line that is not blank, or None at the end."""
        while (line := self.take_line()) and not line.problem and not line.text.strip():
            pass
        return line

    def peek_lines(self, most: int) -> list[CsvLine]:
        """Return the next lines, also blank ones, without taking them."""
        found: list[CsvLine] = []
        while len(found) < most and (line := self.take_line()):
            found.append(line)
        self.push_back(*found)
        return found

    def push_back(self, *lines: CsvLine) -> None:
        self._pushed_back.extendleft(reversed(lines))

    def read_record(self, first: CsvLine, delimiter: str) -> tuple[list[str] | None, list[CsvLine]]:
        """Return the cells of the record that begins with `first` (None: bad quotes), and its lines."""
        taken = [first]
        source = self._iterate_lines(taken)
        reader = csv.reader(source, delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            return next(reader), taken
        except csv.Error:
            return None, taken

    def _iterate_lines(self, taken: list[CsvLine]) -> Iterator[str]:
        yield taken[0].text + "\n"
        while len(taken) < MAX_RECORD_LINES and (line := self.take_line()):
            taken.append(line)
            if line.problem:
                return
            yield line.text + "\n"

    def take_line(self) -> CsvLine | None:
        return self._pushed_back.popleft() if self._pushed_back else next(self._lines, None)


def _read_header(lines: _RecordReader) -> tuple[str, list[str]]:
    """Return the delimiter and the columns; a title above the header is skipped."""
    first, delimiters = lines.next_line(), DELIMITERS
    if first and (declared := EXCEL_SEPARATOR.fullmatch(first.text.strip(" \"'"))):
        delimiters, first = declared[1], lines.next_line()
    if first is None:
        raise CsvError("empty_file")
    if first.problem:
        raise CsvError("unreadable_header")
    candidates = [first, *lines.peek_lines(MAX_HEADER_LINES - 1)]
    index, delimiter = find_header(candidates, delimiters)
    for _ in range(index):
        lines.take_line()
    cells, _ = lines.read_record(candidates[index], delimiter)
    if cells is None:
        raise CsvError("unreadable_header")
    return delimiter, parse_columns(cells)


def _read_body(
    lines: _RecordReader, delimiter: str, columns: list[str]
) -> Iterator[ContactRow | BadLine]:
    while first := lines.next_line():
        if first.problem:
            yield BadLine(first.number, None, first.problem, first.text[:MAX_SHOWN_VALUE])
            continue
        cells, taken = lines.read_record(first, delimiter)
        values = [_clean_cell(cell) for cell in cells or ()]
        reason = "too_many_cells" if any(values[len(columns) :]) else None
        if cells is None:
            reason = "bad_quotes"
        if reason:
            # Read the following lines again: a stray quotation mark must spoil only its own line.
            lines.push_back(*taken[1:])
            yield BadLine(first.number, None, reason, first.text[:MAX_SHOWN_VALUE])
        elif any(values):
            # Spreadsheets drop the separators at the end of a row.
            yield _read_row(
                first.number, dict(zip_longest(columns, values[: len(columns)], fillvalue=""))
            )


def _clean_cell(cell: str) -> str:
    found = _EXCEL_TEXT.fullmatch(text := clean_lines(cell).strip())
    return found[1].strip() if found else unescape_cell(text)


def _read_row(number: int, cells: dict[str, str]) -> ContactRow | BadLine:
    try:
        phone, other_phones = read_phones(cells)
        email, other_emails, bad_email = read_emails(cells)
        name = _check_length("name", read_names(cells), MAX_NAME)
        dropped = BadLine(number, "email", "email_dropped", bad_email[:MAX_SHOWN_VALUE])
        return ContactRow(
            line=number,
            phone=phone,
            name=name,
            document=_read_document(cells.pop("document", "")),
            email=email,
            tags=_read_tags(cells.pop("tags", "")),
            opt_in=_read_yes_no("opt_in", cells.pop("opt_in", "")),
            opt_out=_read_yes_no("opt_out", cells.pop("opt_out", "")),
            attributes=_read_attributes({**cells, **other_phones, **other_emails}),
            dropped=(dropped,) if bad_email else (),
        )
    except BadCell as bad:
        return BadLine(number, bad.column, bad.reason, bad.value[:MAX_SHOWN_VALUE])


def _read_document(text: str) -> str | None:
    try:
        return parse_document(text).digits if text else None
    except InvalidDocument as error:
        raise BadCell("document", f"document_{error.reason}", text) from None


def _read_tags(text: str) -> tuple[str, ...]:
    """Split tags at `,`, `;` or `|`, without case-insensitive duplicates."""
    tags = (
        " ".join(tag.split()) for tag in re.split(r"[,;|]|:::", text.replace("* myContacts", ""))
    )
    unique = {tag.casefold(): _check_length("tags", tag, MAX_TAG) for tag in tags if tag}
    return tuple(unique.values())


def _read_yes_no(column: str, text: str) -> bool:
    if (answer := parse_yes_no(text)) is None:
        raise BadCell(column, f"{column}_invalid", text)
    return answer


def _read_attributes(cells: dict[str, str]) -> dict[str, str]:
    given = {column: text for column, text in cells.items() if text}
    return {column: _check_length(column, text, MAX_ATTRIBUTE) for column, text in given.items()}


def _check_length(column: str, text: str, limit: int) -> str:
    if len(text) > limit:
        kind = {"name": "name", "tags": "tag"}.get(column, "attribute")
        raise BadCell(column, f"{kind}_too_long", text)
    return text

"""Read a CSV of contacts row by row, in constant memory.

A line that can't be used becomes a BadLine with its first problem. Blank lines are skipped.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chatbot.brazil.documents import REASONS as DOCUMENT_REASONS
from chatbot.brazil.documents import InvalidDocument, parse_document
from chatbot.brazil.phone import REASONS as PHONE_REASONS
from chatbot.brazil.phone import InvalidPhone, Phone, parse_phone
from chatbot.contacts.imports.csv_lines import CsvError, CsvLine, read_lines
from chatbot.core.csv_writer import unescape_cell
from chatbot.core.text import parse_yes_no, slugify

__all__ = ["REASONS", "BadLine", "ContactRow", "CsvError", "read_rows", "read_table"]

MAX_NAME, MAX_TAG, MAX_ATTRIBUTE, MAX_EMAIL = 200, 50, 1000, 254  # characters
MAX_ATTRIBUTES = 50  # columns
MAX_COLUMN = 60  # characters of an attribute's name
MAX_RECORD_LINES = 100  # physical lines of a record
MAX_SHOWN_VALUE = 200  # characters of a bad value that are reported
DELIMITERS = ";\t,"  # in order of preference, if a header fits several equally

# Slug of a header -> column; any other header becomes an attribute.
ALIASES = {
    alias: column
    for column, aliases in {
        "phone": "phone telefone celular whatsapp fone numero",
        "name": "name nome cliente",
        "document": "document documento cpf cnpj cpf_cnpj cpf_ou_cnpj cpf_or_cnpj cnpj_cpf",
        "email": "email e_mail",
        "tags": "tags etiquetas marcadores",
        "opt_in": "opt_in optin consentimento consent aceitou_campanhas agreed_to_campaigns",
        "opt_out": "opt_out optout descadastrado sem_campanhas no_campaigns",
    }.items()
    for alias in aliases.split()
}

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
    "too_few_cells": "The line has fewer cells than the header: complete it.",
    "name_too_long": "The name is longer than 200 characters: shorten it.",
    "email_invalid": "This is not an e-mail address: write one such as ana@empresa.com.br.",
    "tag_too_long": "A tag is longer than 50 characters: shorten it.",
    "opt_in_invalid": "Write sim for contacts who agreed to campaigns, if you can prove it; "
    "otherwise leave it empty.",
    "opt_out_invalid": "Write sim for contacts who want no campaigns, otherwise leave it empty.",
    "attribute_too_long": "The text is longer than 1000 characters: shorten it.",
    **{f"phone_{reason}": sentence for reason, sentence in PHONE_REASONS.items()},
    **{f"document_{reason}": sentence for reason, sentence in DOCUMENT_REASONS.items()},
}

EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9-]+\.)+[a-z0-9-]{2,}")
_EXCEL_SEPARATOR = re.compile(r"sep=([;,\t])", re.IGNORECASE)
_EXCEL_TEXT = re.compile(r'="([^"]*)"')  # formula that keeps a spreadsheet from converting text


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


@dataclass(frozen=True, slots=True)
class BadLine:
    """Line that can't be imported; `column` is phone, name… or an attribute, `reason` a key of REASONS."""

    line: int
    column: str | None
    reason: str
    value: str


class _BadCell(Exception):
    def __init__(self, column: str, reason: str, value: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.value = column, reason, value


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
        while (line := self._next_physical_line()) and not line.problem and not line.text.strip():
            pass
        return line

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
        while len(taken) < MAX_RECORD_LINES and (line := self._next_physical_line()):
            taken.append(line)
            if line.problem:
                return
            yield line.text + "\n"

    def _next_physical_line(self) -> CsvLine | None:
        return self._pushed_back.popleft() if self._pushed_back else next(self._lines, None)


def _read_header(lines: _RecordReader) -> tuple[str, list[str]]:
    """Return the delimiter and the columns."""
    first = lines.next_line()
    delimiters = DELIMITERS
    if first and (declared := _EXCEL_SEPARATOR.fullmatch(first.text.strip(" \"'"))):
        delimiters, first = declared[1], lines.next_line()
    if first is None:
        raise CsvError("empty_file")
    if first.problem:
        raise CsvError("unreadable_header")
    delimiter = max(delimiters, key=lambda candidate: _score_delimiter(lines, first, candidate))
    cells, _ = lines.read_record(first, delimiter)
    if cells is None:
        raise CsvError("unreadable_header")
    return delimiter, _parse_columns(cells)


def _score_delimiter(lines: _RecordReader, first: CsvLine, delimiter: str) -> tuple[bool, int, int]:
    """Return whether there is a phone column, the number of known columns, and of all columns."""
    cells, taken = lines.read_record(first, delimiter)
    lines.push_back(*taken[1:])
    cells = cells or first.text.split(delimiter)
    known = [ALIASES[slug] for slug in map(slugify, cells) if slug in ALIASES]
    return "phone" in known, len(known), len(cells)


def _parse_columns(labels: list[str]) -> list[str]:
    while labels and not labels[-1].strip():  # spreadsheets add empty columns at the right
        labels.pop()
    columns = [ALIASES.get(slugify(label), slugify(label)) for label in labels]
    for column, label in zip(columns, labels, strict=True):
        same = [other for other, name in zip(labels, columns, strict=True) if name == column]
        if not column:
            raise CsvError("blank_column", label.strip())
        if len(same) > 1:
            raise CsvError("duplicate_column", *same)
        if len(column) > MAX_COLUMN:
            raise CsvError("column_too_long", label)
    if "phone" not in columns:
        raise CsvError("missing_phone", *labels)
    if len(set(columns) - set(ALIASES.values())) > MAX_ATTRIBUTES:
        raise CsvError("too_many_attributes")
    return columns


def _read_body(
    lines: _RecordReader, delimiter: str, columns: list[str]
) -> Iterator[ContactRow | BadLine]:
    while first := lines.next_line():
        if first.problem:
            yield BadLine(first.number, None, first.problem, first.text[:MAX_SHOWN_VALUE])
            continue
        cells, taken = lines.read_record(first, delimiter)
        values = [_clean_cell(cell) for cell in cells or ()]
        reason = (
            _find_cell_count_problem(values, len(columns)) if cells is not None else "bad_quotes"
        )
        if reason:
            # Read the following lines again: a stray quotation mark must spoil only its own line.
            lines.push_back(*taken[1:])
            yield BadLine(first.number, None, reason, first.text[:MAX_SHOWN_VALUE])
        elif any(values):
            yield _read_row(first.number, dict(zip(columns, values, strict=False)))


def _clean_cell(cell: str) -> str:
    found = _EXCEL_TEXT.fullmatch(text := cell.strip())
    return found[1].strip() if found else unescape_cell(text)


def _find_cell_count_problem(values: list[str], width: int) -> str | None:
    """Return a reason, or None; blank extra cells and records of blank cells are allowed."""
    if any(values[width:]):
        return "too_many_cells"
    return "too_few_cells" if len(values) < width and any(values) else None


def _read_row(number: int, cells: dict[str, str]) -> ContactRow | BadLine:
    try:
        return ContactRow(
            line=number,
            phone=_read_phone(cells.pop("phone")),
            name=_check_length("name", " ".join(cells.pop("name", "").split()), MAX_NAME),
            document=_read_document(cells.pop("document", "")),
            email=_read_email(cells.pop("email", "")),
            tags=_read_tags(cells.pop("tags", "")),
            opt_in=_read_yes_no("opt_in", cells.pop("opt_in", "")),
            opt_out=_read_yes_no("opt_out", cells.pop("opt_out", "")),
            attributes=_read_attributes(cells),
        )
    except _BadCell as bad:
        return BadLine(number, bad.column, bad.reason, bad.value[:MAX_SHOWN_VALUE])


def _read_phone(text: str) -> Phone:
    try:
        return parse_phone(text)
    except InvalidPhone as error:
        raise _BadCell("phone", f"phone_{error.reason}", text) from None


def _read_document(text: str) -> str | None:
    try:
        return parse_document(text).digits if text else None
    except InvalidDocument as error:
        raise _BadCell("document", f"document_{error.reason}", text) from None


def _read_email(text: str) -> str | None:
    email = text.lower()
    if email and (len(email) > MAX_EMAIL or not EMAIL.fullmatch(email)):
        raise _BadCell("email", "email_invalid", text)
    return email or None


def _read_tags(text: str) -> tuple[str, ...]:
    """Split tags at `,`, `;` or `|`, without case-insensitive duplicates."""
    tags = (" ".join(tag.split()) for tag in re.split(r"[,;|]", text))
    unique = {tag.casefold(): _check_length("tags", tag, MAX_TAG) for tag in tags if tag}
    return tuple(unique.values())


def _read_yes_no(column: str, text: str) -> bool:
    if (answer := parse_yes_no(text)) is None:
        raise _BadCell(column, f"{column}_invalid", text)
    return answer


def _read_attributes(cells: dict[str, str]) -> dict[str, str]:
    given = {column: text for column, text in cells.items() if text}
    return {column: _check_length(column, text, MAX_ATTRIBUTE) for column, text in given.items()}


def _check_length(column: str, text: str, limit: int) -> str:
    if len(text) > limit:
        kind = {"name": "name", "tags": "tag"}.get(column, "attribute")
        raise _BadCell(column, f"{kind}_too_long", text)
    return text

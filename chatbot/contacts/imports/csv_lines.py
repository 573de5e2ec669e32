"""Decode an uploaded CSV into numbered lines of text, in constant memory.

The encoding is decided line by line without reading ahead. UTF-16 is recognized by its BOM. Every other
line is tried as UTF-8, which text in Windows-1252 practically never is by accident. Once a file is known
to be UTF-8 (by a BOM, by at least half of the lines with accents in its first chunk, or by its first
accent), a line that is not UTF-8 is reported as damaged. In a file that began as Windows-1252, such a
line is decoded as Windows-1252.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

CHUNK_BYTES = 65_536
# Blank lines in a row that are returned; a spreadsheet may write millions. A record is not as long.
MAX_BLANK_LINES = 100
MAX_LINE_BYTES = 100_000  # below csv.field_size_limit(); longer lines are errors

# First bytes of a file that is no CSV -> reason of CsvError.
_SIGNATURES = {
    b"PK\x03\x04": "spreadsheet_file",  # xlsx, ods and other zip files
    b"\xd0\xcf\x11\xe0": "spreadsheet_file",  # xls
    b"\x1f\x8b": "binary_file",  # gzip
    b"%PDF": "binary_file",
}
_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLANK = b" \t;,\"'"  # a line of only these has no content
# Control characters are removed, except tab, which is a delimiter; PostgreSQL refuses NUL.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")

CsvLineProblem = Literal["encoding", "line_too_long"]


class CsvError(ValueError):
    """Raised if the whole file cannot be read; `reason` is a code, `details` the labels of columns."""

    def __init__(self, reason: str, *details: str) -> None:
        super().__init__(" ".join((reason, *details)))
        self.reason = reason
        self.details = details


@dataclass(frozen=True, slots=True)
class CsvLine:
    """Physical line, numbered from 1, without its line break; with a problem, `text` is only for display."""

    number: int
    text: str
    problem: CsvLineProblem | None = None


def read_lines(stream: BinaryIO) -> Iterator[CsvLine]:
    """Return the lines, ended by LF, CRLF or CR. Raises CsvError at once for an empty or binary file."""
    first = _read_first_chunk(stream)
    if not first:
        raise CsvError("empty_file")
    for signature, reason in _SIGNATURES.items():
        if first.startswith(signature):
            raise CsvError(reason)
    if first.startswith(_UTF16_BOMS):
        return _decode(_split_lines(_reencode_utf16(first, stream)), _LineDecoder("utf-8"))
    if first.count(0) > len(first) // 10:
        raise CsvError("binary_file")
    return _decode(_split_lines(_read_chunks(first, stream)), _LineDecoder(_guess_encoding(first)))


def _read_first_chunk(stream: BinaryIO) -> bytes:
    """Read a full chunk, even from a stream that returns less than requested."""
    parts, missing = [], CHUNK_BYTES
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _read_chunks(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield first.removeprefix(codecs.BOM_UTF8)
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _reencode_utf16(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Convert UTF-16 to UTF-8; lone surrogates pass through, so that their line is reported as damaged."""
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    for chunk in _read_chunks(first, stream):
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # the file was cut in the middle of a character


def _split_lines(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield lines without line breaks, and None for a line longer than MAX_LINE_BYTES."""
    rest, is_skipping = b"", False
    for chunk in chunks:
        data = rest + chunk
        # A CR at the end may be the first half of CRLF, so it is held back for the next chunk.
        held = b"\r" if data.endswith(b"\r") else b""
        data = data.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield None if is_skipping or len(line) > MAX_LINE_BYTES else line
            is_skipping = False
        if len(rest) > MAX_LINE_BYTES:
            is_skipping, rest = True, b""
        rest += held
    if rest or is_skipping:
        yield None if is_skipping else rest.removesuffix(b"\r")


def _decode(lines: Iterator[bytes | None], decoder: _LineDecoder) -> Iterator[CsvLine]:
    blank = 0
    for number, line in enumerate(lines, start=1):
        blank = blank + 1 if line is not None and not line.strip(_BLANK) else 0
        if blank > MAX_BLANK_LINES:
            continue
        if line is None:
            yield CsvLine(number, "", "line_too_long")
            continue
        text, problem = decoder.decode(line)
        yield CsvLine(number, _CONTROLS.sub("", text), problem)


class _LineDecoder:
    """Decodes one line at a time; `encoding` is None until a line with an accent decides it."""

    def __init__(self, encoding: str | None) -> None:
        self.encoding = encoding

    def decode(self, line: bytes) -> tuple[str, CsvLineProblem | None]:
        if line.isascii():
            return line.decode("ascii"), None
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            return self._decode_windows(line)
        self.encoding = self.encoding or "utf-8"
        return text, None

    def _decode_windows(self, line: bytes) -> tuple[str, CsvLineProblem | None]:
        self.encoding = self.encoding or "cp1252"
        text = line.decode("cp1252", "replace")
        is_damaged = self.encoding == "utf-8" or "\ufffd" in text
        return text, "encoding" if is_damaged else None


def _guess_encoding(first: bytes) -> str | None:
    """Return UTF-8 by BOM or by half of the lines with accents, else cp1252; None without accents."""
    if first.startswith(codecs.BOM_UTF8):
        return "utf-8"
    good = bad = 0
    # The last line may be cut in the middle of a character, so it is not counted.
    for line in re.split(rb"[\r\n]+", first)[:-1]:
        if not line.isascii():
            is_good = _is_utf8(line)
            good, bad = good + is_good, bad + (not is_good)
    if good and good >= bad:
        return "utf-8"
    return "cp1252" if bad else None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

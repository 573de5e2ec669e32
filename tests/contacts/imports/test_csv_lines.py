"""Encodings, line breaks and lengths, tested through the rows they yield."""

import io
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.contacts.imports.csv_lines import CHUNK_BYTES
from chatbot.contacts.imports.csv_reader import REASONS, BadLine, ContactRow, read_rows


def _read(content: str | bytes) -> list[ContactRow | BadLine]:
    return list(read_rows(io.BytesIO(content if isinstance(content, bytes) else content.encode())))


def _summary(rows: list[ContactRow | BadLine]) -> list[tuple[int, str]]:
    """Return (line, name) of each row and (line, reason) of each bad line."""
    return [(row.line, row.name if isinstance(row, ContactRow) else row.reason) for row in rows]


def test_control_characters_are_removed() -> None:
    (row,) = _read("telefone;nome;nota\n\x0011987654321\x00;A\x00n\x07a\x85;x\x1by\n\x1a")

    assert isinstance(row, ContactRow)
    assert (row.name, row.attributes) == ("Ana", {"nota": "xy"})


def test_half_a_character_of_utf_16_spoils_only_its_line() -> None:
    text = "telefone;nome\n11987654321;An\ud83da\n11987654322;Bia😀\n"
    rows = _read(text.encode("utf-16", "surrogatepass"))

    assert _summary(rows) == [(2, "encoding"), (3, "Bia😀")]


def test_utf_16_cut_in_the_middle_of_a_character_spoils_only_its_line() -> None:
    content = "telefone;nome\n11987654321;Ana\n11987654322;Bia".encode("utf-16")[:-1]

    assert _summary(_read(content)) == [(2, "Ana"), (3, "encoding")]


def test_a_damaged_line_of_a_utf_8_file_is_reported_and_not_guessed() -> None:
    content = "telefone;nome\n11987654321;José\n".encode() + "11987654322;João\n".encode("cp1252")

    assert _read(content)[1] == BadLine(3, None, "encoding", "11987654322;João")


def test_the_first_accent_decides_the_encoding_even_after_the_first_chunk() -> None:
    plain = "11987654321;Ana\n" * (CHUNK_BYTES // 8)
    for encoding in ("utf-8", "cp1252"):
        rows = _read(f"telefone;nome\n{plain}11987654321;João\n".encode(encoding))
        assert isinstance(rows[-1], ContactRow)
        assert rows[-1].name == "João"


def test_a_windows_file_that_gained_a_utf_8_line_reads_both() -> None:
    content = "telefone;observação\n11987654321;João\n".encode("cp1252")
    rows = _read(content + "11987654322;José\n".encode())

    assert [row.attributes for row in rows if isinstance(row, ContactRow)] == [
        {"observacao": "João"},
        {"observacao": "José"},
    ]


def test_bytes_of_no_windows_letter_spoil_only_their_line() -> None:
    rows = _read(b"telefone;nome\n11987654321;Jo\x81o\n11987654322;Jo\xe3o\n")

    assert _summary(rows) == [(2, "encoding"), (3, "João")]


def test_a_line_that_is_too_long_spoils_only_itself() -> None:
    long = "x" * (3 * CHUNK_BYTES)
    rows = _read(f"telefone;nome\n11987654321;{long}\r\n11987654322;Bia\r\n{long}")

    assert _summary(rows) == [(2, "line_too_long"), (3, "Bia"), (4, "line_too_long")]


def test_line_breaks_and_characters_split_between_chunks_are_read_whole() -> None:
    record = "11987654321;Açaí\r\n".encode()
    for shift in range(len(record)):  # puts every byte of the record at the end of a chunk
        header = b"telefone;nome" + b" " * shift + b"\r\n"
        rows = _read(header + record * (CHUNK_BYTES // len(record) + 2))
        assert {row.name for row in rows if isinstance(row, ContactRow)} == {"Açaí"}
        assert rows[-1].line == len(rows) + 1


class _CountingUpload(io.RawIOBase):
    """Upload that returns a few bytes per read and counts the records it has returned."""

    def __init__(self, rows: int) -> None:
        self.given = 0
        self._source = self._records(rows)

    def _records(self, rows: int) -> Iterator[bytes]:
        yield b"telefone;nome;plano\n"
        for number in range(rows):
            yield b"119%08d;Jo\xc3\xa3o;fibra\n" % number

    def read(self, size: int = -1) -> bytes:
        part = next(self._source, b"")
        self.given += len(part)
        return part


def test_a_hundred_thousand_rows_are_never_held_at_once() -> None:
    upload = _CountingUpload(100_000)
    used = 0
    for row in read_rows(upload):
        assert isinstance(row, ContactRow)
        used += 26
        assert upload.given - used <= 2 * CHUNK_BYTES
    assert row.line == 100_001


@settings(database=None, max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["utf-8", "utf-16"]))
def test_any_bytes_after_a_header_are_rows_or_bad_lines(content: bytes, encoding: str) -> None:
    rows = list(read_rows(io.BytesIO("telefone;nome\n".encode(encoding) + b" " * 2200 + content)))

    assert all(isinstance(row, ContactRow) or row.reason in REASONS for row in rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})

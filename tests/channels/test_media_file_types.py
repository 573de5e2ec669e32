"""Checks of files to be sent: content, name and size."""

from __future__ import annotations

import io
import zipfile

import pytest

from chatbot.channels.media.file_types import (
    INLINE_TYPES,
    MB,
    check_outbound_type,
    resolve_inbound_type,
)
from chatbot.core.errors import InvalidInput
from tests.support.meta_media_server import HTML, JPEG, OGG, PDF, PNG

OFFICE = "application/vnd.openxmlformats-officedocument."


def office(folder: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>" * 3000)
        archive.writestr(folder, "<x/>")
    return made.getvalue()


def mp4(brand: bytes) -> bytes:
    return b"\0\0\0\x20ftyp" + brand + b"\0" * 20


def webp(flags: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes([flags]) + b"\0" * 20


def heif(major: bytes, *others: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(others)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"\0" * 20


def ogg(*streams: bytes) -> bytes:
    """Return the first page of each stream, then one that is no first page."""
    pages = [
        b"OggS\0\2" + b"\0" * 20 + bytes([1, len(first) + 8]) + first + b"\0" * 8
        for first in streams
    ]
    return b"".join(pages) + b"OggS\0\0" + b"\0" * 100


ACCEPTED_FILES = {
    "foto.JPG": (JPEG, "image/jpeg"),
    "foto.png": (PNG, "image/png"),
    "sem nome": (PNG, "image/png"),
    "video.mp4": (mp4(b"isom"), "video/mp4"),
    "som.m4a": (mp4(b"M4A "), "audio/mp4"),
    "velho.3gp": (mp4(b"3gp5"), "video/3gpp"),
    "som.ogg": (OGG, "audio/ogg"),
    "voz.opus": (ogg(b"OpusHead"), "audio/ogg"),
    "foto.jfif": (JPEG, "image/jpeg"),
    "foto.jpe": (JPEG, "image/jpeg"),
    "som.mp3": (b"\xff\xfb\x90\x00", "audio/mpeg"),
    "com capa.mp3": (b"ID3\4", "audio/mpeg"),
    "som.aac": (b"\xff\xf1\x50\x80", "audio/aac"),
    "som.amr": (b"#!AMR\n", "audio/amr"),
    "boleto.pdf": (PDF, "application/pdf"),
    "leia.txt": ("Olá".encode(), "text/plain"),
    "velho.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
    "novo.docx": (office("word/document.xml"), f"{OFFICE}wordprocessingml.document"),
    "novo.xlsx": (office("xl/workbook.xml"), f"{OFFICE}spreadsheetml.sheet"),
    "novo.pptx": (office("ppt/presentation.xml"), f"{OFFICE}presentationml.presentation"),
    "figura.webp": (webp(0), "image/webp"),
}


@pytest.mark.parametrize("name", ACCEPTED_FILES)
def test_an_accepted_type_is_detected_by_its_content(name: str) -> None:
    content, mime_type = ACCEPTED_FILES[name]
    assert check_outbound_type(io.BytesIO(content), name, len(content)) == mime_type


REFUSED_FILES = {
    "foto.jpg": (PNG, "called .jpg, but its content is something else"),
    "boleto.pdf": (HTML, "called .pdf"),
    "novo.docx": (office("xl/workbook.xml"), "called .docx"),
    "pagina.html": (HTML, "does not accept this type"),
    "virus.exe": (b"MZ\0\0", "does not accept this type"),
    "animado.gif": (b"GIF89a", "does not accept this type"),
    "pacote.zip": (b"PK\3\4\0", "does not accept this type"),
    "nada.pdf": (b"", "empty"),
    "foto.heic": (heif(b"heic", b"mif1", b"heic"), "HEIC, AVIF"),
    "celular.mp4": (heif(b"mif1", b"mif1", b"heic"), "HEIC, AVIF"),
    "foto.avif": (heif(b"avif", b"mif1"), "HEIC, AVIF"),
    "animada.mp4": (heif(b"avis"), "HEIC, AVIF"),
    "filme.mov": (mp4(b"qt  "), "QuickTime"),
    "musica.ogg": (ogg(b"\x01vorbis"), "only those with Opus"),
    "sem perda.oga": (ogg(b"\x7fFLAC"), "only those with Opus"),
    "filme.ogg": (ogg(b"\x80theora", b"OpusHead"), "only those with Opus"),
    "filme com indice.ogg": (ogg(b"fishead\0", b"\x01vorbis"), "only those with Opus"),
}


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_an_unsupported_file_is_refused_with_a_reason(name: str) -> None:
    content, sentence = REFUSED_FILES[name]
    with pytest.raises(InvalidInput, match=sentence) as refusal:
        check_outbound_type(io.BytesIO(content), name, len(content))
    assert refusal.value.field == "file"


@pytest.mark.parametrize(
    ("name", "content", "most", "sentence"),
    [
        ("a.png", PNG, 5 * MB, "image.*5 MB.*5.1 MB"),
        ("a.mp4", mp4(b"isom"), 16 * MB, "video.*16 MB"),
        ("a.ogg", OGG, 16 * MB, "audio file.*16 MB"),
        ("a.pdf", PDF, 100 * MB, "document.*100 MB"),
        ("a.webp", webp(0), 100 * 1024, "sticker.*100 KB.*100.1 KB"),
        ("a.webp", webp(2), 500 * 1024, "sticker.*500 KB"),
    ],
)
def test_a_size_is_accepted_up_to_its_limit(
    name: str, content: bytes, most: int, sentence: str
) -> None:
    check_outbound_type(io.BytesIO(content), name, most)
    with pytest.raises(InvalidInput, match=sentence):
        check_outbound_type(io.BytesIO(content), name, most + 1)


@pytest.mark.parametrize(
    ("kind", "declared", "content", "expected"),
    [
        ("document", "image/heic", heif(b"heic", b"mif1"), "image/heic"),
        ("document", "image/avif", heif(b"mif1", b"avif"), "image/avif"),
        ("video", "video/mp4", heif(b"heic"), None),
        ("audio", "audio/ogg; codecs=opus", ogg(b"OpusHead"), "audio/ogg"),
        ("audio", "audio/ogg", ogg(b"\x01vorbis"), "audio/ogg"),
        ("audio", "audio/ogg", ogg(b"\x80theora"), None),
    ],
)
def test_an_inbound_file_is_kept_under_the_type_of_its_content(
    kind: str, declared: str, content: bytes, expected: str | None
) -> None:
    assert resolve_inbound_type(io.BytesIO(content), kind, declared) == expected
    assert not {"image/heic", "image/avif"} & INLINE_TYPES

"""Detection of a file's type from its bytes. Pure functions."""

from __future__ import annotations

import os
from typing import BinaryIO

HEAD = 4096
TAIL = 256 * 1024  # a zip lists its members at its end
OFFICE = "application/vnd.openxmlformats-officedocument."

SIGNATURES: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (b"\xff\xd8\xff", ("image/jpeg",)),
    (b"\x89PNG\r\n\x1a\n", ("image/png",)),
    (b"GIF87a", ("image/gif",)),
    (b"GIF89a", ("image/gif",)),
    (b"#!AMR", ("audio/amr",)),
    (b"ID3", ("audio/mpeg", "audio/aac")),
    (b"%PDF-", ("application/pdf",)),
    (b"\xef\xbb\xbf%PDF-", ("application/pdf",)),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
    ),
)
# ISO containers whose brand says that they hold pictures. "mif1" and "msf1" hold either.
PICTURE_BRANDS: dict[bytes, str] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"mif1", b"msf1", b"miaf"), "image/heif"),
    b"jp2 ": "image/jp2",
    b"crx ": "image/x-canon-cr3",
}
# First bytes of an Ogg stream by codec. Of these WhatsApp plays Opus alone.
OGG_CODECS: tuple[tuple[bytes, str], ...] = (
    (b"OpusHead", "audio/ogg"),
    (b"\x01vorbis", "audio/vorbis"),
    (b"\x7fFLAC", "audio/flac"),
    (b"Speex   ", "audio/speex"),
    (b"\x80theora", "video/ogg"),
    (b"BBCD", "video/ogg"),
    (b"fishead\0", "video/ogg"),  # a skeleton, which comes with video
)
OFFICE_FOLDERS: tuple[tuple[bytes, str], ...] = (
    (b"word/document", f"{OFFICE}wordprocessingml.document"),
    (b"xl/workbook", f"{OFFICE}spreadsheetml.sheet"),
    (b"ppt/presentation", f"{OFFICE}presentationml.presentation"),
)


def sniff_mime_types(file: BinaryIO) -> tuple[str, ...]:
    """Return the MIME types that the content may have, likeliest first; none if it is unknown."""
    file.seek(0)
    head = file.read(HEAD)
    for signature, types in SIGNATURES:
        if head.startswith(signature):
            return types
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ("image/webp",)
    if head[4:8] == b"ftyp":
        return _mp4_types(head)
    if head.startswith(b"OggS"):
        return _ogg_types(head)
    if head.startswith(b"PK\x03\x04"):
        return _zip_types(file)
    return _audio_frame_types(head) or (("text/plain",) if _is_text(head) else ())


def _mp4_types(head: bytes) -> tuple[str, ...]:
    """Return the types by brand: the container holds pictures, audio or video.

    Few brands of MPEG-4 say whether it is audio or video.
    """
    brand = head[8:12]
    if picture := _find_picture_type(head):
        return (picture,)
    if brand == b"qt  ":
        return ("video/quicktime",)
    if brand.startswith(b"3g"):
        return ("video/3gpp", "video/mp4")
    if brand in (b"M4A ", b"M4B ", b"M4P "):
        return ("audio/mp4", "video/mp4")
    return ("video/mp4", "audio/mp4", "video/3gpp")


def _find_picture_type(head: bytes) -> str | None:
    """Return the type of a picture; a general brand is specified by those after it."""
    found = PICTURE_BRANDS.get(head[8:12])
    if found != "image/heif":
        return found
    end = min(int.from_bytes(head[:4], "big"), len(head))
    others = (PICTURE_BRANDS.get(head[i : i + 4]) for i in range(16, end - 3, 4))
    return next((other for other in others if other not in (None, found)), found)


def _ogg_types(head: bytes) -> tuple[str, ...]:
    """Return the type by the codecs of the streams, whose first pages come before all others.

    One that is not known is left to Meta; a video has streams of both kinds.
    """
    found = []
    start = 0
    while head[start : start + 4] == b"OggS" and len(head) > start + 26 and head[start + 5] & 2:
        segments = head[start + 26]
        body = start + 27 + segments
        found += [mime for magic, mime in OGG_CODECS if head.startswith(magic, body)]
        start = body + sum(head[start + 27 : body])
    return (min(found, key=_OGG_ORDER.index),) if found else ("audio/ogg",)


_OGG_ORDER = ("video/ogg", "audio/vorbis", "audio/flac", "audio/speex", "audio/ogg")


def _zip_types(file: BinaryIO) -> tuple[str, ...]:
    """Search the directory of a zip for Office files, without unpacking: it may be a zip bomb."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    tail = file.read(TAIL)
    found = tuple(mime for name, mime in OFFICE_FOLDERS if name in tail)
    return (*found, "application/zip")


def _audio_frame_types(head: bytes) -> tuple[str, ...]:
    """Return the type of an MP3 or AAC frame: both start with eleven ones and differ in the layer."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ()
    layer = head[1] >> 1 & 3
    if layer == 0:
        return ("audio/aac",) if head[1] & 0xF0 == 0xF0 else ()
    return ("audio/mpeg",)


def _is_text(head: bytes) -> bool:
    """Return whether the bytes may be text of any encoding, which has no control characters."""
    return bool(head) and not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)


def is_animated(file: BinaryIO) -> bool:
    """Return whether a WebP file is animated, by a flag of its extended header."""
    file.seek(0)
    head = file.read(21)
    return head[12:16] == b"VP8X" and bool(head[20:21]) and bool(head[20] & 2)

"""Types of files that may be sent or received, checked by content and not by the declared type.

Types and sizes: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from chatbot.channels.media.sniffing import is_animated, sniff_mime_types
from chatbot.channels.whatsapp.payloads import MediaKind
from chatbot.core.errors import InvalidInput
from chatbot.core.i18n import N_

MB = 1024 * 1024
MAX_STICKER, MAX_ANIMATED_STICKER = 100 * 1024, 500 * 1024
OFFICE = "application/vnd.openxmlformats-officedocument."
BINARY_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class SendableType:
    """Type that may be sent. `most` is the maximum size in bytes."""

    kind: MediaKind
    most: int
    extensions: tuple[str, ...]


def _document(*extensions: str) -> SendableType:
    return SendableType(MediaKind.DOCUMENT, 100 * MB, extensions)


SENDABLE_TYPES: dict[str, SendableType] = {
    "image/jpeg": SendableType(MediaKind.IMAGE, 5 * MB, ("jpg", "jpeg", "jpe", "jfif", "jif")),
    "image/png": SendableType(MediaKind.IMAGE, 5 * MB, ("png",)),
    "video/mp4": SendableType(MediaKind.VIDEO, 16 * MB, ("mp4", "m4v")),
    "video/3gpp": SendableType(MediaKind.VIDEO, 16 * MB, ("3gp", "3gpp")),
    "audio/ogg": SendableType(MediaKind.AUDIO, 16 * MB, ("ogg", "opus", "oga")),
    "audio/mpeg": SendableType(MediaKind.AUDIO, 16 * MB, ("mp3",)),
    "audio/mp4": SendableType(MediaKind.AUDIO, 16 * MB, ("m4a",)),
    "audio/aac": SendableType(MediaKind.AUDIO, 16 * MB, ("aac",)),
    "audio/amr": SendableType(MediaKind.AUDIO, 16 * MB, ("amr",)),
    "image/webp": SendableType(MediaKind.STICKER, MAX_ANIMATED_STICKER, ("webp",)),
    "application/pdf": _document("pdf"),
    "text/plain": _document("txt", "csv"),
    "application/msword": _document("doc"),
    "application/vnd.ms-excel": _document("xls"),
    "application/vnd.ms-powerpoint": _document("ppt"),
    f"{OFFICE}wordprocessingml.document": _document("docx"),
    f"{OFFICE}spreadsheetml.sheet": _document("xlsx"),
    f"{OFFICE}presentationml.presentation": _document("pptx"),
}
TYPE_OF_EXTENSION = {e: mime for mime, what in SENDABLE_TYPES.items() for e in what.extensions}
ACCEPT = ",".join(f".{extension}" for extension in TYPE_OF_EXTENSION)
# Other names of the same types.
MIME_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "video/3gp": "video/3gpp",
    "text/csv": "text/plain",
    "image/pjpeg": "image/jpeg",
}
# Codecs in Ogg that a contact may send and browsers play, but that WhatsApp does not take from us.
OGG_AUDIO = frozenset({"audio/vorbis", "audio/flac", "audio/speex"})
NOT_PLAYED = N_(
    "Of OGG files WhatsApp plays only those with Opus: save this one as MP3 or M4A and choose it again."
)
NOT_SHOWN = N_(
    "WhatsApp does not show photos of this format (HEIC, AVIF): save it as JPEG and choose it again."
)
# Types that people take for sendable ones, with what to do.
UNSENDABLE_TYPES: dict[str, str] = {
    **dict.fromkeys((*OGG_AUDIO, "video/ogg"), NOT_PLAYED),
    **dict.fromkeys(("image/heic", "image/heif", "image/avif"), NOT_SHOWN),
    "video/quicktime": N_(
        "WhatsApp does not play QuickTime videos (MOV): save it as MP4 and choose it again."
    ),
}
# Types that a page may show inline; all others are only offered for download.
INLINE_TYPES = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/gif"}
    | {
        mime
        for mime, what in SENDABLE_TYPES.items()
        if what.kind in (MediaKind.VIDEO, MediaKind.AUDIO)
    }
)
RECOGNIZED_TYPES = frozenset(SENDABLE_TYPES) | {"image/gif", "application/zip"}

TOO_LARGE: dict[MediaKind, str] = {
    MediaKind.IMAGE: N_("An image may have at most %(most)s; this one has %(size)s."),
    MediaKind.VIDEO: N_("A video may have at most %(most)s; this one has %(size)s."),
    MediaKind.AUDIO: N_("An audio file may have at most %(most)s; this one has %(size)s."),
    MediaKind.DOCUMENT: N_("A document may have at most %(most)s; this one has %(size)s."),
    MediaKind.STICKER: N_("A sticker may have at most %(most)s; this one has %(size)s."),
}


def check_outbound_type(file: BinaryIO, file_name: str, size: int) -> str:
    """Return the MIME type of a file to be sent. Raises InvalidInput, which says what to fix."""
    if size == 0:
        raise InvalidInput("The file is empty.", field="file")
    found = sniff_mime_types(file)
    if found and found[0] in UNSENDABLE_TYPES:
        raise InvalidInput(UNSENDABLE_TYPES[found[0]], field="file")
    extension = PurePath(file_name).suffix.lstrip(".").lower()
    mime_type = _check_extension(extension, found) if extension else next(iter(found), "")
    if mime_type not in SENDABLE_TYPES:
        raise InvalidInput(
            "WhatsApp does not accept this type of file. It accepts images (JPEG, PNG), "
            "videos (MP4), audio (MP3, OGG, M4A), PDF, text and Office documents.",
            field="file",
        )
    _check_size(file, mime_type, size)
    return mime_type


def _check_extension(extension: str, found: tuple[str, ...]) -> str:
    named = TYPE_OF_EXTENSION.get(extension, "")
    if named and named not in found:
        raise InvalidInput(
            "The file is called .%(extension)s, but its content is something else: it was not "
            "accepted.",
            field="file",
            extension=extension,
        )
    return named


def _check_size(file: BinaryIO, mime_type: str, size: int) -> None:
    sendable = SENDABLE_TYPES[mime_type]
    most = sendable.most
    if sendable.kind is MediaKind.STICKER and not is_animated(file):
        most = MAX_STICKER
    if size > most:
        raise InvalidInput(
            TOO_LARGE[sendable.kind], field="file", most=_format_size(most), size=_format_size(size)
        )


def _format_size(size: int) -> str:
    """Format a size, rounded up, so that a size above a limit never looks equal to it."""
    unit, name = (MB, "MB") if size >= MB else (1024, "KB")
    tenths = -(-size * 10 // unit)
    return f"{tenths // 10} {name}" if tenths % 10 == 0 else f"{tenths / 10} {name}"


def resolve_inbound_type(file: BinaryIO, kind: str, declared: str) -> str | None:
    """Return the type under which a contact's file is kept; None if its content does not match.

    A document of a type that we can't recognise is kept as bytes, which a page only offers for download.
    """
    found = sniff_mime_types(file)
    plain = declared.partition(";")[0].strip().lower()
    mime_type = MIME_ALIASES.get(plain, plain)
    if mime_type == "audio/ogg" and OGG_AUDIO.intersection(found):
        return mime_type
    if mime_type in found:
        return mime_type
    is_unrecognizable = kind == MediaKind.DOCUMENT and mime_type not in RECOGNIZED_TYPES
    return BINARY_TYPE if is_unrecognizable else None

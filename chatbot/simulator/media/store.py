"""Files that the business uploaded or a customer sent. Limits: Meta, Cloud API media."""

import base64
import hashlib
import itertools
import re

import msgspec

from chatbot.simulator.clock import Clock
from chatbot.simulator.errors import GraphError
from chatbot.simulator.identifiers import hash_fraction
from chatbot.simulator.messages.schema import Media, Message
from chatbot.simulator.settings import Settings

KB, MB = 1024, 1024 * 1024
MAX_FILE_BYTES = 100 * MB
MAX_STORED_BYTES = 256 * MB  # all files together; the oldest are deleted first
INBOUND_EXPIRES_S = 7 * 86_400.0  # Meta: ids from webhooks live 7 days, ids of uploads 30
OFFICE_PREFIX = "application/vnd.openxmlformats-officedocument."
# kind -> (MIME types, maximum bytes)
ALLOWED_TYPES = {
    "image": (("image/jpeg", "image/png"), 5 * MB),
    "video": (("video/mp4", "video/3gpp"), 16 * MB),
    "audio": (("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"), 16 * MB),
    "sticker": (("image/webp",), 500 * KB),
    "document": (
        (
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            f"{OFFICE_PREFIX}wordprocessingml.document",
            f"{OFFICE_PREFIX}spreadsheetml.sheet",
            f"{OFFICE_PREFIX}presentationml.presentation",
        ),
        MAX_FILE_BYTES,
    ),
}
# First bytes of a type. Meta checks them when it sends the file, not when it is uploaded.
FILE_SIGNATURES = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF",
    "audio/ogg": b"OggS",
}


_MIME = re.compile(r"[\w.+-]+/[\w.+-]+(;\s*[\w.+-]+=[\w.+-]+)*", re.ASCII)


class StoredFile(msgspec.Struct):
    """File; `expires_at` in Unix seconds of the platform's clock."""

    id: str
    mime_type: str
    content: bytes
    sha256: str
    expires_at: float
    filename: str = ""

    @property
    def kind(self) -> str:
        plain = self.mime_type.partition(";")[0].strip()
        return next(
            (kind for kind, (types, _) in ALLOWED_TYPES.items() if plain in types), "document"
        )

    @property
    def has_matching_signature(self) -> bool:
        beginning = FILE_SIGNATURES.get(self.mime_type.partition(";")[0].strip(), b"")
        return self.content.startswith(beginning)


class FileStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._bytes = 0
        self._ids = itertools.count(1)

    def put(
        self, content: bytes, mime_type: str, *, ttl_s: float, filename: str = ""
    ) -> StoredFile:
        digest = hashlib.sha256(content)
        number = int(hash_fraction(digest.hexdigest()) * 10**11) * 10_000 + next(self._ids)
        expires_at = self._clock.now() + ttl_s
        stored = StoredFile(
            str(number), mime_type, content, digest.hexdigest(), expires_at, filename
        )
        self._files[stored.id] = stored
        self._bytes += len(content)
        while self._bytes > MAX_STORED_BYTES and len(self._files) > 1:
            self.delete(next(iter(self._files)))
        return stored

    def find(self, media_id: str) -> StoredFile | None:
        stored = self._files.get(media_id)
        return stored if stored and stored.expires_at > self._clock.now() else None

    def delete(self, media_id: str) -> bool:
        stored = self._files.pop(media_id, None)
        self._bytes -= len(stored.content) if stored else 0
        return stored is not None

    def has_bad_media(self, message: Message) -> bool:
        """Tell whether the message has a file that will fail later with 131053."""
        return any(self._is_bad(kind, media) for kind, media in _list_media(message))

    def _is_bad(self, kind: str, media: Media) -> bool:
        if media.id is None:  # links are never fetched; `.invalid` is never a host (RFC 2606)
            host = (media.link or "").partition("://")[2].partition("/")[0]
            return host.endswith(".invalid")
        stored = self.find(media.id)
        return stored is None or stored.kind != kind or not stored.has_matching_signature


def is_mime_type(text: str) -> bool:
    """Tell whether the text is valid as a Content-Type header."""
    return _MIME.fullmatch(text) is not None


def check_upload(content: bytes, mime_type: str) -> None:
    """Raise GraphError for a file of the wrong type or size."""
    plain = mime_type.partition(";")[0].strip().lower()
    for kind, (types, most) in ALLOWED_TYPES.items():
        if plain in types and is_mime_type(mime_type):
            if not content:
                raise GraphError(131053, "The file is empty.")
            if len(content) > most:
                raise GraphError(
                    131053, f"The file has {len(content)} bytes; {kind} may have {most} at most."
                )
            return
    allowed = ", ".join(name for types, _ in ALLOWED_TYPES.values() for name in types)
    raise GraphError(
        100, f"Param file must be a file with one of the following types: {allowed}. "
        f"Received file of type '{plain}'."
    )  # fmt: skip


def get_reported_sha256(stored: StoredFile, settings: Settings, *, encoded: bool) -> str:
    """Return the hash as real payloads have it: hex in a look-up, base64 in a webhook.

    With the setting `wrong_sha256` it is the hash of something else.
    """
    digest = hashlib.sha256(b"another file").hexdigest() if settings.wrong_sha256 else stored.sha256
    return base64.b64encode(bytes.fromhex(digest)).decode() if encoded else digest


def _list_media(message: Message) -> list[tuple[str, Media]]:
    kind = message.type.value
    content = getattr(message, kind)
    found = [(kind, content)] if isinstance(content, Media) else []
    header = getattr(message.interactive, "header", None)
    holders = [header] if header is not None else []
    if message.template:
        parts = message.template.components
        holders += [item for part in parts if part.type == "header" for item in part.parameters]
    for holder in holders:
        for name in ("image", "video", "document"):
            media = getattr(holder, name, None)
            if media is not None:
                found.append((name, media))
    return found

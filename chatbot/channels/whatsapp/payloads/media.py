"""Media messages: an image, video, audio, document or sticker by the id of an upload or by a link."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from chatbot.channels.whatsapp.payloads.limits import CAPTION, FILE_NAME, check_link, check_optional
from chatbot.core.errors import InvalidInput


class MediaKind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"


WITH_CAPTION = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})


def media_body(
    kind: MediaKind,
    *,
    media_id: str | None = None,
    link: str | None = None,
    caption: str | None = None,
    file_name: str | None = None,
) -> dict[str, Any]:
    """Build a media body. Raises InvalidInput for parts that this kind can't have.

    Without id and link it waits for its upload; `with_media_id` completes it.
    """
    if media_id and link:
        raise InvalidInput("Give either the id or the link of the file, not both.", field="media")
    if link:
        _check_public_link(link)
    if caption and kind not in WITH_CAPTION:
        raise InvalidInput(
            "WhatsApp shows no text beside an audio file or a sticker: send it as a separate "
            "message.",
            field="text",
        )
    check_optional("text", caption or None, CAPTION)
    check_optional("file", file_name or None, FILE_NAME)
    named = file_name if kind is MediaKind.DOCUMENT else None
    parts = {"id": media_id, "link": link, "caption": caption, "filename": named}
    return {"type": kind.value, kind.value: {k: v for k, v in parts.items() if v}}


def _check_public_link(link: str) -> None:
    """Raise InvalidInput unless Meta can fetch the link, which must be https."""
    check_link("media", link)
    if not link.startswith("https://"):
        raise InvalidInput("WhatsApp fetches files from https:// addresses only.", field="media")


def with_media_id(body: Mapping[str, Any], media_id: str) -> dict[str, Any]:
    """Return the body with the id of its upload."""
    kind = body["type"]
    return {**body, kind: {**body[kind], "id": media_id}}

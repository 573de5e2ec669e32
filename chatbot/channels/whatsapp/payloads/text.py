"""A text and a place."""

from __future__ import annotations

from typing import Any

from chatbot.channels.whatsapp.payloads.limits import TEXT, check_length
from chatbot.core.errors import InvalidInput


def text_body(text: str) -> dict[str, Any]:
    """Raises InvalidInput when the text is empty or longer than Meta takes."""
    check_length("text", text, TEXT)
    return {"type": "text", "text": {"body": text, "preview_url": False}}


def location_body(
    latitude: float, longitude: float, *, name: str | None = None, address: str | None = None
) -> dict[str, Any]:
    """A place; degrees, south and west negative. Raises InvalidInput off the globe."""
    # Written so that NaN, which compares as false, is refused too.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidInput(
            "The latitude must lie between -90 and 90 and the longitude between -180 and 180.",
            field="location",
        )
    words = {"name": name, "address": address}
    place = {"latitude": latitude, "longitude": longitude} | {k: v for k, v in words.items() if v}
    return {"type": "location", "location": place}

"""Text and location messages."""

from __future__ import annotations

from typing import Any

from chatbot.channels.whatsapp.payloads.limits import TEXT, check_length
from chatbot.core.errors import InvalidInput


def text_body(text: str) -> dict[str, Any]:
    """Build a text message. Raises InvalidInput if it is blank or longer than Meta accepts."""
    check_length("text", text, TEXT)
    return {"type": "text", "text": {"body": text, "preview_url": False}}


def location_body(
    latitude: float, longitude: float, *, name: str | None = None, address: str | None = None
) -> dict[str, Any]:
    """Build a location in degrees, south and west negative. Raises InvalidInput if out of range."""
    # Written so that NaN, which compares as false, is refused too.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidInput(
            "The latitude must be between -90 and 90 and the longitude between -180 and 180.",
            field="location",
        )
    labels = {"name": name, "address": address}
    place = {"latitude": latitude, "longitude": longitude} | {k: v for k, v in labels.items() if v}
    return {"type": "location", "location": place}

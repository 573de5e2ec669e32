"""Rendering of the bot's replies, as text and as bodies for Meta."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from flask_babel import format_date, format_decimal, gettext

from chatbot.bot.engine import BUTTON_PREFIX, Say, SayVerbatim
from chatbot.channels.whatsapp.payloads import MAX_BUTTON_TITLE, buttons_body, text_body


def render(say: Say | SayVerbatim) -> tuple[str, dict[str, Any]]:
    """Return the text in the current language, and the body for Meta."""
    if isinstance(say, SayVerbatim):
        return say.text, text_body(say.text)
    text = gettext(
        say.message, **{name: _format_value(value) for name, value in say.values.items()}
    )
    if not say.buttons:
        return text, text_body(text)
    buttons = [
        (f"{BUTTON_PREFIX}{intent}", gettext(title)[:MAX_BUTTON_TITLE])
        for intent, title in say.buttons
    ]
    return text, buttons_body(text, buttons)


def _format_value(value: object) -> object:
    """Format money and dates for Brazil."""
    if isinstance(value, Decimal):
        return format_decimal(value, format="#,##0.00")
    if isinstance(value, date):
        return format_date(value, format="dd/MM/yyyy")
    return value

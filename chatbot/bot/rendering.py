"""Rendering of the bot's replies, as text and as bodies for Meta."""

from __future__ import annotations

from typing import Any

from chatbot.bot.engine import BUTTON_PREFIX, Say, SayVerbatim
from chatbot.bot.sentences import translate
from chatbot.channels.whatsapp.payloads import buttons_body, text_body


def render(say: Say | SayVerbatim) -> tuple[str, dict[str, Any]]:
    """Return the text in the current language, and the body for Meta."""
    if isinstance(say, SayVerbatim):
        return say.text, text_body(say.text)
    text = translate(say.sentence, say.values)
    if not say.buttons:
        return text, text_body(text)
    buttons = [(f"{BUTTON_PREFIX}{intent}", translate(title, {})) for intent, title in say.buttons]
    return text, buttons_body(text, buttons)

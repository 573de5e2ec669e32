"""Answers to messages whose content is not text: forms, orders, locations, contact cards, ads."""

from __future__ import annotations

import re
from decimal import Decimal

from chatbot.bot import sentences
from chatbot.bot.engine import Effects, Handler, HandOff, Say, Turn
from chatbot.bot.handlers.smalltalk import MENU, greet
from chatbot.conversations.contents import compute_total, get_ad_headline, list_order_items
from chatbot.core.text import fold

# Text that WhatsApp puts into the field for people who come from an ad or a link.
_PREPARED_TEXT = re.compile(
    r"\b(?:tenho interesse|mais (?:informac\w+|detalhes)|saber mais|more (?:info\w*|details))\b"
)


def comes_from_ad(turn: Turn) -> bool:
    """Return whether the message came through an ad, or has the text that ads prepare."""
    if get_ad_headline(turn.content) is not None:
        return True
    return _PREPARED_TEXT.search(fold(turn.text[:300])) is not None


def choose_content_handler(turn: Turn) -> Handler | None:
    """Return the handler of the content, or None if the words of the message are answered."""
    if turn.text and turn.content_kind not in ALWAYS_BY_CONTENT:
        return None
    return CONTENT_HANDLERS.get(turn.content_kind, None if turn.text else ask_for_text)


def ask_for_text(_turn: Turn) -> Effects:
    yield Say(sentences.UNREADABLE)


def _thank_for_form(_turn: Turn) -> Effects:
    yield Say(sentences.FORM_RECEIVED)


def _take_order(turn: Turn) -> Effects:
    items = list_order_items(turn.content)
    total = compute_total(items)
    count = sum((item.quantity for item in items), Decimal(0))
    if total is not None and total[1] == "BRL":
        yield Say(
            sentences.ORDER_WITH_TOTAL, {"count": f"{count.normalize():f}", "total": total[0]}
        )
    else:
        yield Say(sentences.ORDER_RECEIVED)
    yield HandOff("order")


def _note_location(_turn: Turn) -> Effects:
    yield Say(sentences.LOCATION_RECEIVED, {}, MENU)


def _note_card(_turn: Turn) -> Effects:
    yield Say(sentences.CARD_RECEIVED, {}, MENU)


# By kind of message; of any other kind without text the bot asks for text.
CONTENT_HANDLERS: dict[str, Handler] = {
    "nfm_reply": _thank_for_form,
    "order": _take_order,
    "location": _note_location,
    "contacts": _note_card,
    "request_welcome": greet,
}
# Kinds that are answered for what they are, even if the person wrote something with them.
ALWAYS_BY_CONTENT = frozenset({"order"})

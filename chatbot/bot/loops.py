"""Detection of conversations in which another program answers the bot, such as an automatic reply.

The two would write to each other for ever. A person does not write the same text three times, each time
after an answer, nor so many messages in a few minutes. Tapped buttons don't count: programs tap none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from chatbot.conversations.models import Author, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.text import fold

WINDOW = timedelta(minutes=10)
MAX_REPEATS = 3  # turns with the same text
# Turns in FAST_WINDOW: one every 20 seconds for four minutes, in which a person also reads the answers.
MAX_FAST_TURNS = 12
FAST_WINDOW = timedelta(minutes=4)
# People repeat short texts too ("sim"), but not in turns that follow each other.
MIN_LONG_TEXT = 40
MAX_LOADED = 80
MAX_COMPARED = 300

_TAPPED_KINDS = frozenset({"button", "interactive"})
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class RecentMessage:
    """Message of the thread, with its age."""

    author: str
    kind: str
    text: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class _WrittenTurn:
    """Texts that the contact wrote between two answers, in a form that can be compared."""

    texts: tuple[str, ...]
    age: timedelta


def load_recent_messages(conversation_id: int) -> list[RecentMessage]:
    """Return what the contact and the bot wrote in the last minutes, in the order of recording.

    Meta's time of a message has no fractions, so it may be before that of the answer which caused it.
    """
    now = clock.now()
    query = (
        sa.select(
            Message.id,
            Message.author,
            Message.kind,
            sa.func.substr(Message.text, 1, MAX_COMPARED).label("text"),
            Message.recorded_at,
        )
        .where(Message.conversation_id == conversation_id)
        .order_by(Message.occurred_at.desc(), Message.id.desc())
        .limit(MAX_LOADED)
    )
    rows = sorted(db.session.execute(query).all(), key=lambda row: row.id)
    return [
        RecentMessage(row.author, row.kind, row.text, now - row.recorded_at)
        for row in rows
        if now - row.recorded_at < WINDOW
    ]


def is_loop(messages: Sequence[RecentMessage]) -> bool:
    """Return whether the newest message continues a conversation of two programs."""
    turns = _list_written_turns(messages)
    if not turns or messages[-1].author != Author.CONTACT:
        return False
    fast = sum(turn.age < FAST_WINDOW for turn in turns)
    return fast >= MAX_FAST_TURNS or _count_repeats(turns) >= MAX_REPEATS


def _list_written_turns(messages: Sequence[RecentMessage]) -> list[_WrittenTurn]:
    """Group the contact's messages into turns, and leave out those with a tapped button."""
    turns: list[list[RecentMessage]] = [[]]
    for message in messages:
        if message.author == Author.CONTACT:
            turns[-1].append(message)
        elif turns[-1]:
            turns.append([])
    return [
        _WrittenTurn(tuple(_normalize(message.text) for message in turn), turn[-1].age)
        for turn in turns
        if turn and not any(message.kind in _TAPPED_KINDS for message in turn)
    ]


def _normalize(text: str) -> str:
    """Return the text without case, accents and extra space; a long one without its digits too.

    Automatic replies name times and numbers of requests, which change each time.
    """
    folded = fold(text)
    return _DIGITS.sub("0", folded) if len(folded) >= MIN_LONG_TEXT else folded


def _count_repeats(turns: Sequence[_WrittenTurn]) -> int:
    """Return in how many turns the newest text was written, for a short one without a break."""
    newest = turns[-1].texts[-1]
    if not newest:
        return 0
    if len(newest) >= MIN_LONG_TEXT:
        return sum(newest in turn.texts for turn in turns)
    changes = (n for n, turn in enumerate(reversed(turns)) if newest not in turn.texts)
    return next(changes, len(turns))

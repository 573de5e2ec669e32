"""Opt-out and opt-in by message; the reply says how to undo it (LGPD; Meta's Messaging Policy)."""

from __future__ import annotations

from chatbot.bot import sentences
from chatbot.bot.engine import Effects, OptIn, OptOut, Say, Turn


def opt_out(turn: Turn) -> Effects:
    yield OptOut(turn.text)
    yield Say(sentences.OPTED_OUT, {"company": turn.company_name}, is_mandatory=True)


def opt_in(turn: Turn) -> Effects:
    yield OptIn(turn.text)
    yield Say(sentences.OPTED_IN, {"company": turn.company_name}, is_mandatory=True)

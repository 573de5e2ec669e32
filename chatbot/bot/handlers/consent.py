"""Opt-out and opt-in by message; the reply says how to undo it (LGPD; Meta's Messaging Policy).

Where the words leave a doubt, the bot asks with two buttons and records nothing.
"""

from __future__ import annotations

from chatbot.bot import sentences
from chatbot.bot.engine import Effects, OptIn, OptOut, Say, Turn


def opt_out(turn: Turn) -> Effects:
    if turn.confidence < 1.0:
        yield Say(
            sentences.ASK_OPT_OUT,
            {"company": turn.company_name},
            (("opt_out", sentences.BUTTON_STOP), ("keep_consent", sentences.BUTTON_KEEP)),
        )
        return
    yield OptOut(turn.text)
    yield Say(sentences.OPTED_OUT, {"company": turn.company_name}, is_mandatory=True)


def opt_in(turn: Turn) -> Effects:
    if turn.confidence < 1.0:
        yield Say(
            sentences.ASK_OPT_IN,
            {"company": turn.company_name},
            (("opt_in", sentences.BUTTON_START), ("keep_consent", sentences.BUTTON_NOT_NOW)),
        )
        return
    yield OptIn(turn.text)
    yield Say(sentences.OPTED_IN, {"company": turn.company_name}, is_mandatory=True)


def keep_consent(_turn: Turn) -> Effects:
    yield Say(sentences.CONSENT_KEPT)

"""Opt-out and opt-in by message; the reply says how to undo it (LGPD; Meta's Messaging Policy)."""

from __future__ import annotations

from chatbot.bot.engine import N_, Effects, OptIn, OptOut, Say, Turn


def opt_out(turn: Turn) -> Effects:
    yield OptOut(turn.text)
    yield Say(
        N_(
            "Done: you will receive no more campaign messages from %(company)s. You can still "
            "write to us here whenever you need. To receive them again, write: I WANT TO "
            "RECEIVE."
        ),
        {"company": turn.company_name},
    )


def opt_in(turn: Turn) -> Effects:
    yield OptIn(turn.text)
    yield Say(
        N_("Done: you will receive news from %(company)s here. To stop, write STOP at any time."),
        {"company": turn.company_name},
    )

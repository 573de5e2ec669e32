"""Consent by words: each wish is confirmed once, and says how to undo it (LGPD; Meta's policy)."""

from __future__ import annotations

from chatbot.bot.engine import N_, Effects, OptIn, OptOut, Say, Turn


def opt_out(turn: Turn) -> Effects:
    yield OptOut(turn.text)
    yield Say(
        N_(
            "Done: you will get no more campaign messages from %(company)s. "
            "You can still write to us here whenever you need. "
            "To get them again, write: I WANT TO RECEIVE."
        ),
        {"company": turn.company_name},
    )


def opt_in(turn: Turn) -> Effects:
    yield OptIn(turn.text)
    yield Say(
        N_("Done: you will get news from %(company)s here. To stop them, write STOP at any time."),
        {"company": turn.company_name},
    )

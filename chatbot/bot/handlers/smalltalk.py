"""Greeting, thanks, goodbye and fallback."""

from __future__ import annotations

from chatbot.bot.engine import N_, Effects, HandOff, Say, Turn
from chatbot.bot.understanding.classifier import Intent

MENU = (
    (Intent.INVOICE_COPY, N_("My invoice")),
    (Intent.PIX_PAYMENT, N_("Pay by Pix")),
    (Intent.TALK_TO_HUMAN, N_("Talk to a person")),
)


def greet(turn: Turn) -> Effects:
    name = f", {turn.first_name}" if turn.first_name else ""
    yield Say(
        N_(
            "Hello%(name)s! I am the virtual assistant of %(company)s. I can send you your "
            "invoice or your Pix code, or call a person. What do you need?"
        ),
        {"name": name, "company": turn.company_name},
        MENU,
    )


def answer_thanks(_turn: Turn) -> Effects:
    yield Say(N_("You are welcome! If you need anything else, just write."))


def say_goodbye(turn: Turn) -> Effects:
    yield Say(N_("Goodbye! Thank you for contacting %(company)s."), {"company": turn.company_name})


def fall_back(turn: Turn) -> Effects:
    """Ask again once, then hand off."""
    if turn.last_intent == Intent.FALLBACK:
        yield Say(N_("I still did not understand. I am calling someone from our team to help you."))
        yield HandOff("not_understood")
    else:
        yield Say(N_("I did not understand. Choose an option, or say it in other words:"), {}, MENU)

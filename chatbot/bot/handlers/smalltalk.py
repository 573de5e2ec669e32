"""Greeting, thanks, goodbye and fallback."""

from __future__ import annotations

from chatbot.bot import sentences
from chatbot.bot.engine import Effects, HandOff, Say, Turn
from chatbot.bot.understanding.classifier import Intent
from chatbot.conversations.contents import get_ad_headline

MENU = (
    (Intent.INVOICE_COPY, sentences.BUTTON_INVOICE),
    (Intent.PIX_PAYMENT, sentences.BUTTON_PIX),
    (Intent.TALK_TO_HUMAN, sentences.BUTTON_PERSON),
)


def greet(turn: Turn) -> Effects:
    values = {"company": turn.company_name}
    if headline := get_ad_headline(turn.content):
        yield Say(sentences.AD_WELCOME, {**values, "ad": headline}, MENU)
    elif turn.first_name:
        yield Say(sentences.GREETING_BY_NAME, {**values, "name": turn.first_name}, MENU)
    else:
        yield Say(sentences.GREETING, values, MENU)


def answer_thanks(_turn: Turn) -> Effects:
    yield Say(sentences.THANKS)


def say_goodbye(turn: Turn) -> Effects:
    yield Say(sentences.GOODBYE, {"company": turn.company_name})


def fall_back(turn: Turn) -> Effects:
    """Ask again once, then hand off."""
    if turn.last_intent == Intent.FALLBACK:
        yield Say(sentences.NOT_UNDERSTOOD_AGAIN)
        yield HandOff("not_understood")
    else:
        yield Say(sentences.NOT_UNDERSTOOD, {}, MENU)

"""Intents that the bot hands off to a person."""

from __future__ import annotations

from chatbot.bot import sentences
from chatbot.bot.engine import Effects, HandOff, Say, Turn


def hand_off_on_request(_turn: Turn) -> Effects:
    yield Say(sentences.CALLING_PERSON)
    yield HandOff("requested")


def hand_off_complaint(_turn: Turn) -> Effects:
    yield Say(sentences.COMPLAINT)
    yield HandOff("complaint")


def hand_off_payment(_turn: Turn) -> Effects:
    yield Say(sentences.PAYMENT_DONE)
    yield HandOff("payment_done")


def hand_off_topic(turn: Turn) -> Effects:
    yield Say(sentences.TOPIC_FOR_PERSON)
    yield HandOff(turn.intent.value)

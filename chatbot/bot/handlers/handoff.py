"""Intents that the bot hands off to a person."""

from __future__ import annotations

from chatbot.bot.engine import N_, Effects, HandOff, Say, Turn


def hand_off_on_request(_turn: Turn) -> Effects:
    yield Say(N_("All right! I am calling an agent. Someone will answer you here shortly."))
    yield HandOff("requested")


def hand_off_complaint(_turn: Turn) -> Effects:
    yield Say(N_("I am sorry about that. I am calling an agent to look into it with you."))
    yield HandOff("complaint")


def hand_off_payment(_turn: Turn) -> Effects:
    yield Say(
        N_(
            "Thank you for telling us! A boleto takes up to 2 working days to clear, Pix only "
            "minutes. I am passing your message to an agent, who will check it."
        )
    )
    yield HandOff("payment_done")


def hand_off_topic(turn: Turn) -> Effects:
    yield Say(N_("An agent can answer that best. I am calling one; just a moment, please."))
    yield HandOff(turn.intent.value)

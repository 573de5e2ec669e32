"""Turns: claim the conversations whose answer is due, perform what the engine wants, write it down.

The claim is a lease. What is said is written only if the lease and the conversation's state still
hold: an agent may have taken over meanwhile. No transaction is open while an effect is performed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale

from chatbot.billing.service import list_open_invoices
from chatbot.bot.engine import (
    Effect,
    FetchInvoices,
    HandOff,
    OptIn,
    OptOut,
    Say,
    SayVerbatim,
    Talk,
    Turn,
    intent_of,
    part_stops,
)
from chatbot.bot.handlers import ALWAYS, HANDLERS
from chatbot.bot.intents import Intent
from chatbot.bot.rendering import render
from chatbot.contacts import service as contacts
from chatbot.contacts.models import Contact
from chatbot.conversations.context import Context, load_context, store_context
from chatbot.conversations.models import Author, Conversation, ConversationState, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.service import hand_off, is_window_open
from chatbot.core import clock
from chatbot.core.db import db, db_now, reading, skip_locked
from chatbot.core.poison import cut_at_suspect
from chatbot.extensions import settings_of

log = logging.getLogger(__name__)

LEASE_S = 30.0
MAX_ATTEMPTS = 3


@dataclass(slots=True)
class Answer:
    """What a turn wants to be written down."""

    says: list[Say | SayVerbatim] = field(default_factory=list)
    handoff: HandOff | None = None
    consent: OptOut | OptIn | None = None


def claim_due(limit: int) -> tuple[str, list[int]]:
    """Lease the conversations whose turn is due; returns the token and their ids. Commits."""
    token = secrets.token_hex(16)
    free = sa.or_(
        Conversation.turn_leased_until.is_(None), Conversation.turn_leased_until < db_now()
    )
    due = (
        sa.select(Conversation.id, Conversation.turn_attempts)
        .where(Conversation.turn_due_at <= db_now(), free)
        .order_by(Conversation.turn_due_at, Conversation.id)
        .limit(limit)
    )
    with db.engine.begin() as connection:
        ids = cut_at_suspect(connection.execute(skip_locked(due, connection)).all())
        if not ids:
            return token, []
        taken = connection.execute(
            sa.update(Conversation)
            .where(Conversation.id.in_(ids), free)
            .values(
                turn_token=token,
                turn_leased_until=db_now(LEASE_S),
                turn_attempts=Conversation.turn_attempts + 1,
            )
            .returning(Conversation.id)
        )
        return token, list(taken.scalars())


def take_turn(conversation_id: int, token: str) -> None:
    """Answer one claimed conversation. A turn that keeps crashing hands over to a person."""
    session = db.session
    conversation = session.get_one(Conversation, conversation_id, populate_existing=True)
    contact = session.get_one(Contact, conversation.contact_id)
    waiting = list(
        session.scalars(
            sa.select(Message)
            .where(Message.conversation_id == conversation_id, Message.needs_turn)
            .order_by(Message.occurred_at, Message.id)
        )
    )
    context = load_context(conversation)
    state, claimed_due = conversation.state, conversation.turn_due_at
    has_failed = conversation.turn_attempts > MAX_ATTEMPTS
    # No transaction is open while effects are performed, and what was read stays as it was read.
    session.expunge_all()
    session.rollback()
    # Nothing that a crash may hide in is done again, not even understanding the words.
    turn = _make_turn(contact, waiting, context)
    if not has_failed:
        turn = _understand(turn, waiting)
    answer = _give_up(state) if has_failed else _answer(turn, contact.id, state)
    with force_locale(_language(contact)):
        _write(conversation_id, token, state, claimed_due, waiting, turn, answer, context)


def _understand(turn: Turn, waiting: Sequence[Message]) -> Turn:
    button_id = _button_id(waiting[-1]) if waiting else None
    texts = [message.text for message in waiting if message.text]
    stops, others = part_stops(texts)
    intent, confidence = intent_of(others or texts, button_id)
    if stops and not others:
        intent, confidence = Intent.OPT_OUT, 1.0
    stop_text = "\n".join(stops) if others else ""
    return replace(turn, intent=intent, confidence=confidence, stop_text=stop_text)


def _make_turn(contact: Contact, waiting: Sequence[Message], context: Context) -> Turn:
    settings = settings_of(current_app)
    return Turn(
        text="\n".join(message.text for message in waiting if message.text),
        intent=Intent.FALLBACK,
        last_intent=context.last_intent,
        slots=context.slots,
        contact_name=contact.name,
        company_name=settings.company_name,
        today=datetime.now(ZoneInfo(settings.timezone)).date(),
        is_opted_out=contact.opted_out_at is not None,
    )


def _button_id(message: Message) -> str | None:
    """The id of a tapped reply button, list row or template button."""
    payload = message.payload
    for kind in ("button_reply", "list_reply"):
        chosen = payload.get(kind)
        if isinstance(chosen, dict) and isinstance(chosen.get("id"), str):
            return str(chosen["id"])
    tapped = payload.get("payload")
    return tapped if isinstance(tapped, str) else None


def _give_up(state: str) -> Answer:
    log.error("the bot failed %d times at one turn; a person takes over", MAX_ATTEMPTS)
    is_bots = state == ConversationState.BOT
    return Answer([Say(_FAILED)], HandOff("bot_failed")) if is_bots else Answer()


def _answer(turn: Turn, contact_id: int, state: str) -> Answer:
    """Run the handler and perform what it wants."""
    answer = Answer()
    if turn.stop_text:
        stop = replace(turn, text=turn.stop_text, intent=Intent.OPT_OUT)
        _hold(HANDLERS[Intent.OPT_OUT](stop), answer, contact_id)
    if state != ConversationState.BOT and turn.intent not in ALWAYS:
        return answer
    if not turn.text and turn.intent is Intent.FALLBACK:
        return Answer([Say(_UNREADABLE)])  # a picture or a voice message without words
    _hold(HANDLERS[turn.intent](turn), answer, contact_id)
    return answer


def _hold(talk: Talk, answer: Answer, contact_id: int) -> None:
    """Hold a handler's talk to its end, giving it what its effects bring."""
    reply: Any = None
    while True:
        try:
            effect = talk.send(reply)
        except StopIteration:
            return
        reply = _perform(effect, answer, contact_id)


_UNREADABLE = "I can only read text for now. Please write what you need, or ask for a person."
_FAILED = "Something went wrong on our side. I am calling an attendant to help you."


def _perform(effect: Effect, answer: Answer, contact_id: int) -> Any:
    match effect:
        case Say() | SayVerbatim():
            answer.says.append(effect)
        case FetchInvoices():
            with reading():
                invoices = list_open_invoices(contact_id)
                db.session.rollback()
            return invoices
        case HandOff():
            answer.handoff = effect
        case OptOut() | OptIn():
            answer.consent = effect
    return None


def _write(
    conversation_id: int,
    token: str,
    state: str,
    claimed_due: datetime | None,
    waiting: Sequence[Message],
    turn: Turn,
    answer: Answer,
    context: Context,
) -> bool:
    """One transaction; False when the lease or the state is gone, and then nothing is written."""
    session = db.session
    conversation = session.scalar(
        sa.select(Conversation)
        .where(Conversation.id == conversation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if conversation is None or conversation.turn_token != token or conversation.state != state:
        session.rollback()
        return False
    session.execute(
        sa.update(Message)
        .where(Message.id.in_([message.id for message in waiting]))
        .values(needs_turn=False)
        .execution_options(synchronize_session=False)
    )
    for message in waiting:
        context.add(Author.CONTACT, message.text)
    if is_window_open(conversation):
        for say in answer.says:
            text, body = render(say)
            queue_message(conversation, body, text, Author.BOT)
            context.add(Author.BOT, text)
    _apply(conversation, turn, answer, waiting)
    # A message that came meanwhile has set a new due time: it is left to the next turn.
    if conversation.turn_due_at == claimed_due:
        conversation.turn_due_at = None
    conversation.turn_token = None
    conversation.turn_leased_until = None
    conversation.turn_attempts = 0
    context.last_intent = conversation.last_intent
    context.version = conversation.version
    store_context(conversation_id, context)
    session.commit()
    return True


def _apply(
    conversation: Conversation, turn: Turn, answer: Answer, waiting: Sequence[Message]
) -> None:
    if answer.consent is not None:
        contact = db.session.get_one(Contact, conversation.contact_id)
        note = contacts.opt_out if isinstance(answer.consent, OptOut) else contacts.opt_in
        source = "button" if any(m.kind == "button" for m in waiting) else "bot"
        note(contact, source, answer.consent.evidence)
    if waiting:
        newest = waiting[-1].occurred_at
        conversation.answered_until = max(conversation.answered_until or newest, newest)
    if conversation.state == ConversationState.BOT:
        conversation.last_intent = turn.intent.value
        conversation.unread_count = 0
    conversation.version += 1
    if answer.handoff is not None:
        hand_off(conversation, answer.handoff.reason)
        conversation.unread_count = len(waiting)


def _language(contact: Contact) -> str:
    chosen = contact.attributes.get("language")
    return "en" if chosen in ("en", "ingles", "english") else settings_of(current_app).locale


def put_off(conversation_id: int, token: str, seconds: float) -> None:
    """After an error: free the lease in `seconds`, so that the contact does not wait for its end."""
    with db.engine.begin() as connection:
        connection.execute(
            sa.update(Conversation)
            .where(Conversation.id == conversation_id, Conversation.turn_token == token)
            .values(turn_leased_until=db_now(seconds))
        )


def seconds_to_next() -> float | None:
    """How long until a turn is due (0: now); None when none is."""
    free = sa.or_(
        Conversation.turn_leased_until.is_(None), Conversation.turn_leased_until < db_now()
    )
    query = sa.select(sa.func.min(Conversation.turn_due_at)).where(
        Conversation.turn_due_at.is_not(None), free
    )
    with reading(), db.engine.connect() as connection:
        due_at = connection.scalar(query)
    return None if due_at is None else max(0.0, (due_at - clock.now()).total_seconds())

"""Turns: perform the handlers' effects for a claimed conversation and store the result.

The result is stored only if the lease and the conversation's state still hold: an agent may have taken
over meanwhile. No transaction is open while an effect is performed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale

from chatbot.billing.service import list_open_invoices
from chatbot.bot import sentences
from chatbot.bot.engine import (
    Effect,
    Effects,
    FetchInvoices,
    HandOff,
    OptIn,
    OptOut,
    Say,
    SayVerbatim,
    Turn,
    detect_intent,
    separate_opt_outs,
)
from chatbot.bot.handlers import ALWAYS_HANDLED, HANDLERS
from chatbot.bot.handlers.contents import CONTENT_HANDLERS, choose_content_handler, comes_from_ad
from chatbot.bot.intents import Intent
from chatbot.bot.loops import MAX_REPEATS, is_loop, load_recent_messages
from chatbot.bot.rendering import render
from chatbot.contacts import service as contacts
from chatbot.contacts.models import Contact
from chatbot.conversations.contents import get_ad_headline
from chatbot.conversations.context import Context, load_context, store_context
from chatbot.conversations.models import Author, Conversation, ConversationState, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.service import hand_off, is_window_open
from chatbot.core.db import db, read_only
from chatbot.extensions import get_settings

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3


@dataclass(slots=True)
class TurnResult:
    """Collected effects of a turn, to be stored in one transaction."""

    replies: list[Say | SayVerbatim] = field(default_factory=list)
    handoff: HandOff | None = None
    consent: OptOut | OptIn | None = None


def run_turn(conversation_id: int, token: str) -> None:
    """Answer one claimed conversation, or hand it off after too many failed turns."""
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
    is_looping = _may_loop(context) and is_loop(load_recent_messages(conversation_id))
    # Detached, so that no transaction is open while effects are performed.
    session.expunge_all()
    session.rollback()
    # After too many failures run no code that may have crashed, not even the classifier.
    turn = _build_turn(contact, waiting, context)
    if not has_failed:
        turn = _detect_turn_intent(turn, waiting)
    result = _hand_off_failed_turn(state) if has_failed else _run_handlers(turn, contact.id, state)
    if is_looping and not has_failed:
        result = _end_loop(turn, result, state)
    with force_locale(_choose_language(contact)):
        _store_result(conversation_id, token, state, claimed_due, waiting, turn, result, context)


def _detect_turn_intent(turn: Turn, waiting: Sequence[Message]) -> Turn:
    button_id = _find_button_id(waiting[-1]) if waiting else None
    texts = [message.text for message in waiting if message.text]
    opt_outs, others = separate_opt_outs(texts)
    intent, confidence = detect_intent(others or texts, button_id)
    if opt_outs and not others:
        intent, confidence = Intent.OPT_OUT, 1.0
    opt_out_text = "\n".join(opt_outs) if others else ""
    if intent is Intent.FALLBACK and turn.last_intent != Intent.GREETING and comes_from_ad(turn):
        intent = Intent.GREETING
    return replace(turn, intent=intent, confidence=confidence, opt_out_text=opt_out_text)


def _build_turn(contact: Contact, waiting: Sequence[Message], context: Context) -> Turn:
    settings = get_settings(current_app)
    kind, content = _find_content(waiting)
    return Turn(
        text="\n".join(message.text for message in waiting if message.text),
        intent=Intent.FALLBACK,
        content_kind=kind,
        content=content,
        last_intent=context.last_intent,
        slots=context.slots,
        contact_name=contact.name,
        company_name=settings.company_name,
        today=datetime.now(ZoneInfo(settings.timezone)).date(),
        is_opted_out=contact.opted_out_at is not None,
    )


def _find_content(waiting: Sequence[Message]) -> tuple[str, Mapping[str, Any]]:
    """Return kind and payload of the last message with content of its own, else of one from an ad."""
    for message in reversed(waiting):
        if message.kind in CONTENT_HANDLERS:
            return message.kind, message.payload
    ads = (m for m in waiting if get_ad_headline(m.payload) is not None)
    return next(((m.kind, m.payload) for m in ads), ("", {}))


def _find_button_id(message: Message) -> str | None:
    """Return the id of a tapped reply button, list row or template button."""
    payload = message.payload
    for kind in ("button_reply", "list_reply"):
        chosen = payload.get(kind)
        if isinstance(chosen, dict) and isinstance(chosen.get("id"), str):
            return str(chosen["id"])
    tapped = payload.get("payload")
    return tapped if isinstance(tapped, str) else None


def _hand_off_failed_turn(state: str) -> TurnResult:
    log.error("the bot failed %d times at one turn; a person takes over", MAX_ATTEMPTS)
    is_bots = state == ConversationState.BOT
    return TurnResult([Say(sentences.FAILED)], HandOff("bot_failed")) if is_bots else TurnResult()


def _may_loop(context: Context) -> bool:
    """Return whether the bot has answered often enough for a loop, from what is loaded anyway."""
    return sum(message.author == Author.BOT for message in context.messages) >= MAX_REPEATS - 1


def _end_loop(turn: Turn, result: TurnResult, state: str) -> TurnResult:
    """Keep the wish to stop or to receive and its first confirmation, and say one last sentence."""
    is_news = isinstance(result.consent, OptOut) and not turn.is_opted_out
    replies = [s for s in result.replies if is_news and isinstance(s, Say) and s.is_mandatory]
    ended = TurnResult([*replies], consent=result.consent)
    if state == ConversationState.BOT:
        log.info("the bot stops answering a contact who seems to be a program")
        ended.replies.append(Say(sentences.LOOP))
        ended.handoff = HandOff("bot_loop")
    return ended


def _run_handlers(turn: Turn, contact_id: int, state: str) -> TurnResult:
    """Run the handlers of the turn and collect their effects."""
    result = TurnResult()
    if turn.opt_out_text:
        stop = replace(turn, text=turn.opt_out_text, intent=Intent.OPT_OUT, confidence=1.0)
        _run_effects(HANDLERS[Intent.OPT_OUT](stop), result, contact_id)
    is_decided = turn.intent in ALWAYS_HANDLED and turn.confidence == 1.0
    if state != ConversationState.BOT and not is_decided:
        return result
    handler = None if turn.intent in ALWAYS_HANDLED else choose_content_handler(turn)
    _run_effects((handler or HANDLERS[turn.intent])(turn), result, contact_id)
    return result


def _run_effects(effects: Effects, result: TurnResult, contact_id: int) -> None:
    """Run a handler to its end, sending it the results of its effects."""
    reply: Any = None
    while True:
        try:
            effect = effects.send(reply)
        except StopIteration:
            return
        reply = _perform_effect(effect, result, contact_id)


def _perform_effect(effect: Effect, result: TurnResult, contact_id: int) -> Any:
    match effect:
        case Say() | SayVerbatim():
            result.replies.append(effect)
        case FetchInvoices():
            with read_only():
                invoices = list_open_invoices(contact_id)
                db.session.rollback()
            return invoices
        case HandOff():
            result.handoff = effect
        case OptOut() | OptIn():
            result.consent = effect
    return None


def _store_result(
    conversation_id: int,
    token: str,
    state: str,
    claimed_due: datetime | None,
    waiting: Sequence[Message],
    turn: Turn,
    result: TurnResult,
    context: Context,
) -> bool:
    """Store the result in one transaction; return False if the lease or the state has changed."""
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
        for say in result.replies:
            text, body = render(say)
            is_mandatory = isinstance(say, Say) and say.is_mandatory
            queue_message(conversation, body, text, Author.BOT, is_mandatory=is_mandatory)
            context.add(Author.BOT, text)
    _apply_result(conversation, turn, result, waiting)
    # A message that came meanwhile has set a new due time, for the next turn.
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


def _apply_result(
    conversation: Conversation, turn: Turn, result: TurnResult, waiting: Sequence[Message]
) -> None:
    if result.consent is not None:
        contact = db.session.get_one(Contact, conversation.contact_id)
        record_consent = contacts.opt_out if isinstance(result.consent, OptOut) else contacts.opt_in
        source = "button" if any(m.kind == "button" for m in waiting) else "bot"
        record_consent(contact, source, result.consent.evidence)
    if waiting:
        newest = waiting[-1].occurred_at
        conversation.answered_until = max(conversation.answered_until or newest, newest)
    if conversation.state == ConversationState.BOT:
        conversation.last_intent = turn.intent.value if turn.text else None
        conversation.unread_count = 0
    conversation.version += 1
    if result.handoff is not None:
        hand_off(conversation, result.handoff.reason)
        conversation.unread_count = len(waiting)


def _choose_language(contact: Contact) -> str:
    chosen = contact.attributes.get("language")
    return "en" if chosen in ("en", "ingles", "english") else get_settings(current_app).locale

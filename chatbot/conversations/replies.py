"""The ledger of replies: what a bot or an agent says, sent in order to each contact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.channels.media.models import MediaFile
from chatbot.channels.models import Channel
from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import Reaction
from chatbot.channels.whatsapp.payloads import addressed, with_media_id
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import learn_wa_ids
from chatbot.conversations.consequences import MessageConsequences, contact_of_message
from chatbot.conversations.models import (
    Author,
    Conversation,
    ConversationState,
    Message,
    thread_topic,
)
from chatbot.conversations.service import has_open_window
from chatbot.core.db import db_now, reading, serialize
from chatbot.core.rows import these
from chatbot.delivery.callback import CallbackId
from chatbot.delivery.ledger import Ledger, claim, claim_statement
from chatbot.delivery.source import Lane, Parcel
from chatbot.delivery.states import State

LEDGER = Ledger(
    "m",
    Message.__table__,  # type: ignore[arg-type]
    "conversation_id",
    thread_topic,
    consequences=MessageConsequences(),
)


class ReplySource:
    """Queued replies of one channel. Implements `delivery.sender.Source`."""

    ledger = LEDGER
    is_reply = True

    def __init__(self, engine: sa.Engine, channel_id: int) -> None:
        self._engine = engine
        self._channel_id = channel_id
        due = _due(channel_id).limit(sa.bindparam("most", type_=sa.Integer))
        self._claim = claim_statement(engine, LEDGER, due, _fence())
        self.touched: set[int] = set()  # conversations whose replies were taken

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        with self._engine.begin() as connection:
            # Two claims at once could each take one message of a thread, and lose their order.
            serialize(connection, f"replies.claim:{self._channel_id}")
            return claim(connection, LEDGER, self._claim, token, lease_s, most=limit)

    def load(self, token: str) -> list[Lane]:
        query = (
            sa.select(
                Message.id,
                Message.attempt,
                Message.claim_token,
                Message.conversation_id,
                Message.payload,
                MediaFile.media_id,
                Contact.address.label("to"),
            )
            .join(Conversation, Conversation.id == Message.conversation_id)
            .join(Contact, Contact.id == Conversation.contact_id)
            .join(MediaFile, MediaFile.id == Message.media_file_id, isouter=True)
            .where(Message.claim_token == token, Message.state == State.SENDING)
            .order_by(Message.conversation_id, Message.id)
        )
        with reading(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        self.touched |= {row.conversation_id for row in rows}
        return [
            [_parcel(row) for row in lane]
            for _, lane in groupby(rows, key=lambda row: row.conversation_id)
        ]

    def learn(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        query = contact_of_message().where(Message.id.in_(list(wa_ids)))
        learn_wa_ids(connection, {i: wa_ids[row_id] for row_id, i in connection.execute(query)})

    def halt(self, reaction: Reaction, code: int, detail: str, row_id: int) -> None:
        with self._engine.begin() as connection:
            if reaction is Reaction.TOKEN:
                halt_channel(connection, self._channel_id, f"({code}) {detail}")
            else:  # a reply has no campaign to pause: this one message is given up
                give_up(connection, row_id, code, detail)


def conversations_of(connection: sa.Connection, row_ids: Iterable[int]) -> set[int]:
    """The conversations in which these messages stand."""
    query = sa.select(Message.conversation_id).where(Message.id.in_(these(connection, row_ids)))
    return set(connection.scalars(query))


def give_up(connection: sa.Connection, row_id: int, code: int, detail: str) -> None:
    LEDGER.update(
        connection,
        sa.update(Message)
        .where(Message.id == row_id, Message.state == State.SENDING)
        .values(state=State.FAILED, error_code=code, error_detail=detail[:500], failed_at=db_now()),
    )


def _due(channel_id: int) -> sa.Select[Any]:
    """Due replies whose file Meta has; passing over a thread in which an earlier one is on the wire,
    put off, or waits for its file."""
    earlier = aliased(Message)
    blocked = sa.exists().where(
        earlier.conversation_id == Message.conversation_id,
        earlier.id < Message.id,
        sa.or_(
            earlier.state == State.SENDING,
            sa.and_(
                earlier.state == State.QUEUED,
                sa.or_(earlier.due_at > db_now(), ~_has_its_file(earlier)),
            ),
        ),
    )
    return (
        sa.select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Channel, Channel.id == Conversation.channel_id)
        .where(
            Conversation.channel_id == channel_id,
            Channel.halted_reason.is_(None),
            Message.state == State.QUEUED,
            Message.due_at <= db_now(),
            _has_its_file(Message),
            ~blocked,
        )
        .order_by(Message.id)
    )


def _has_its_file(message: Any) -> sa.ColumnElement[bool]:
    uploaded = MediaFile.media_id.is_not(None)
    return sa.or_(message.media_file_id.is_(None), _file_of(message, uploaded))


def _file_of(message: Any, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """That a message's file fulfils a condition; however deep it stands, it is about that message."""
    return sa.exists().where(MediaFile.id == message.media_file_id, condition).correlate(message)


def _fence() -> sa.ColumnElement[bool]:
    """The window must be open, unless it is a template; and a bot must not speak once a person has
    taken over."""
    return sa.exists().where(
        Conversation.id == Message.conversation_id,
        sa.or_(has_open_window(), Message.kind == "template"),
        sa.or_(Message.author != Author.BOT, Conversation.state != ConversationState.ASSIGNED),
    )


def count_due(connection: sa.Connection, channel_id: int, most: int) -> int:
    """How many replies are due, counted up to `most`."""
    due = _due(channel_id).limit(most).subquery()
    return connection.scalar(sa.select(sa.func.count()).select_from(due)) or 0


def skip_unsendable(connection: sa.Connection) -> int:
    """What the fence keeps back for good is said to be skipped, and why."""
    skipped = 0
    reasons = {
        "window_closed": sa.and_(Message.kind != "template", ~has_open_window()),
        "media_refused": _file_of(Message, MediaFile.problem.is_not(None)),
        "agent_took_over": sa.and_(
            Message.author == Author.BOT, Conversation.state == ConversationState.ASSIGNED
        ),
    }
    for reason, condition in reasons.items():
        holds = sa.exists().where(Conversation.id == Message.conversation_id, condition)
        no_more = (
            sa.update(Message)
            .where(Message.state == State.QUEUED, holds)
            .values(state=State.SKIPPED, skip_reason=reason)
        )
        skipped += len(LEDGER.update(connection, no_more))
    return skipped


def _parcel(row: Any) -> Parcel:
    if not row.to:
        return Parcel(
            row.id, row.attempt, row.claim_token, "", None, "The contact has no WhatsApp address."
        )
    callback = str(CallbackId(LEDGER.prefix, row.id, row.attempt))
    body = with_media_id(row.payload, row.media_id) if row.media_id else row.payload
    return Parcel(row.id, row.attempt, row.claim_token, row.to, addressed(body, row.to, callback))

"""Send table of replies: messages of the bot and of agents, sent in order within a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.channels.media.models import MediaFile
from chatbot.channels.models import Channel
from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.channels.whatsapp.payloads import render_request, with_media_id
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import record_wa_ids
from chatbot.conversations.models import (
    Author,
    Conversation,
    ConversationState,
    Message,
    thread_cache_tag,
)
from chatbot.conversations.reply_side_effects import MessageSideEffects, select_message_contacts
from chatbot.conversations.service import window_is_open_condition
from chatbot.core.db import advisory_lock, db_now, read_only
from chatbot.core.db.bulk_sql import id_list
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import CallbackId, OutboundMessage, RecipientQueue
from chatbot.delivery.send_table import SendTable, claim_rows, claim_statement

REPLY_SEND_TABLE = SendTable(
    "m",
    Message.__table__,  # type: ignore[arg-type]
    "conversation_id",
    thread_cache_tag,
    side_effects=MessageSideEffects(),
)


class ReplySource:
    """Queued replies of one channel. Implements `delivery.outbound.SendSource`."""

    send_table = REPLY_SEND_TABLE
    is_reply = True

    def __init__(self, engine: sa.Engine, channel_id: int) -> None:
        self._engine = engine
        self._channel_id = channel_id
        due = _select_due(channel_id).limit(sa.bindparam("most", type_=sa.Integer))
        self._claim = claim_statement(engine, REPLY_SEND_TABLE, due, _fence())
        self.claimed_conversation_ids: set[int] = set()
        self._installation = ""  # known once something is claimed

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        with self._engine.begin() as connection:
            # Concurrent claims could split a thread between them and break its order.
            advisory_lock(connection, f"replies.claim:{self._channel_id}")
            taken = claim_rows(
                connection, REPLY_SEND_TABLE, self._claim, token, lease_s, most=limit
            )
            if taken:
                self._installation = get_installation_id(connection)
            return taken

    def load(self, token: str) -> list[RecipientQueue]:
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
            .where(Message.claim_token == token, Message.state == MessageState.SENDING)
            .order_by(Message.conversation_id, Message.id)
        )
        with read_only(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        self.claimed_conversation_ids |= {row.conversation_id for row in rows}
        return [
            [_build_outbound_message(row, self._installation) for row in queue]
            for _, queue in groupby(rows, key=lambda row: row.conversation_id)
        ]

    def save_wa_ids(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        query = select_message_contacts().where(Message.id.in_(list(wa_ids)))
        record_wa_ids(connection, {i: wa_ids[row_id] for row_id, i in connection.execute(query)})

    def halt(self, policy: ErrorPolicy, code: int, detail: str, row_id: int) -> None:
        with self._engine.begin() as connection:
            if policy is ErrorPolicy.TOKEN:
                halt_channel(connection, self._channel_id, f"({code}) {detail}")
            else:  # a reply has no campaign to pause, so only this message fails
                mark_failed(connection, row_id, code, detail)


def find_conversation_ids(connection: sa.Connection, row_ids: Iterable[int]) -> set[int]:
    """Return the ids of the conversations that these messages belong to."""
    query = sa.select(Message.conversation_id).where(Message.id.in_(id_list(connection, row_ids)))
    return set(connection.scalars(query))


def mark_failed(connection: sa.Connection, row_id: int, code: int, detail: str) -> None:
    REPLY_SEND_TABLE.update(
        connection,
        sa.update(Message)
        .where(Message.id == row_id, Message.state == MessageState.SENDING)
        .values(
            state=MessageState.FAILED,
            error_code=code,
            error_detail=detail[:500],
            failed_at=db_now(),
        ),
    )


def _select_due(channel_id: int) -> sa.Select[Any]:
    """Select due replies whose file, if any, is uploaded.

    Skips threads in which an earlier reply is being sent, deferred or waiting for its file.
    """
    earlier = aliased(Message)
    blocked = sa.exists().where(
        earlier.conversation_id == Message.conversation_id,
        earlier.id < Message.id,
        sa.or_(
            earlier.state == MessageState.SENDING,
            sa.and_(
                earlier.state == MessageState.QUEUED,
                sa.or_(earlier.due_at > db_now(), ~_has_uploaded_file(earlier)),
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
            Message.state == MessageState.QUEUED,
            Message.due_at <= db_now(),
            _has_uploaded_file(Message),
            ~blocked,
        )
        .order_by(Message.id)
    )


def _has_uploaded_file(message: Any) -> sa.ColumnElement[bool]:
    uploaded = MediaFile.media_id.is_not(None)
    return sa.or_(message.media_file_id.is_(None), _has_file_where(message, uploaded))


def _has_file_where(message: Any, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition that the message's file meets `condition`.

    It is correlated explicitly, so it refers to this message in nested queries too.
    """
    return sa.exists().where(MediaFile.id == message.media_file_id, condition).correlate(message)


def _fence() -> sa.ColumnElement[bool]:
    """Return the condition that is checked again when rows are claimed.

    The service window must be open unless the message is a template, and the bot must not answer once
    an agent has taken over, except with a mandatory message.
    """
    return sa.exists().where(
        Conversation.id == Message.conversation_id,
        sa.or_(window_is_open_condition(), Message.kind == "template"),
        ~_is_silenced(),
    )


def _is_silenced() -> sa.ColumnElement[bool]:
    """Return the condition that an agent has taken over from the bot that wrote the message."""
    return sa.and_(
        Message.author == Author.BOT,
        ~Message.is_mandatory,
        Conversation.state == ConversationState.ASSIGNED,
    )


def count_due(connection: sa.Connection, channel_id: int, most: int) -> int:
    """Return the number of due replies, at most `most`."""
    due = _select_due(channel_id).limit(most).subquery()
    return connection.scalar(sa.select(sa.func.count()).select_from(due)) or 0


def skip_unsendable(connection: sa.Connection) -> int:
    """Mark replies that can no longer be sent as skipped, with the reason; return their number."""
    skipped = 0
    reasons = {
        "window_closed": sa.and_(Message.kind != "template", ~window_is_open_condition()),
        "media_refused": _has_file_where(Message, MediaFile.problem.is_not(None)),
        "agent_took_over": _is_silenced(),
    }
    for reason, condition in reasons.items():
        holds = sa.exists().where(Conversation.id == Message.conversation_id, condition)
        statement = (
            sa.update(Message)
            .where(Message.state == MessageState.QUEUED, holds)
            .values(state=MessageState.SKIPPED, skip_reason=reason)
        )
        skipped += len(REPLY_SEND_TABLE.update(connection, statement))
    return skipped


def _build_outbound_message(row: Any, installation: str) -> OutboundMessage:
    if not row.to:
        return OutboundMessage(
            row.id, row.attempt, row.claim_token, "", None, "The contact has no WhatsApp address."
        )
    callback = str(CallbackId(REPLY_SEND_TABLE.prefix, row.id, row.attempt, installation))
    body = with_media_id(row.payload, row.media_id) if row.media_id else row.payload
    return OutboundMessage(
        row.id, row.attempt, row.claim_token, row.to, render_request(body, row.to, callback)
    )

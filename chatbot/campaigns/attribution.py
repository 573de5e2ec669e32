"""Attribution of inbound messages to campaigns: the one they quote, else the last one shortly before.

Sending a campaign writes nothing into conversations. Only when somebody answers is the campaign's message
added to the thread, so that agents see what the answer is about.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.drafting.preflight import render_sample
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Author, Conversation, Direction, Message
from chatbot.core.db import db, upsert
from chatbot.delivery.models import RANK, MessageState
from chatbot.message_templates.models import MessageTemplate

_ACCEPTED_STATES = [state for state in MessageState if RANK[state] >= RANK[MessageState.ACCEPTED]]


def attribute_answer(answer: Message, hours: float) -> Campaign | None:
    """Return the campaign that an inbound message answers, if any. A recipient's first answer is recorded.

    A message that quotes nothing counts if it comes within `hours` after the campaign's message.
    """
    conversation = db.session.get_one(Conversation, answer.conversation_id)
    recipient = _find_quoted_recipient(answer) or _find_recent_recipient(
        answer, conversation.contact_id, hours
    )
    if recipient is None:
        return None
    campaign = db.session.get_one(Campaign, recipient.campaign_id)
    if recipient.answered_at is None:
        recipient.answered_at = answer.occurred_at
        _add_to_thread(conversation, campaign, recipient)
    return campaign


def _find_quoted_recipient(answer: Message) -> Recipient | None:
    if not answer.context_wamid:
        return None
    return db.session.scalar(sa.select(Recipient).where(Recipient.wamid == answer.context_wamid))


def _find_recent_recipient(answer: Message, contact_id: int, hours: float) -> Recipient | None:
    merged = sa.select(Contact.id).where(Contact.merged_into_id == contact_id)
    query = (
        sa.select(Recipient)
        .where(
            sa.or_(Recipient.contact_id == contact_id, Recipient.contact_id.in_(merged)),
            Recipient.state.in_(_ACCEPTED_STATES),
            Recipient.accepted_at <= answer.occurred_at + timedelta(seconds=1),
            Recipient.accepted_at > answer.occurred_at - timedelta(hours=hours),
        )
        .order_by(Recipient.accepted_at.desc())
        .limit(1)
    )
    return db.session.scalar(query)


def _add_to_thread(conversation: Conversation, campaign: Campaign, recipient: Recipient) -> None:
    """Add the campaign's message, once (the wamid is unique). Its state follows the recipient's."""
    template = db.session.get_one(MessageTemplate, campaign.template_id)
    contact = db.session.get_one(Contact, recipient.contact_id)
    values: dict[str, Any] = {
        "conversation_id": conversation.id,
        "direction": Direction.OUTBOUND,
        "author": Author.CAMPAIGN,
        "state": recipient.state,
        "attempt": recipient.attempt,
        "kind": "template",
        "text": render_sample(template, campaign.parameters, contact),
        "payload": {"campaign_id": campaign.id, "campaign": campaign.name},
        "wamid": recipient.wamid,
        "occurred_at": recipient.accepted_at,
        "recorded_at": recipient.accepted_at,
        "due_at": recipient.accepted_at,
        "needs_turn": False,
    }
    connection = db.session.connection()
    connection.execute(upsert(connection, Message).values(**values).on_conflict_do_nothing())

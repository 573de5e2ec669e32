"""A test of a campaign, sent to oneself: what one of its people would get, as an ordinary message of the
conversation with the phone that was named. No recipient is made, and no figure moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.audience import audience_of
from chatbot.campaigns.drafts import template_of
from chatbot.campaigns.ledger import SUPPRESSED
from chatbot.campaigns.models import Campaign, CampaignState, Recipient, Trial
from chatbot.campaigns.parameters import MissingValue, check_parameters, fill
from chatbot.campaigns.service import get_campaign, raise_conflict
from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.payloads import template_body
from chatbot.channels.whatsapp.payloads.limits import FILLED_TEMPLATE, check_length
from chatbot.contacts.lookup import get_by_id_or_phone
from chatbot.contacts.models import Contact
from chatbot.contacts.service import get_or_add_by_phone
from chatbot.conversations.joining import get_conversation
from chatbot.conversations.models import Author, Conversation, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.service import find_reply
from chatbot.core.db import db
from chatbot.core.errors import AppError, InvalidInput, NotFound
from chatbot.core.phone import InvalidPhone, Phone, parse_phone
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_usable
from chatbot.message_templates.texts import (
    optional_parameters_of,
    parameters_of,
    preview,
    render_text,
)
from chatbot.message_templates.values import check_values

MAY_BE_TRIED = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.PAUSED)
SHOWN = 5


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Who sends the test. `user_id` is None at the command line."""

    name: str
    user_id: int | None = None


def send_trial(
    campaign_id: int,
    asked_by: AskedBy,
    *,
    phone: str,
    like: str = "",
    client_token: str | None = None,
) -> Message:
    """Queue the campaign's template for `phone`, with the values of the contact `like` (id or phone),
    else of the first whom it would go to, else of whoever has the phone.

    Raises:
        Conflict: the campaign is running, or over.
        InvalidInput: naming the phone, the template, or the value that is missing.
    """
    campaign = get_campaign(campaign_id, lock=True)  # two clicks come one after the other
    if campaign.state not in MAY_BE_TRIED:
        raise_conflict(campaign)
    template = template_of(campaign)
    _check(campaign, template)
    contact = _receiver(_parse(phone), asked_by.name)
    conversation = get_conversation(
        db.session.get_one(Channel, campaign.channel_id), contact, lock=True
    )
    known = find_reply(conversation, client_token)
    if known is not None:
        return known
    values = _values(campaign, template, find_example(campaign, like) or contact)
    return _queue(campaign, template, values, conversation, asked_by, client_token)


def _check(campaign: Campaign, template: MessageTemplate) -> None:
    check_usable(template)
    components = template.components
    check_parameters(
        parameters_of(components), campaign.parameters, optional_parameters_of(components)
    )


def _parse(typed: str) -> Phone:
    try:
        return parse_phone(typed)
    except InvalidPhone as fault:
        raise InvalidInput(str(fault), field="phone") from None


def _receiver(phone: Phone, name: str) -> Contact:
    """Of a new contact it is the name: without one, campaigns to all contacts could not start."""
    contact = get_or_add_by_phone(phone, name)
    if contact.opted_out_at is not None:
        raise InvalidInput(
            "Whoever has this phone wants no campaigns, and a test is one: use another phone, or "
            "record on the contact's page that they agree.",
            field="phone",
        )
    return contact


def find_example(campaign: Campaign, like: str = "") -> Contact | None:
    """Whose values a test shows: `like`, who must be among the campaign's people, else the first whom
    it may reach; None while there is nobody. Raises InvalidInput."""
    try:
        people = _people(campaign)
    except AppError:  # no audience chosen yet, or a segment that is gone
        if like.strip():
            raise
        return None
    if like.strip():
        return _chosen(people, like.strip())
    reachable = [~condition for condition in SUPPRESSED.values()]
    query = sa.select(Contact).where(Contact.id.in_(people), *reachable)
    return db.session.scalar(query.order_by(Contact.id).limit(1))


def _people(campaign: Campaign) -> sa.Select[Any]:
    """Once it has been started, those whom it was frozen to."""
    if campaign.started_at is None:
        return audience_of(campaign.audience)
    return sa.select(Recipient.contact_id).where(Recipient.campaign_id == campaign.id)


def _chosen(people: sa.Select[Any], like: str) -> Contact:
    try:
        contact = get_by_id_or_phone(like)
    except NotFound as unknown:
        raise InvalidInput(unknown.message, field="like") from None
    is_one = sa.select(Contact.id).where(Contact.id == contact.id, Contact.id.in_(people))
    if db.session.scalar(is_one) is None:
        raise InvalidInput(
            "This contact is not in the campaign's audience: name one who is, or nobody.",
            field="like",
        )
    return contact


def _values(campaign: Campaign, template: MessageTemplate, example: Contact) -> dict[str, str]:
    try:
        values = fill(campaign.parameters, example)
    except MissingValue as missing:
        raise InvalidInput(
            "%(who)s has no %(name)s, which a parameter needs: choose another contact whose values "
            "the test shows, or fill it in.",
            field="like",
            who=example.name or example.address or f"#{example.id}",
            name=missing.name,
        ) from None
    components = template.components
    check_values(parameters_of(components), optional_parameters_of(components), values)
    check_length("text", preview(components, values).body, FILLED_TEMPLATE)
    return values


def _queue(
    campaign: Campaign,
    template: MessageTemplate,
    values: dict[str, str],
    conversation: Conversation,
    asked_by: AskedBy,
    client_token: str | None,
) -> Message:
    """The conversation stays whose it was: so the bot answers what one answers to the test."""
    components = template.components
    body = template_body(
        template.name,
        template.language,
        values,
        named=template.parameter_format == "NAMED",
        components=components,
    )
    text = render_text(components, values)
    message = queue_message(conversation, body, text, Author.TRIAL, asked_by.user_id, client_token)
    db.session.add(
        Trial(
            campaign_id=campaign.id,
            message_id=message.id,
            user_id=asked_by.user_id,
            sent_by=asked_by.name,
        )
    )
    return message


def list_trials(campaign_id: int) -> Sequence[Any]:
    """Rows of (Trial, Message, Contact), the latest first."""
    return db.session.execute(_trials().where(Trial.campaign_id == campaign_id).limit(SHOWN)).all()


def remembered_phone(user_id: int) -> str:
    """Where this user's last test went to; empty when the contact has been erased since."""
    query = _trials().where(Trial.user_id == user_id).limit(1)
    return db.session.scalar(query.with_only_columns(Contact.address)) or ""


def _trials() -> Any:
    return (
        sa.select(Trial, Message, Contact)
        .join(Message, Message.id == Trial.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Contact, Contact.id == Conversation.contact_id)
        .order_by(Trial.id.desc())
    )

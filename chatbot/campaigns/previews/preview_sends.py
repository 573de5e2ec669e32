"""Preview sends: a test of a campaign to a phone of one's own, with the values of one contact.

The test is an ordinary message of the conversation with that phone. It creates no recipient and does not
change the campaign's figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.brazil.phone import InvalidPhone, Phone, parse_phone
from chatbot.campaigns.audience import select_audience
from chatbot.campaigns.drafting.drafts import get_campaign_template
from chatbot.campaigns.models import Campaign, CampaignState, PreviewSend, Recipient
from chatbot.campaigns.parameters import MissingValue, check_parameters, fill_parameters
from chatbot.campaigns.service import get_campaign, raise_conflict
from chatbot.campaigns.suppression import may_receive
from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.payloads import template_body
from chatbot.channels.whatsapp.payloads.limits import FILLED_TEMPLATE, check_length
from chatbot.contacts.lookup import get_by_id_or_phone
from chatbot.contacts.models import Contact
from chatbot.contacts.service import get_or_create_by_phone
from chatbot.conversations.merging import get_or_create_conversation
from chatbot.conversations.models import Author, Conversation, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.service import find_by_client_token
from chatbot.core.db import db
from chatbot.core.errors import AppError, InvalidInput, NotFound
from chatbot.message_templates.components import render_preview, render_text
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_usable
from chatbot.message_templates.values import check_values

PREVIEWABLE_STATES = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.PAUSED)
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Requester:
    """User who sends the test. `user_id` is None at the command line."""

    name: str
    user_id: int | None = None


def queue_preview_send(
    campaign_id: int,
    requester: Requester,
    *,
    phone: str,
    like: str = "",
    client_token: str | None = None,
) -> Message:
    """Queue the campaign's template for `phone`. The same `client_token` queues it once.

    The values are those of the contact `like` (id or phone), else of the first contact in the audience,
    else of the phone's own contact.

    Raises:
        Conflict: the campaign is running or has ended.
        InvalidInput: the phone, the template or a value can't be used.
    """
    campaign = get_campaign(campaign_id, lock=True)  # serializes a double click
    if campaign.state not in PREVIEWABLE_STATES:
        raise_conflict(campaign)
    template = get_campaign_template(campaign)
    _check_template(campaign, template)
    contact = _get_or_add_recipient(_parse_phone(phone), requester.name)
    conversation = get_or_create_conversation(
        db.session.get_one(Channel, campaign.channel_id), contact, lock=True
    )
    known = find_by_client_token(conversation, client_token)
    if known is not None:
        return known
    values = _fill_values(campaign, template, find_example_contact(campaign, like) or contact)
    return _queue_message(campaign, template, values, conversation, requester, client_token)


def _check_template(campaign: Campaign, template: MessageTemplate) -> None:
    check_usable(template)
    check_parameters(template.components, campaign.parameters)


def _parse_phone(typed: str) -> Phone:
    try:
        return parse_phone(typed)
    except InvalidPhone as error:
        raise InvalidInput(str(error), field="phone") from None


def _get_or_add_recipient(phone: Phone, name: str) -> Contact:
    """Return the phone's contact. A new one gets `name`: contacts without one block campaigns that use it."""
    contact = get_or_create_by_phone(phone, name)
    if contact.opted_out_at is not None:
        raise InvalidInput(
            "The contact with this phone refuses campaigns, and a test is one: use another "
            "phone, or record on the contact's page that they agree.",
            field="phone",
        )
    return contact


def find_example_contact(campaign: Campaign, like: str = "") -> Contact | None:
    """Return the contact whose values a test shows; None if the audience is empty or not chosen yet.

    That is `like`, who must be in the audience, else the first contact that is not suppressed.
    Raises InvalidInput.
    """
    try:
        people = _select_contacts(campaign)
    except AppError:  # no audience was chosen yet, or its segment was deleted
        if like.strip():
            raise
        return None
    if like.strip():
        return _get_chosen_contact(people, like.strip())
    query = sa.select(Contact).where(Contact.id.in_(people), may_receive(campaign))
    return db.session.scalar(query.order_by(Contact.id).limit(1))


def _select_contacts(campaign: Campaign) -> sa.Select[Any]:
    """Select the audience's contacts; after the start, the frozen recipients."""
    if campaign.started_at is None:
        return select_audience(campaign.audience)
    return sa.select(Recipient.contact_id).where(Recipient.campaign_id == campaign.id)


def _get_chosen_contact(people: sa.Select[Any], like: str) -> Contact:
    try:
        contact = get_by_id_or_phone(like)
    except NotFound as unknown:
        raise InvalidInput(unknown.message, field="like") from None
    is_one = sa.select(Contact.id).where(Contact.id == contact.id, Contact.id.in_(people))
    if db.session.scalar(is_one) is None:
        raise InvalidInput(
            "This contact is not in the campaign's audience: choose one that is, or leave it "
            "empty.",
            field="like",
        )
    return contact


def _fill_values(campaign: Campaign, template: MessageTemplate, example: Contact) -> dict[str, str]:
    try:
        values = fill_parameters(campaign.parameters, example)
    except MissingValue as missing:
        raise InvalidInput(
            "%(who)s has no %(name)s, which a parameter needs: choose another contact to "
            "preview with, or fill it in.",
            field="like",
            who=example.name or example.address or f"#{example.id}",
            name=missing.name,
        ) from None
    components = template.components
    check_values(components, values)
    check_length("text", render_preview(components, values).body, FILLED_TEMPLATE)
    return values


def _queue_message(
    campaign: Campaign,
    template: MessageTemplate,
    values: dict[str, str],
    conversation: Conversation,
    requester: Requester,
    client_token: str | None,
) -> Message:
    """Queue the message without taking over the conversation, so that the bot still answers replies."""
    components = template.components
    body = template_body(
        template.name,
        template.language,
        values,
        named=template.parameter_format == "NAMED",
        components=components,
    )
    text = render_text(components, values)
    message = queue_message(
        conversation, body, text, Author.PREVIEW, requester.user_id, client_token
    )
    db.session.add(
        PreviewSend(
            campaign_id=campaign.id,
            message_id=message.id,
            user_id=requester.user_id,
            sent_by=requester.name,
        )
    )
    return message


def list_preview_sends(campaign_id: int) -> Sequence[Any]:
    """Return the latest rows of (PreviewSend, Message, Contact), newest first."""
    return db.session.execute(
        _select_preview_sends().where(PreviewSend.campaign_id == campaign_id).limit(MAX_LISTED)
    ).all()


def get_last_phone(user_id: int) -> str:
    """Return the phone of this user's last test; empty if there was none or its contact was erased."""
    query = _select_preview_sends().where(PreviewSend.user_id == user_id).limit(1)
    return db.session.scalar(query.with_only_columns(Contact.address)) or ""


def _select_preview_sends() -> Any:
    return (
        sa.select(PreviewSend, Message, Contact)
        .join(Message, Message.id == PreviewSend.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Contact, Contact.id == Conversation.contact_id)
        .order_by(PreviewSend.id.desc())
    )

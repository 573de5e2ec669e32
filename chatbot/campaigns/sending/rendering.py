"""Rendering of a claimed batch: one query loads it, and each recipient becomes an OutboundMessage."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.parameters import compile_parameters
from chatbot.channels.whatsapp.payloads import compile_template, render_request
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation
from chatbot.conversations.service import window_is_open_condition
from chatbot.core.db.bulk_sql import aggregate_rows_as_json, embed_json
from chatbot.core.errors import AppError
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import CallbackId, OutboundMessage
from chatbot.message_templates.models import MessageTemplate


class _BatchRecipient(msgspec.Struct, frozen=True, array_like=True):
    """One recipient of a batch; the fields have the order of the columns in `batch_statement`."""

    row_id: int
    attempt: int
    contact_id: int
    has_open_window: bool | int
    to: str | None
    name: str | None
    document: str | None
    email: str | None
    phone: str | None
    attributes: dict[str, Any] | None


_recipient_decoder = msgspec.json.Decoder(list[_BatchRecipient])


def batch_statement(engine: sa.Engine, channel_id: int) -> Any:
    """Return the query of the batch claimed under `token`: one row per campaign, its people as JSON.

    One row per person would cost more than the sending: SQLite releases the GIL at every row.
    """
    window = sa.exists().where(
        Conversation.contact_id == Recipient.contact_id,
        Conversation.channel_id == channel_id,
        window_is_open_condition(),
    )
    people = aggregate_rows_as_json(
        engine,
        Recipient.id,
        Recipient.attempt,
        Recipient.contact_id,
        window,
        Contact.address,
        Contact.name,
        Contact.document,
        Contact.email,
        Contact.phone,
        embed_json(engine, Contact.attributes),
    )
    return (
        sa.select(
            Campaign.id.label("campaign_id"),
            MessageTemplate.name.label("template"),
            MessageTemplate.language,
            MessageTemplate.parameter_format,
            sa.cast(MessageTemplate.components, sa.Text).label("components"),
            sa.cast(Campaign.parameters, sa.Text).label("parameters"),
            people.label("people"),
        )
        .select_from(Recipient)
        .join(Contact, Contact.id == Recipient.contact_id)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(MessageTemplate, MessageTemplate.id == Campaign.template_id)
        .where(
            Recipient.claim_token == sa.bindparam("token", type_=sa.String),
            Recipient.state == MessageState.SENDING,
        )
        .group_by(Campaign.id, MessageTemplate.id)
    )


def build_outbound_messages(
    row: Any, token: str, prefix: str, installation: str
) -> list[OutboundMessage]:
    """Build a message for each person of a row of `batch_statement`, ordered by recipient id."""
    people = sorted(_recipient_decoder.decode(row.people), key=lambda person: person.row_id)
    return [_build_outbound_message(row, person, token, prefix, installation) for person in people]


def _build_outbound_message(
    row: Any, person: _BatchRecipient, token: str, prefix: str, installation: str
) -> OutboundMessage:
    """Build one message. An error stays in it, so that the rest of the batch is still sent."""
    claimed = person.row_id, person.attempt, token
    if not person.to:
        return OutboundMessage(*claimed, "", None, "The contact has no WhatsApp address.")
    try:
        body = _compile_template(
            row.template, row.language, row.parameter_format, row.components, row.parameters
        )(person)
    except (AppError, ValueError, TypeError, AttributeError) as error:
        return OutboundMessage(*claimed, person.to, None, str(error))
    callback = str(CallbackId(prefix, person.row_id, person.attempt, installation))
    quota_contact_id = None if person.has_open_window else person.contact_id
    return OutboundMessage(
        *claimed,
        person.to,
        render_request(body, person.to, callback),
        quota_contact_id=quota_contact_id,
    )


@lru_cache(maxsize=64)
def _compile_template(
    template: str, language: str, parameter_format: str | None, components: str, parameters: str
) -> Callable[[Any], dict[str, Any]]:
    """Compile the campaign's template into a function from person to message body."""
    sources: dict[str, str] = msgspec.json.decode(parameters)
    values_of = compile_parameters(sources)
    write = compile_template(
        template,
        language,
        sources,
        named=parameter_format == "NAMED",
        components=msgspec.json.decode(components),
    )
    return lambda person: write(values_of(person))

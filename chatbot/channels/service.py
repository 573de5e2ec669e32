"""Channels of our numbers: lookup, clients for sending, halting and the daily limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.events import NewChannelEvent, record_channel_event
from chatbot.channels.gateway import Gateway
from chatbot.channels.models import Channel, Severity
from chatbot.channels.whatsapp.client import WhatsAppGateway
from chatbot.channels.whatsapp.media import MediaClient
from chatbot.core.db import db, sanitize_text, upsert
from chatbot.extensions import get_settings


def get_default_channel() -> Channel:
    """Return the channel of WHATSAPP_PHONE_NUMBER_ID. Its row is created at the first use."""
    settings = get_settings(current_app)
    query = sa.select(Channel).where(Channel.phone_number_id == settings.whatsapp_phone_number_id)
    channel = db.session.scalar(query)
    if channel is None:
        db.session.execute(
            upsert(db.session.connection(), Channel)
            .values(
                phone_number_id=settings.whatsapp_phone_number_id,
                business_account_id=settings.whatsapp_business_account_id,
                name=settings.company_name,
                display_phone="",
            )
            .on_conflict_do_nothing()
        )
        channel = db.session.scalars(query).one()
    return channel


def ensure_default_channel() -> None:
    """Create the row of the default channel if needed, and commit, for code with its own connection."""
    get_default_channel()
    db.session.commit()


def update_display_phone(channel: Channel, digits: str) -> None:
    """Set our phone number, which only webhooks contain, for the channel's page."""
    if digits and channel.display_phone != digits:
        channel.display_phone = digits


def find_channel_ids(
    connection: sa.Connection, account: str, display_phone: str = "", number: str = ""
) -> list[int]:
    """Return the channels of an account's event: that of the number it names, else all of the account.

    An event that names a number which is not ours is about no channel: a sister number of the account.
    """
    query = sa.select(Channel.id).order_by(Channel.id)
    if number:
        query = query.where(Channel.phone_number_id == number)
    else:
        query = query.where(Channel.business_account_id == account)
        if display_phone:
            query = query.where(Channel.display_phone == display_phone)
    return list(connection.scalars(query))


def is_our_account(connection: sa.Connection, account: str) -> bool:
    settings = get_settings(current_app)
    query = sa.select(Channel.id).where(Channel.business_account_id == account).limit(1)
    return account == settings.whatsapp_business_account_id or connection.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class OurNumbers:
    """Numbers and accounts of this installation; `nameless` are numbers whose phone is not known yet."""

    numbers: frozenset[str]
    accounts: frozenset[str]
    nameless: frozenset[str]

    def include(self, number: str, account: str) -> bool:
        """Whether an event is about us. Where it names no number, the account decides."""
        return number in self.numbers if number else account in self.accounts


def load_our_numbers(connection: sa.Connection) -> OurNumbers:
    settings = get_settings(current_app)
    rows = connection.execute(
        sa.select(Channel.phone_number_id, Channel.business_account_id, Channel.display_phone)
    ).all()
    return OurNumbers(
        frozenset({settings.whatsapp_phone_number_id, *(row[0] for row in rows)}),
        frozenset({settings.whatsapp_business_account_id, *(row[1] for row in rows)}),
        frozenset(row[0] for row in rows if not row[2]),
    )


def set_display_phone(connection: sa.Connection, number: str, display_phone: str) -> None:
    connection.execute(
        sa.update(Channel)
        .where(Channel.phone_number_id == number, Channel.display_phone == "")
        .values(display_phone=display_phone)
    )


def find_channel(phone_number_id: str, account: str = "") -> Channel | None:
    """Return the channel of a number, or the account's first one if no number is given."""
    settings = get_settings(current_app)
    if phone_number_id == settings.whatsapp_phone_number_id:
        return get_default_channel()
    if not phone_number_id:
        if account == settings.whatsapp_business_account_id:
            return get_default_channel()
        query = sa.select(Channel).where(Channel.business_account_id == account)
        return db.session.scalar(query.order_by(Channel.id).limit(1))
    return db.session.scalar(sa.select(Channel).where(Channel.phone_number_id == phone_number_id))


def make_gateway(channel: Channel) -> Gateway:
    settings = get_settings(current_app)
    return WhatsAppGateway(
        settings.whatsapp_api_url,
        settings.whatsapp_token,
        channel.phone_number_id,
        timeout_s=settings.call_timeout_s,
    )


def make_media_client(channel: Channel) -> MediaClient:
    settings = get_settings(current_app)
    return MediaClient(settings.whatsapp_api_url, settings.whatsapp_token, channel.phone_number_id)


def halt_channel(connection: sa.Connection, channel_id: int, reason: str) -> None:
    """Stop sending from this number until a person has fixed the cause and resumes it."""
    halted = connection.execute(
        sa.update(Channel)
        .where(Channel.id == channel_id, Channel.halted_reason.is_(None))
        .values(halted_reason=sanitize_text(reason, 300))
    ).rowcount
    if halted:
        new_event = NewChannelEvent(
            field="halt", event="HALTED", severity=Severity.BAD, detail=reason
        )
        record_channel_event(connection, channel_id, new_event)


def resume_channel(channel: Channel) -> None:
    channel.halted_reason = None


TIER = re.compile(r"TIER_([0-9]{1,9})(K?)")


def set_daily_limit(connection: sa.Connection, reported_limit: Any) -> None:
    """Store the portfolio's messaging limit as Meta reports it.

    10000, "TIER_10K", or "TIER_UNLIMITED" (formerly -1); anything else changes nothing.
    """
    tier = TIER.fullmatch(reported_limit) if isinstance(reported_limit, str) else None
    limit = int(tier[1]) * (1000 if tier[2] else 1) if tier else reported_limit
    if reported_limit == "TIER_UNLIMITED" or reported_limit == -1:
        limit = None
    elif not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit < 2**31:
        return
    connection.execute(sa.update(Channel).values(daily_limit=limit))

"""Effects of account events: on the channel, its templates and its campaigns.

Each event is first recorded for the channel's page. It takes effect if it is new and no later event of
its kind and subject is known, so that neither a replay nor a late webhook undoes anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign
from chatbot.campaigns.sending.pausing import (
    matches_template,
    pause_running,
    pause_unsendable,
    resume_for_template,
)
from chatbot.channels.events import record_channel_event
from chatbot.channels.models import AccountState, Channel
from chatbot.channels.service import find_channel_ids, halt_channel, is_our_account
from chatbot.channels.whatsapp.errors import ErrorPolicy, get_error_policy
from chatbot.message_templates.models import MessageTemplate, TemplateStatus
from chatbot.webhooks import events as e
from chatbot.webhooks.account_events import (
    ACCOUNT_STATE_BY_BAN,
    ACCOUNT_STATE_BY_EVENT,
    describe_account_event,
)
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.parsing.account_fields import parse_daily_limit
from chatbot.webhooks.parsing.values import UnreadableUpdate

# Values of `event` in message_template_status_update that are not themselves a status of a template.
TEMPLATE_STATUS_BY_EVENT = {
    "REINSTATED": TemplateStatus.APPROVED.value,
    "UNPAUSED": TemplateStatus.APPROVED.value,
    "FLAGGED": TemplateStatus.APPROVED.value,  # a warning: it can still be sent
}
QUALITY_BY_EVENT = {"FLAGGED": "RED", "UNFLAGGED": "GREEN"}
FOREIGN_EVENT = "event:foreign"  # kind under which events of sister numbers are counted
BUSINESS_INITIATED_RESTRICTION = "RESTRICTED_BIZ_INITIATED_MESSAGING"


def apply_account_event(connection: sa.Connection, event: e.AccountEvent) -> None:
    """Record an event for each channel that it is about, and apply it if it is new.

    An event of another number of our account is only counted.

    Raises:
        UnreadableUpdate: it is about an account that is not ours.
    """
    number = event.number if isinstance(event, e.ErrorReported) else ""
    channel_ids = find_channel_ids(connection, event.account, event.display_phone, number)
    if not channel_ids and is_our_account(connection, event.account):
        add_counts(connection, {FOREIGN_EVENT: 1})
        return
    if not channel_ids:
        raise UnreadableUpdate(f"account {event.account or '(none)'} is not one of ours")
    description = describe_account_event(event)
    fingerprint = hashlib.sha256(e.encode_event(event).encode()).hexdigest()[:32]
    for channel_id in channel_ids:
        is_new = record_channel_event(
            connection, channel_id, description, event.happened_at, fingerprint
        )
        handler = EFFECT_HANDLERS.get(type(event))
        if is_new and handler is not None:
            handler(connection, channel_id, event)


def _update_channel(connection: sa.Connection, channel_id: int, **values: Any) -> None:
    connection.execute(sa.update(Channel).where(Channel.id == channel_id).values(**values))


def _pause_campaigns(connection: sa.Connection, channel_id: int, reason: str) -> None:
    pause_running(connection, Campaign.channel_id == channel_id, reason)


def _apply_template_status(
    connection: sa.Connection, channel_id: int, event: e.TemplateStatusChanged
) -> None:
    status = TEMPLATE_STATUS_BY_EVENT.get(event.event, event.event[:30])
    known = connection.execute(
        sa.update(MessageTemplate)
        .where(matches_template(channel_id, event.name, event.language))
        .values(status=status)
    ).rowcount
    if not known:
        _request_template_sync(connection, channel_id, event)
    pause_unsendable(connection)
    if status == TemplateStatus.APPROVED:
        resume_for_template(connection, channel_id, event.name, event.language)


def _apply_template_quality(
    connection: sa.Connection, channel_id: int, event: e.TemplateQualityChanged
) -> None:
    connection.execute(
        sa.update(MessageTemplate)
        .where(matches_template(channel_id, event.name, event.language))
        .values(quality=event.quality[:10])
    )
    if event.quality == "RED":
        template = sa.exists().where(
            MessageTemplate.id == Campaign.template_id,
            matches_template(channel_id, event.name, event.language),
        )
        reason = f"The quality of the template {event.name[:200]} is RED at Meta."
        pause_running(connection, template, reason)


def _apply_template_category(
    connection: sa.Connection, channel_id: int, event: e.TemplateCategoryChanged
) -> None:
    if not event.is_notice:  # the price follows the category that is valid at the time of sending
        connection.execute(
            sa.update(MessageTemplate)
            .where(matches_template(channel_id, event.name, event.language))
            .values(category=event.category)
        )


def _request_template_sync(connection: sa.Connection, channel_id: int, _event: Any) -> None:
    _update_channel(connection, channel_id, templates_synced_at=None)


def _apply_account_update(
    connection: sa.Connection, channel_id: int, event: e.AccountUpdated
) -> None:
    state = ACCOUNT_STATE_BY_BAN.get(event.ban_state) or ACCOUNT_STATE_BY_EVENT.get(event.event)
    if state is not None:
        _update_channel(connection, channel_id, account_state=state)
    reason = f"Meta has restricted the account: {event.event} {event.detail}".strip()
    is_stopped = event.event == "DISABLED_UPDATE" and event.ban_state != "REINSTATE"
    if (
        is_stopped
        or event.event == "ACCOUNT_DELETED"
        or BUSINESS_INITIATED_RESTRICTION in event.restrictions
    ):
        _pause_campaigns(connection, channel_id, reason)
    if state in (AccountState.DISABLED, AccountState.DELETED):
        halt_channel(connection, channel_id, reason)


def _apply_capability(
    connection: sa.Connection, channel_id: int, event: e.CapabilityChanged
) -> None:
    _update_channel(connection, channel_id, daily_limit=event.daily_limit)


def _apply_number_quality(
    connection: sa.Connection, channel_id: int, event: e.NumberQualityChanged
) -> None:
    is_known, limit = parse_daily_limit(event.limit)
    if is_known:
        _update_channel(connection, channel_id, daily_limit=limit)
    if event.event == "THROUGHPUT_UPGRADE":
        _update_channel(connection, channel_id, throughput="HIGH")
    quality = QUALITY_BY_EVENT.get(event.event)
    if quality is not None:
        _update_channel(connection, channel_id, quality=quality)
    if quality == "RED":
        _pause_campaigns(connection, channel_id, "The quality of our number is RED at Meta.")


def _apply_error(connection: sa.Connection, channel_id: int, event: e.ErrorReported) -> None:
    reason = f"({event.code}) {event.detail}"
    policy = get_error_policy(event.code)
    if policy is ErrorPolicy.TOKEN:
        halt_channel(connection, channel_id, reason)
    if policy in (ErrorPolicy.TOKEN, ErrorPolicy.STOP):
        _pause_campaigns(connection, channel_id, reason)


# Events that are not listed are only recorded and shown.
EFFECT_HANDLERS: dict[type, Callable[[sa.Connection, int, Any], None]] = {
    e.TemplateStatusChanged: _apply_template_status,
    e.TemplateQualityChanged: _apply_template_quality,
    e.TemplateCategoryChanged: _apply_template_category,
    e.TemplateComponentsChanged: _request_template_sync,
    e.AccountUpdated: _apply_account_update,
    e.CapabilityChanged: _apply_capability,
    e.NumberQualityChanged: _apply_number_quality,
    e.ErrorReported: _apply_error,
}

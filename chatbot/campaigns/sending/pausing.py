"""Campaigns that stop by themselves, because what they need is gone; and go on when it is back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import CAMPAIGNS_CACHE_TAG, Campaign, CampaignState, Recipient
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import sanitize_text
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

MIN_FAILURES = 50  # failures, below which a share says little


def pause_running(connection: sa.Connection, condition: sa.ColumnElement[bool], reason: Any) -> int:
    """Pause the running campaigns of `which`, with a reason (text or SQL). Returns how many."""
    if isinstance(reason, str):
        reason = sanitize_text(reason, 300)
    paused = connection.execute(
        sa.update(Campaign)
        .where(Campaign.state == CampaignState.RUNNING, condition)
        .values(state=CampaignState.PAUSED, paused_reason=reason)
    ).rowcount
    if paused:  # asked every few seconds, and nearly always in vain: what is cached stays good
        invalidate_with(connection, CAMPAIGNS_CACHE_TAG)
    return paused


def pause_unsendable(connection: sa.Connection) -> int:
    """A running campaign whose template Meta has stopped would wait for ever without a word."""
    template = sa.select(MessageTemplate).where(
        MessageTemplate.id == Campaign.template_id,
        MessageTemplate.status != TemplateStatus.APPROVED,
    )
    reason = template.with_only_columns(
        _template_reason(MessageTemplate.name, MessageTemplate.status)
    ).scalar_subquery()
    return pause_running(connection, template.exists(), reason)


def pause_failing(connection: sa.Connection, percent: int) -> int:
    """Pause a campaign of whose messages too large a share fails, since somebody last let it run.

    Few failures prove nothing, so small campaigns end by themselves.
    """
    since = sa.func.coalesce(Campaign.state_changed_at, Campaign.started_at)
    failed = sa.and_(Recipient.state == MessageState.FAILED, Recipient.failed_at >= since)
    tried = sa.or_(failed, Recipient.accepted_at >= since)
    own = Recipient.campaign_id == Campaign.id
    # Looked up in an index, so that the whole campaign is counted only when something is wrong.
    many = (
        sa.select(Recipient.id)
        .where(own, failed)
        .limit(1)
        .offset(MIN_FAILURES - 1)
        .correlate(Campaign)
    )
    failing = sa.select(sa.func.count()).where(own, failed).correlate(Campaign).scalar_subquery()
    all_tried = sa.select(sa.func.count()).where(own, tried).correlate(Campaign).scalar_subquery()
    return pause_running(
        connection,
        sa.and_(many.exists(), failing * 100 > all_tried * percent),
        f"More than {percent} % of the last messages failed.",
    )


def resume_for_template(
    connection: sa.Connection, channel_id: int, name: str, language: str
) -> int:
    """Meta sends the template again: what paused for its sake alone goes on. Returns how many."""
    template = sa.exists().where(
        MessageTemplate.id == Campaign.template_id,
        matches_template(channel_id, name, language),
        MessageTemplate.status == TemplateStatus.APPROVED,
        sa.or_(
            *(
                Campaign.paused_reason == _template_reason(MessageTemplate.name, s)
                for s in _TRANSIENT_STATUSES
            )
        ),
    )
    invalidate_with(connection, CAMPAIGNS_CACHE_TAG)
    return connection.execute(
        sa.update(Campaign)
        .where(Campaign.state == CampaignState.PAUSED, template)
        .values(state=CampaignState.RUNNING, paused_reason=None)
    ).rowcount


# From these a template comes back by itself.
_TRANSIENT_STATUSES = (TemplateStatus.PAUSED, TemplateStatus.PENDING)


def _template_reason(name: Any, status: Any) -> Any:
    is_text = isinstance(status, str)
    return (
        sa.literal("The template ")
        + sa.func.substr(name, 1, 200)
        + sa.literal(" is ")
        + (sa.literal(str(status)) if is_text else status)
        + sa.literal(" at Meta.")
    )


def matches_template(channel_id: int, name: str, language: str) -> sa.ColumnElement[bool]:
    """Language is written `pt_BR` here, and with a dash in some rows."""
    return sa.and_(
        MessageTemplate.channel_id == channel_id,
        MessageTemplate.name == name,
        sa.func.replace(MessageTemplate.language, "-", "_") == language,
    )

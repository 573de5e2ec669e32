"""Automatic pausing of campaigns that cannot be sent, and resuming when the cause is gone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import CAMPAIGNS_CACHE_TAG, Campaign, CampaignState, Recipient
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import sanitize_text
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

MIN_FAILURES = 50  # below this, the percentage of failures is not significant


def pause_running(connection: sa.Connection, condition: sa.ColumnElement[bool], reason: Any) -> int:
    """Pause the running campaigns that meet `condition`, with a reason (text or SQL). Return how many."""
    if isinstance(reason, str):
        reason = sanitize_text(reason, 300)
    paused = connection.execute(
        sa.update(Campaign)
        .where(Campaign.state == CampaignState.RUNNING, condition)
        .values(state=CampaignState.PAUSED, paused_reason=reason)
    ).rowcount
    if paused:  # usually none: do not invalidate the cache every few seconds
        invalidate_with(connection, CAMPAIGNS_CACHE_TAG)
    return paused


def pause_unsendable(connection: sa.Connection) -> int:
    """Pause running campaigns whose template is not approved: they would wait without an explanation."""
    template = sa.select(MessageTemplate).where(
        MessageTemplate.id == Campaign.template_id,
        MessageTemplate.status != TemplateStatus.APPROVED,
    )
    reason = template.with_only_columns(
        _template_reason(MessageTemplate.name, MessageTemplate.status)
    ).scalar_subquery()
    return pause_running(connection, template.exists(), reason)


def pause_failing(connection: sa.Connection, percent: int) -> int:
    """Pause campaigns where more than `percent` of the messages failed since they last began to run.

    Fewer than MIN_FAILURES failures pause nothing. Return how many were paused.
    """
    since = sa.func.coalesce(Campaign.state_changed_at, Campaign.started_at)
    failed = sa.and_(Recipient.state == MessageState.FAILED, Recipient.failed_at >= since)
    tried = sa.or_(failed, Recipient.accepted_at >= since)
    own = Recipient.campaign_id == Campaign.id
    # Uses an index, so that whole campaigns are only counted when there are many failures.
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
    """Resume campaigns that paused only because of this template, now approved again. Return how many."""
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


# Meta can approve templates in these states again without a new submission.
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
    """Match a template by name and language (`pt_BR`; some rows have a dash)."""
    return sa.and_(
        MessageTemplate.channel_id == channel_id,
        MessageTemplate.name == name,
        sa.func.replace(MessageTemplate.language, "-", "_") == language,
    )

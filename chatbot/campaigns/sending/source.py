"""Due recipients of campaigns, as a source for `chatbot.delivery.sender`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.sending.rendering import batch_statement, build_outbound_messages
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.campaigns.sending.sending_hours import SendingHours
from chatbot.campaigns.sending.side_effects import stop_sending
from chatbot.campaigns.suppression import is_already_served, not_suppressed
from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import record_wa_ids
from chatbot.core import clock
from chatbot.core.db import db_now, read_only
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import RecipientQueue
from chatbot.delivery.send_table import claim_rows, claim_statement
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

# Batch sizes of rows that were lost with a worker once, and more often: one of them may have killed it.
SUSPECT_BATCH_SIZES = (8, 1)
PROGRESS_INTERVAL_S = 0.5


class CampaignSource:
    """Due recipients of the running campaigns of one channel. Implements `delivery.outbound.SendSource`."""

    send_table = SEND_TABLE
    is_reply = False

    def __init__(
        self, engine: sa.Engine, channel_id: int, hours: SendingHours | None = None
    ) -> None:
        self._engine = engine
        self._channel_id = channel_id
        self._hours = hours
        self._last_campaign = 0
        self._installation = ""  # known once something is claimed
        self._next_progress_at = 0.0
        due = _select_due(self._select_next_campaign()).limit(
            sa.bindparam("most", type_=sa.Integer)
        )
        lost = Recipient.times_lost
        self._claims = [
            claim_statement(engine, SEND_TABLE, due.where(condition), _claim_fence())
            for condition in (lost == 0, lost == 1, lost > 1)
        ]
        self._load = batch_statement(engine, channel_id)

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        """Claim a batch of one campaign. Campaigns take turns, so a small one need not wait for a large one.

        Rows that were lost with a worker come last, a few at a time, and alone if they were lost twice.
        Nothing is claimed outside the sending hours.
        """
        if self._hours is not None and not self._hours.is_open(clock.now()):
            return 0
        with self._engine.begin() as connection:
            for statement, most in zip(self._claims, (limit, *SUSPECT_BATCH_SIZES), strict=True):
                last = self._last_campaign
                taken = claim_rows(
                    connection, SEND_TABLE, statement, token, lease_s, most=most, last=last
                )
                if taken:
                    self._installation = get_installation_id(connection)
                    return taken
        return 0

    def _select_next_campaign(self) -> sa.ScalarSelect[int]:
        query = (
            sa.select(Campaign.id)
            .where(
                Campaign.channel_id == self._channel_id,
                Campaign.state == CampaignState.RUNNING,
                _select_due(Campaign.id).order_by(None).correlate(Campaign).exists(),
            )
            .order_by(Campaign.id <= sa.bindparam("last", type_=sa.Integer), Campaign.id)
        )
        return query.limit(1).correlate(None).scalar_subquery()

    def load(self, token: str) -> list[RecipientQueue]:
        with read_only(), self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(self._load, {"token": token}).all()
        for row in rows:
            self._last_campaign = row.campaign_id
            self._publish_progress()
        return [
            [message]
            for row in rows
            for message in build_outbound_messages(
                row, token, SEND_TABLE.prefix, self._installation
            )
        ]

    def _publish_progress(self) -> None:
        """Publish progress at most twice a second."""
        if time.monotonic() >= self._next_progress_at:
            self._next_progress_at = time.monotonic() + PROGRESS_INTERVAL_S
            publish_now(LiveEventKind.CAMPAIGN, [self._last_campaign])

    def save_wa_ids(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        contact_of = sa.select(Recipient.id, Recipient.contact_id).where(
            Recipient.id.in_(list(wa_ids))
        )
        record_wa_ids(
            connection, {i: wa_ids[row_id] for row_id, i in connection.execute(contact_of)}
        )

    def halt(self, policy: ErrorPolicy, code: int, detail: str, row_id: int) -> None:
        with self._engine.begin() as connection:
            stop_sending(connection, policy, code, detail, row_id)


def _select_due(campaign_id: Any) -> sa.Select[Any]:
    return (
        sa.select(Recipient.id)
        .join(Contact, Contact.id == Recipient.contact_id)
        .where(
            Recipient.campaign_id == campaign_id,
            Recipient.state == MessageState.QUEUED,
            Recipient.due_at <= db_now(),
            not_suppressed(),
        )
        .order_by(Recipient.due_at, Recipient.id)
    )


def _claim_fence() -> sa.ColumnElement[bool]:
    """Return the conditions that the claiming UPDATE itself checks: nothing may change in between."""
    campaign_runs = sa.exists().where(
        Campaign.id == Recipient.campaign_id,
        Campaign.state == CampaignState.RUNNING,
        Channel.id == Campaign.channel_id,
        Channel.halted_reason.is_(None),
        MessageTemplate.id == Campaign.template_id,
        MessageTemplate.status == TemplateStatus.APPROVED,
    )
    may_be_written_to = sa.exists().where(Contact.id == Recipient.contact_id, not_suppressed())
    return sa.and_(campaign_runs, may_be_written_to, ~is_already_served())

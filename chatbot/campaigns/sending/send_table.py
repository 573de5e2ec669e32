"""The ledger of recipients as a source for the sender: who is due, what must hold, what is said."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.sending.rendering import batch_statement, build_outbound_messages
from chatbot.campaigns.sending.sending_hours import SendingHours
from chatbot.campaigns.sending.side_effects import RecipientSideEffects, stop_sending
from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import record_wa_ids
from chatbot.core import clock
from chatbot.core.db import db_now, read_only
from chatbot.core.db.bulk_sql import id_list
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.delivery.outbound import RecipientQueue
from chatbot.delivery.send_table import SendTable, claim_rows, claim_statement
from chatbot.delivery.states import MessageState
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

# How many rows that were lost with a worker, once and more often, are tried together.
SUSPECT_BATCH_SIZES = (8, 1)
PROGRESS_INTERVAL_S = 0.5

SEND_TABLE = SendTable("r", Recipient.__table__, side_effects=RecipientSideEffects())  # type: ignore[arg-type]

# Whom no campaign may reach; the same condition counts them, skips them and fences the claim.
SUPPRESSION_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    "opted_out": Contact.opted_out_at.is_not(None),
    "merged": Contact.merged_into_id.is_not(None),
    "no_address": Contact.address.is_(None),
    "unreachable": Contact.unreachable_at.is_not(None),
}


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
        """One campaign a slice, in turns, so that a small one need not wait for a large one.

        A row that was lost with its worker may be what killed it: such rows come last, few at a time,
        and alone when they were lost twice. None is taken once the sending hours are over.
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
                    return taken
        return 0

    def _select_next_campaign(self) -> sa.ScalarSelect[int]:
        query = (
            select_running_campaigns(self._channel_id)
            .where(_select_due(Campaign.id).order_by(None).correlate(Campaign).exists())
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
            for message in build_outbound_messages(row, token, SEND_TABLE.prefix)
        ]

    def _publish_progress(self) -> None:
        """That its figures move; twice a second is enough for who looks."""
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
        """Pause what the error makes pointless: this campaign, or the whole number."""
        with self._engine.begin() as connection:
            stop_sending(connection, policy, code, detail, row_id)


def list_campaign_ids(connection: sa.Connection, row_ids: Iterable[int]) -> set[int]:
    """The campaigns of these recipients."""
    query = sa.select(Recipient.campaign_id).where(Recipient.id.in_(id_list(connection, row_ids)))
    return set(connection.scalars(query.distinct()))


def select_running_campaigns(channel_id: int) -> sa.Select[Any]:
    return sa.select(Campaign.id).where(
        Campaign.channel_id == channel_id, Campaign.state == CampaignState.RUNNING
    )


def _select_due(campaign_id: Any) -> sa.Select[Any]:
    return (
        sa.select(Recipient.id)
        .join(Contact, Contact.id == Recipient.contact_id)
        .where(
            Recipient.campaign_id == campaign_id,
            Recipient.state == MessageState.QUEUED,
            Recipient.due_at <= db_now(),
            *(~condition for condition in SUPPRESSION_CONDITIONS.values()),
        )
        .order_by(Recipient.due_at, Recipient.id)
    )


def _claim_fence() -> sa.ColumnElement[bool]:
    """In the claiming statement itself: running, template good, number good, person willing."""
    campaign_runs = sa.exists().where(
        Campaign.id == Recipient.campaign_id,
        Campaign.state == CampaignState.RUNNING,
        Channel.id == Campaign.channel_id,
        Channel.halted_reason.is_(None),
        MessageTemplate.id == Campaign.template_id,
        MessageTemplate.status == TemplateStatus.APPROVED,
    )
    may_be_written_to = sa.exists().where(
        Contact.id == Recipient.contact_id,
        *(~condition for condition in SUPPRESSION_CONDITIONS.values()),
    )
    return sa.and_(campaign_runs, may_be_written_to, ~_is_already_served())


def _is_already_served() -> sa.ColumnElement[bool]:
    """The person got it under another contact, which turned out to be the same one.

    One question inside the other: joined, SQLite would walk the whole campaign for each row.
    """
    other, merged = aliased(Recipient), aliased(Contact)
    served = sa.exists().where(
        other.campaign_id == Recipient.campaign_id,
        other.contact_id == merged.id,
        other.state.not_in((MessageState.QUEUED, MessageState.SKIPPED)),
    )
    return sa.exists().where(
        merged.merged_into_id == Recipient.contact_id, served.correlate(Recipient, merged)
    )


def skip_suppressed(connection: sa.Connection) -> int:
    """Queued rows that the fence keeps back for good are skipped, with the reason."""
    reasons = {
        reason: Recipient.contact_id.in_(
            sa.select(Contact.id).where(SUPPRESSION_CONDITIONS[reason])
        )
        for reason in ("opted_out", "merged", "unreachable")
    } | {
        "served_already": _is_already_served(),
        # Rows that were on the wire at the cancelling, and came back unsent.
        "cancelled": Recipient.campaign_id.in_(
            sa.select(Campaign.id).where(Campaign.state == CampaignState.CANCELLED)
        ),
    }
    skipped = 0
    for reason, condition in reasons.items():
        skipped += connection.execute(
            sa.update(Recipient)
            .where(Recipient.state == MessageState.QUEUED, condition)
            .values(state=MessageState.SKIPPED, skip_reason=reason)
        ).rowcount
    return skipped

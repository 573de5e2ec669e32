"""The ledger of recipients as a source for the sender: who is due, what must hold, what is said."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.campaigns.consequences import RecipientConsequences, stop
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.rendering import parcels_of, slice_statement
from chatbot.campaigns.sending_hours import SendingHours
from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.errors import Reaction
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import learn_wa_ids
from chatbot.core import clock
from chatbot.core.db import db_now, reading
from chatbot.core.hints import Kind, publish_committed
from chatbot.core.rows import these
from chatbot.delivery.ledger import Ledger, claim, claim_statement
from chatbot.delivery.source import Lane
from chatbot.delivery.states import State
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

# How many rows that were lost with a worker, once and more often, are tried together.
SUSPECTS = (8, 1)
HINT_EVERY_S = 0.5

LEDGER = Ledger("r", Recipient.__table__, consequences=RecipientConsequences())  # type: ignore[arg-type]

# Whom no campaign may reach; the same condition counts them, skips them and fences the claim.
SUPPRESSED: dict[str, sa.ColumnElement[bool]] = {
    "opted_out": Contact.opted_out_at.is_not(None),
    "merged": Contact.merged_into_id.is_not(None),
    "no_address": Contact.address.is_(None),
    "unreachable": Contact.unreachable_at.is_not(None),
}


class CampaignSource:
    """Due recipients of the running campaigns of one channel. Implements `delivery.sender.Source`."""

    ledger = LEDGER
    is_reply = False

    def __init__(
        self, engine: sa.Engine, channel_id: int, hours: SendingHours | None = None
    ) -> None:
        self._engine = engine
        self._channel_id = channel_id
        self._hours = hours
        self._last_campaign = 0
        self._hint_at = 0.0
        due = _due(self._next_campaign()).limit(sa.bindparam("most", type_=sa.Integer))
        lost = Recipient.times_lost
        self._claims = [
            claim_statement(engine, LEDGER, due.where(condition), _fence())
            for condition in (lost == 0, lost == 1, lost > 1)
        ]
        self._load = slice_statement(engine, channel_id)

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        """One campaign a slice, in turns, so that a small one need not wait for a large one.

        A row that was lost with its worker may be what killed it: such rows come last, few at a time,
        and alone when they were lost twice. None is taken once the sending hours are over.
        """
        if self._hours is not None and not self._hours.is_open(clock.now()):
            return 0
        with self._engine.begin() as connection:
            for statement, most in zip(self._claims, (limit, *SUSPECTS), strict=True):
                last = self._last_campaign
                taken = claim(connection, LEDGER, statement, token, lease_s, most=most, last=last)
                if taken:
                    return taken
        return 0

    def _next_campaign(self) -> sa.ScalarSelect[int]:
        query = (
            running(self._channel_id)
            .where(_due(Campaign.id).order_by(None).correlate(Campaign).exists())
            .order_by(Campaign.id <= sa.bindparam("last", type_=sa.Integer), Campaign.id)
        )
        return query.limit(1).correlate(None).scalar_subquery()

    def load(self, token: str) -> list[Lane]:
        with reading(), self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(self._load, {"token": token}).all()
        for row in rows:
            self._last_campaign = row.campaign_id
            self._hint()
        return [[parcel] for row in rows for parcel in parcels_of(row, token, LEDGER.prefix)]

    def _hint(self) -> None:
        """That its figures move; twice a second is enough for who looks."""
        if time.monotonic() >= self._hint_at:
            self._hint_at = time.monotonic() + HINT_EVERY_S
            publish_committed(Kind.CAMPAIGN, [self._last_campaign])

    def learn(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        contact_of = sa.select(Recipient.id, Recipient.contact_id).where(
            Recipient.id.in_(list(wa_ids))
        )
        learn_wa_ids(
            connection, {i: wa_ids[row_id] for row_id, i in connection.execute(contact_of)}
        )

    def halt(self, reaction: Reaction, code: int, detail: str, row_id: int) -> None:
        """Pause what the error makes pointless: this campaign, or the whole number."""
        with self._engine.begin() as connection:
            stop(connection, reaction, code, detail, row_id)


def campaigns_of(connection: sa.Connection, row_ids: Iterable[int]) -> set[int]:
    """The campaigns of these recipients."""
    query = sa.select(Recipient.campaign_id).where(Recipient.id.in_(these(connection, row_ids)))
    return set(connection.scalars(query.distinct()))


def running(channel_id: int) -> sa.Select[Any]:
    return sa.select(Campaign.id).where(
        Campaign.channel_id == channel_id, Campaign.state == CampaignState.RUNNING
    )


def _due(campaign_id: Any) -> sa.Select[Any]:
    return (
        sa.select(Recipient.id)
        .join(Contact, Contact.id == Recipient.contact_id)
        .where(
            Recipient.campaign_id == campaign_id,
            Recipient.state == State.QUEUED,
            Recipient.due_at <= db_now(),
            *(~condition for condition in SUPPRESSED.values()),
        )
        .order_by(Recipient.due_at, Recipient.id)
    )


def _fence() -> sa.ColumnElement[bool]:
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
        Contact.id == Recipient.contact_id, *(~condition for condition in SUPPRESSED.values())
    )
    return sa.and_(campaign_runs, may_be_written_to, ~_served_already())


def _served_already() -> sa.ColumnElement[bool]:
    """The person got it under another contact, which turned out to be the same one.

    One question inside the other: joined, SQLite would walk the whole campaign for each row.
    """
    other, merged = aliased(Recipient), aliased(Contact)
    served = sa.exists().where(
        other.campaign_id == Recipient.campaign_id,
        other.contact_id == merged.id,
        other.state.not_in((State.QUEUED, State.SKIPPED)),
    )
    return sa.exists().where(
        merged.merged_into_id == Recipient.contact_id, served.correlate(Recipient, merged)
    )


def skip_suppressed(connection: sa.Connection) -> int:
    """Queued rows that the fence keeps back for good are skipped, with the reason."""
    reasons = {
        reason: Recipient.contact_id.in_(sa.select(Contact.id).where(SUPPRESSED[reason]))
        for reason in ("opted_out", "merged", "unreachable")
    } | {
        "served_already": _served_already(),
        # Rows that were on the wire at the cancelling, and came back unsent.
        "cancelled": Recipient.campaign_id.in_(
            sa.select(Campaign.id).where(Campaign.state == CampaignState.CANCELLED)
        ),
    }
    skipped = 0
    for reason, holds in reasons.items():
        skipped += connection.execute(
            sa.update(Recipient)
            .where(Recipient.state == State.QUEUED, holds)
            .values(state=State.SKIPPED, skip_reason=reason)
        ).rowcount
    return skipped

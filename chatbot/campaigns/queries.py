"""Figures of campaigns, for pages and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.sending.resend import IS_RETRYABLE
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.core.pagination import Page, build_page, decode_cursor, parse_row_id
from chatbot.delivery.models import MessageState

PAGE_SIZE = 30
EXPORT_PAGE_SIZE = 1000
MAX_CAUSES = 20

# Figure that counts the recipients in a state. Each recipient is in exactly one figure.
FIGURE_BY_STATE = {
    MessageState.QUEUED: "pending",
    MessageState.SENDING: "sending",
    MessageState.ACCEPTED: "accepted",
    MessageState.SENT: "sent",
    MessageState.DELIVERED: "delivered",
    MessageState.READ: "read",
    MessageState.FAILED: "failed",
    MessageState.SKIPPED: "skipped",
    MessageState.UNKNOWN: "unknown",
}


def count_by_state(campaign_id: int) -> dict[str, int]:
    """Count the recipients by figure. `planned` is their sum."""
    rows = db.session.execute(
        sa.select(Recipient.state, sa.func.count())
        .where(Recipient.campaign_id == campaign_id)
        .group_by(Recipient.state)
    )
    counts = {FIGURE_BY_STATE[MessageState(state)]: count for state, count in rows if state}
    return {
        "planned": sum(counts.values()),
        **{name: counts.get(name, 0) for name in FIGURE_BY_STATE.values()},
    }


def count_answered(campaign_id: int) -> int:
    query = sa.select(sa.func.count()).where(
        Recipient.campaign_id == campaign_id, Recipient.answered_at.is_not(None)
    )
    return db.session.scalar(query) or 0


def describe_campaign(campaign: Campaign) -> dict[str, Any]:
    """Return what `flask campaigns show --json` prints."""
    return {
        "id": campaign.id,
        "name": campaign.name,
        "state": campaign.state,
        "paused_reason": campaign.paused_reason,
        "on_doubt": campaign.on_doubt,
        **count_by_state(campaign.id),
        "answered": count_answered(campaign.id),
    }


def list_campaigns(limit: int = 50) -> list[Campaign]:
    return list(db.session.scalars(sa.select(Campaign).order_by(Campaign.id.desc()).limit(limit)))


def count_by_state_for_many(campaign_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return `count_by_state` of several campaigns, in one statement."""
    nothing = dict.fromkeys(("planned", *FIGURE_BY_STATE.values()), 0)
    found = {campaign_id: dict(nothing) for campaign_id in campaign_ids}
    rows = db.session.execute(
        sa.select(Recipient.campaign_id, Recipient.state, sa.func.count())
        .where(Recipient.campaign_id.in_(campaign_ids))
        .group_by(Recipient.campaign_id, Recipient.state)
    )
    for campaign_id, state, count in rows:
        found[campaign_id][FIGURE_BY_STATE[MessageState(str(state))]] += count
        found[campaign_id]["planned"] += count
    return found


def get_campaigns_page(after: str | None = None) -> Page[Campaign]:
    """Return a page of campaigns, newest first. Raises InvalidInput for an invalid cursor."""
    query = sa.select(Campaign).order_by(Campaign.id.desc()).limit(PAGE_SIZE + 1)
    last = decode_cursor(after, parse_row_id)
    if last is not None:
        query = query.where(Campaign.id < last[0])
    return build_page(db.session.scalars(query).all(), PAGE_SIZE, lambda campaign: (campaign.id,))


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a campaign. `done` recipients are final; `funnel` is cumulative, from accepted to read."""

    planned: int
    done: int
    funnel: dict[str, int]
    figures: dict[str, int]


def compute_progress(counts: dict[str, int]) -> Progress:
    """Compute the funnel: a message that was read was also delivered, sent and accepted."""
    funnel: dict[str, int] = {}
    so_far = 0
    for name in ("read", "delivered", "sent", "accepted"):
        so_far += counts[name]
        funnel[name] = so_far
    done = counts["planned"] - counts["pending"] - counts["sending"]
    ordered = {name: funnel[name] for name in ("accepted", "sent", "delivered", "read")}
    return Progress(counts["planned"], done, ordered, counts)


class Cause(NamedTuple):
    """Number of people by error code (failed) or skip reason (skipped).

    `retryable` of them would be sent again by a retry.
    """

    state: str
    cause: str | None
    people: int
    retryable: int


def count_causes(campaign_id: int) -> list[Cause]:
    """Return the causes of failed and skipped recipients, most frequent first."""
    cause = sa.case(
        (Recipient.state == MessageState.FAILED, sa.cast(Recipient.error_code, sa.String)),
        else_=Recipient.skip_reason,
    ).label("cause")
    count = sa.func.count()
    rows = db.session.execute(
        sa.select(Recipient.state, cause, count.label("count"), count.filter(IS_RETRYABLE))
        .where(
            Recipient.campaign_id == campaign_id,
            Recipient.state.in_((MessageState.FAILED, MessageState.SKIPPED)),
        )
        .group_by(Recipient.state, sa.text("cause"))
        .order_by(sa.desc("count"))
    )
    return [Cause(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """Figures on a campaign's page."""

    progress: Progress
    answered: int
    causes: list[Cause]  # the most frequent MAX_CAUSES
    retryable: int  # over all causes


def get_summary(campaign_id: int) -> CampaignSummary:
    causes = count_causes(campaign_id)
    return CampaignSummary(
        compute_progress(count_by_state(campaign_id)),
        count_answered(campaign_id),
        causes[:MAX_CAUSES],
        sum(cause.retryable for cause in causes),
    )


def get_recipients_page(
    campaign_id: int, state: str = "", after: str | None = None, size: int = PAGE_SIZE
) -> Page[Any]:
    """Return a page of rows of (Recipient, Contact). Raises InvalidInput for an invalid cursor."""
    query = select_recipients(campaign_id, state, after).limit(size + 1)
    return build_page(db.session.execute(query).all(), size, lambda row: (row[0].contact_id,))


def select_recipients(campaign_id: int, state: str, after: str | None) -> Any:
    """Select recipients ordered by contact: the indexes have that order with and without a state."""
    query = (
        sa.select(Recipient, Contact)
        # Every recipient has a contact; OUTER makes the planner scan recipients first.
        .join(Contact, Contact.id == Recipient.contact_id, isouter=True)
        .where(Recipient.campaign_id == campaign_id)
        .order_by(Recipient.contact_id)
    )
    if state:
        query = query.where(Recipient.state == state)
    last = decode_cursor(after, parse_row_id)
    return query if last is None else query.where(Recipient.contact_id > last[0])


def iter_recipients(campaign_id: int, state: str = "") -> Iterator[Any]:
    """Yield all rows of (Recipient, Contact), in pages. No transaction stays open between them."""
    after: str | None = None
    while True:
        page = get_recipients_page(campaign_id, state, after, EXPORT_PAGE_SIZE)
        db.session.expunge_all()
        db.session.rollback()
        yield from page.rows
        if page.after is None:
            return
        after = page.after

"""What a recipient's failure means for the person, the campaign and the number."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.pausing import pause_running
from chatbot.channels.events import Note, record_event
from chatbot.channels.models import Severity
from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import COOL_DOWN, Reaction
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import note_reached
from chatbot.core.rows import these
from chatbot.delivery.consequences import by_reaction, note_people
from chatbot.delivery.failures import Failure
from chatbot.delivery.states import State
from chatbot.message_templates.models import MessageTemplate

MARKETING = "MARKETING"
_TABLE: sa.Table = Recipient.__table__  # type: ignore[assignment]


class RecipientConsequences:
    """Implements `delivery.failures.Consequences`."""

    def failed(self, connection: sa.Connection, failures: Sequence[Failure]) -> None:
        contact_of = sa.select(Recipient.id, Recipient.contact_id)
        note_people(connection, _TABLE, failures, contact_of)
        if cooling := [f.row_id for f in failures if f.code == COOL_DOWN]:
            _put_off(connection, cooling)
        told = by_reaction(failures)
        for reaction in (Reaction.TOKEN, Reaction.STOP, Reaction.TEMPLATE):
            for failure in told.get(reaction, ())[:1]:  # one says it for all
                stop(connection, reaction, failure.code, failure.detail, failure.row_id)

    def reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None:
        rows = Recipient.id.in_(these(connection, row_ids))
        note_reached(connection, sa.select(Recipient.contact_id).where(rows))


def stop(
    connection: sa.Connection, reaction: Reaction, code: int, detail: str, row_id: int
) -> None:
    """Pause what the error makes pointless: this campaign, or the whole number."""
    reason = f"({code}) {detail}"
    found = connection.execute(
        sa.select(Campaign.id, Campaign.channel_id)
        .join(Recipient, Recipient.campaign_id == Campaign.id)
        .where(Recipient.id == row_id)
    ).one_or_none()
    if found is None:
        return
    if reaction is Reaction.TOKEN:
        halt_channel(connection, found.channel_id, reason)
    paused = pause_running(connection, Campaign.id == found.id, reason)
    if paused and reaction is Reaction.STOP:
        note = Note(field="campaign", event="PAUSED", severity=Severity.BAD, detail=reason)
        record_event(connection, found.channel_id, note)


def _put_off(connection: sa.Connection, row_ids: Sequence[int]) -> None:
    """What these people were still to get of marketing waits until they have cooled down."""
    people = sa.select(Recipient.contact_id).where(Recipient.id.in_(row_ids))
    until = (
        sa.select(Contact.cooling_until)
        .where(Contact.id == Recipient.contact_id)
        .correlate(Recipient)
        .scalar_subquery()
    )
    marketing = (
        sa.select(Campaign.id)
        .join(MessageTemplate, MessageTemplate.id == Campaign.template_id)
        .where(
            MessageTemplate.category == MARKETING,
            Campaign.state.in_((CampaignState.RUNNING, CampaignState.PAUSED)),
        )
    )
    connection.execute(
        sa.update(Recipient)
        .where(
            Recipient.state == State.QUEUED,
            Recipient.contact_id.in_(people),
            Recipient.campaign_id.in_(marketing),
            Recipient.due_at < until,
        )
        .values(due_at=until)
    )

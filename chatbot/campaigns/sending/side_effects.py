"""Side effects of a recipient's delivery result on the contact, the campaign and the channel."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.sending.pausing import pause_running
from chatbot.channels.events import NewChannelEvent, record_channel_event
from chatbot.channels.models import Severity
from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import COOL_DOWN, ErrorPolicy
from chatbot.contacts.models import Contact
from chatbot.contacts.reachability import mark_reachable
from chatbot.core.db.bulk_sql import id_list
from chatbot.delivery.models import MessageState
from chatbot.delivery.send_table import DeliveryFailure
from chatbot.delivery.side_effects import group_by_policy, record_contact_effects
from chatbot.message_templates.models import MessageTemplate

MARKETING = "MARKETING"
_TABLE: sa.Table = Recipient.__table__  # type: ignore[assignment]


class RecipientSideEffects:
    """Implements `delivery.send_table.SideEffects`."""

    def on_failed(self, connection: sa.Connection, failures: Sequence[DeliveryFailure]) -> None:
        contact_of = sa.select(Recipient.id, Recipient.contact_id)
        record_contact_effects(connection, _TABLE, failures, contact_of)
        if cooling := [f.row_id for f in failures if f.code == COOL_DOWN]:
            _postpone_marketing(connection, cooling)
        failures_by_policy = group_by_policy(failures)
        for policy in (ErrorPolicy.TOKEN, ErrorPolicy.STOP, ErrorPolicy.TEMPLATE):
            for failure in failures_by_policy.get(policy, ())[:1]:  # the first stands for all
                stop_sending(connection, policy, failure.code, failure.detail, failure.row_id)

    def on_reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None:
        rows = Recipient.id.in_(id_list(connection, row_ids))
        mark_reachable(connection, sa.select(Recipient.contact_id).where(rows))


def stop_sending(
    connection: sa.Connection, policy: ErrorPolicy, code: int, detail: str, row_id: int
) -> None:
    """Pause the campaign of this recipient, or halt the whole channel, as the error's policy requires."""
    reason = f"({code}) {detail}"
    found = connection.execute(
        sa.select(Campaign.id, Campaign.channel_id)
        .join(Recipient, Recipient.campaign_id == Campaign.id)
        .where(Recipient.id == row_id)
    ).one_or_none()
    if found is None:
        return
    if policy is ErrorPolicy.TOKEN:
        halt_channel(connection, found.channel_id, reason)
    paused = pause_running(connection, Campaign.id == found.id, reason)
    if paused and policy is ErrorPolicy.STOP:
        event = NewChannelEvent(
            field="campaign", event="PAUSED", severity=Severity.BAD, detail=reason
        )
        record_channel_event(connection, found.channel_id, event)


def _postpone_marketing(connection: sa.Connection, row_ids: Sequence[int]) -> None:
    """Postpone queued marketing messages to these contacts until their marketing pause ends."""
    people = sa.select(Recipient.contact_id).where(Recipient.id.in_(row_ids))
    until = (
        sa.select(Contact.marketing_paused_until)
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
            Recipient.state == MessageState.QUEUED,
            Recipient.contact_id.in_(people),
            Recipient.campaign_id.in_(marketing),
            Recipient.due_at < until,
        )
        .values(due_at=until)
    )

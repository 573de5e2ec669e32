"""Rows of a campaign, created in bulk, and the request body that every sender sends."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate

TEMPLATE = "lembrete_fatura"
BATCH = 10_000
MESSAGE_BODY = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "type": "template",
    "template": {
        "name": TEMPLATE,
        "language": {"code": "pt_BR"},
        "components": [
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "text": "Maria da Silva"},
                    {"type": "text", "text": "10/12"},
                ],
            }
        ],
    },
    "biz_opaque_callback_data": "r:1:1",
}


def make_phone(position: int) -> str:
    return f"55119{80_000_000 + position % 10_000_000:08d}"


def make_running_campaign(channel: Channel, count: int) -> int:
    """Create a running campaign to `count` new contacts; return its id."""
    session = db.session
    session.execute(
        sa.update(Campaign)
        .where(Campaign.state == CampaignState.RUNNING)
        .values(state=CampaignState.FINISHED)
    )
    campaign = Campaign(
        name="Medida",
        channel_id=channel.id,
        template_id=_template(channel).id,
        parameters={"1": "field:name", "2": "field:vencimento"},
        audience={"kind": "all"},
        state=CampaignState.RUNNING,
    )
    session.add(campaign)
    session.flush()
    campaign_id = campaign.id
    first = (session.scalar(sa.select(sa.func.max(Contact.id))) or 0) + 1
    for start in range(first, first + count, BATCH):
        ids = range(start, min(start + BATCH, first + count))
        session.execute(sa.insert(Contact), [_person(n) for n in ids])
        session.execute(sa.insert(Recipient), [_recipient(campaign_id, n) for n in ids])
    session.commit()
    return campaign_id


def _person(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Pessoa {number}",
        "phone": f"+{make_phone(number)}",
        "wa_id": make_phone(number),
        "attributes": {"vencimento": "10/12"},
    }


def _recipient(campaign_id: int, contact_id: int) -> dict[str, Any]:
    return {"campaign_id": campaign_id, "contact_id": contact_id, "state": MessageState.QUEUED}


def _template(channel: Channel) -> MessageTemplate:
    found = db.session.scalar(sa.select(MessageTemplate))
    if found is None:
        found = MessageTemplate(
            channel_id=channel.id,
            name=TEMPLATE,
            language="pt_BR",
            category="UTILITY",
            status="APPROVED",
            components=[{"type": "BODY", "text": "Olá {{1}}, vence dia {{2}}."}],
            synced_at=clock.now(),
        )
        db.session.add(found)
        db.session.flush()
    return found

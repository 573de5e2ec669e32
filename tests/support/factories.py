"""Factories of database rows and webhook bodies."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from chatbot.brazil.phone import match_key
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel
from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind
from chatbot.conversations.models import Author, Conversation, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate
from tests.support.settings import SECRETS

_sequence = itertools.count(1)
Row = TypeVar("Row")


def commit_and_detach(row: Row) -> Row:
    """Commit a row and detach it with all its values.

    Reading it then opens no transaction, which on SQLite would block every other writer.
    """
    db.session.commit()
    db.session.refresh(row)
    db.session.expunge(row)
    db.session.rollback()
    return row


def make_channel() -> Channel:
    return commit_and_detach(get_default_channel())


def make_contact(name: str = "Maria Silva", digits: str | None = None, **columns: Any) -> Contact:
    """Create a contact with a phone; `digits` like 5511987654321."""
    digits = digits or f"55119{80_000_000 + next(_sequence):08d}"
    contact = Contact(name=name, phone=f"+{digits}", **columns)
    db.session.add(contact)
    db.session.flush()
    db.session.add(
        ContactIdentity(kind=IdentityKind.PHONE, value=match_key(digits), contact_id=contact.id)
    )
    return commit_and_detach(contact)


def make_template(body: str = "Olá {{1}}!", **columns: Any) -> MessageTemplate:
    template = MessageTemplate(
        channel_id=make_channel().id,
        **{
            "name": f"aviso_{next(_sequence)}",
            "language": "pt_BR",
            "category": "UTILITY",
            "status": "APPROVED",
            "components": [{"type": "BODY", "text": body}],
            "synced_at": clock.now(),
            **columns,
        },
    )
    db.session.add(template)
    return commit_and_detach(template)


def make_campaign(state: str = CampaignState.RUNNING, **columns: Any) -> Campaign:
    template = columns.pop("template", None) or make_template("Olá!")
    campaign = Campaign(
        name="Teste",
        channel_id=template.channel_id,
        template_id=template.id,
        audience={"kind": "all"},
        state=state,
        **columns,
    )
    db.session.add(campaign)
    return commit_and_detach(campaign)


def make_recipients(campaign: Campaign, count: int, **columns: Any) -> list[int]:
    """Create queued recipients with new contacts in bulk; return the recipients' ids."""
    first = next(_sequence) * 10_000
    contacts = list(
        db.session.scalars(
            sa.insert(Contact).returning(Contact.id, sort_by_parameter_order=True),
            [{"name": f"Pessoa {n}", "phone": f"+5521{900_000_000 + first + n}"}
             for n in range(count)],
        )
    )  # fmt: skip
    ids = list(
        db.session.scalars(
            sa.insert(Recipient).returning(Recipient.id, sort_by_parameter_order=True),
            [
                {"campaign_id": campaign.id, "contact_id": contact_id, "state": MessageState.QUEUED}
                | columns
                for contact_id in contacts
            ],
        )
    )
    db.session.commit()
    return ids


def make_conversation(contact: Contact | None = None, **columns: Any) -> Conversation:
    """Create a conversation with an open service window."""
    contact = contact or make_contact()
    conversation = Conversation(
        channel_id=make_channel().id,
        contact_id=contact.id,
        **{"last_inbound_at": clock.now(), **columns},
    )
    db.session.add(conversation)
    return commit_and_detach(conversation)


def make_inbound(conversation: Conversation, text: str, **columns: Any) -> Message:
    """Create an inbound message that waits for an answer, with its turn due."""
    now = clock.now()
    message = Message(
        conversation_id=conversation.id,
        direction=Direction.INBOUND,
        author=Author.CONTACT,
        **{
            "kind": "text",
            "text": text,
            "occurred_at": now,
            "needs_turn": True,
            "wamid": f"wamid.in{next(_sequence)}",
            **columns,
        },
    )
    db.session.add(message)
    db.session.flush()
    # A None given to the constructor would be replaced by the default of `state`.
    db.session.execute(sa.update(Message).where(Message.id == message.id).values(state=None))
    db.session.execute(
        sa.update(Conversation)
        .where(Conversation.id == conversation.id)
        .values(turn_due_at=now - timedelta(seconds=1))
    )
    return commit_and_detach(message)


def make_message_value(
    text: str = "oi",
    wamid: str | None = None,
    sender: str = "5511987654321",
    at: float | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the `value` of a webhook with one text message; a change to None removes a key."""
    message = {
        "from": sender,
        "id": wamid or f"wamid.test{next(_sequence)}",
        "timestamp": str(int(at if at is not None else time.time())),
        "type": "text",
        "text": {"body": text},
        **changes,
    }
    return {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": "551140000000",
            "phone_number_id": SECRETS["WHATSAPP_PHONE_NUMBER_ID"],
        },
        "contacts": [{"profile": {"name": "Maria"}, "wa_id": sender}],
        "messages": [{k: v for k, v in message.items() if v is not None}],
    }


def make_status_value(wamid: str, status: str = "delivered", **more: Any) -> dict[str, Any]:
    value = make_message_value()
    found = {"id": wamid, "status": status, "timestamp": str(int(time.time())), **more}
    return {"metadata": value["metadata"], "statuses": [found]}


def make_webhook_body(*values: dict[str, Any], field: str = "messages") -> bytes:
    changes = [{"field": field, "value": value} for value in values]
    entry = {"id": SECRETS["WHATSAPP_BUSINESS_ACCOUNT_ID"], "changes": changes}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def signature_headers(raw: bytes) -> dict[str, str]:
    """Return the headers of a webhook, with the signature of `raw`."""
    digest = hmac.new(SECRETS["WHATSAPP_APP_SECRET"].encode(), raw, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def ago(seconds: float) -> datetime:
    return clock.now() - timedelta(seconds=seconds)

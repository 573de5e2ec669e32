"""Demo data: customers with open invoices and conversations of several days."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from chatbot.billing.models import Invoice
from chatbot.brazil.boleto import make_line
from chatbot.brazil.phone import parse_phone
from chatbot.brazil.pix import make_pix
from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel
from chatbot.contacts.models import Contact, ContactIdentity, ContactTag, IdentityKind
from chatbot.conversations.merging import get_or_create_conversation
from chatbot.conversations.models import Author, ConversationState, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.demo.samples import CITIES, CONVERSATIONS, FIRST_NAMES, LAST_NAMES, PLANS

CUSTOMERS = 40
BANK = "756"
PIX_KEY = "financeiro@ventosulfibra.example"
MONTHS = (
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
).split()


def is_loaded() -> bool:
    return bool(db.session.scalar(sa.select(sa.exists().where(Contact.id > 0))))


def load_demo_data(count: int = CUSTOMERS, seed: int = 7) -> int:
    """Add the customers to an empty database, and return how many. The same seed gives the same people."""
    rng = random.Random(seed)
    channel = get_default_channel()
    today = clock.now().date()
    for number in range(count):
        contact, plan, cents = _add_customer(number, rng)
        _add_invoices(contact, plan, cents, today, number)
        if number % 3 == 0:
            _add_conversation(channel, contact, number, rng)
    db.session.flush()
    return count


def customer_phone(number: int) -> str:
    """Return the phone (E.164) of a customer. Number 0 is the simulator's default person."""
    _, ddd = CITIES[number % len(CITIES)]
    return "+5511987650001" if number == 0 else f"+55{ddd}98765{number + 1000:04d}"


def _add_customer(number: int, rng: random.Random) -> tuple[Contact, str, int]:
    city, _ = CITIES[number % len(CITIES)]
    plan, cents = PLANS[number % len(PLANS)]
    phone = parse_phone(customer_phone(number))
    name = "Maria Souza" if number == 0 else f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    contact = Contact(
        name=name, phone=phone.e164, attributes={"cidade": city, "plano": plan, "vencimento": "10"}
    )
    db.session.add(contact)
    db.session.flush()
    db.session.add(
        ContactIdentity(kind=IdentityKind.PHONE, value=phone.match_key, contact_id=contact.id)
    )
    db.session.add(ContactTag(contact_id=contact.id, name="cliente"))
    if number % 4 == 1:
        db.session.add(ContactTag(contact_id=contact.id, name="inadimplente"))
    return contact, plan, cents


def _add_invoices(contact: Contact, plan: str, cents: int, today: date, number: int) -> None:
    """Add one open invoice for most customers, an overdue one too for some, none for a few."""
    if number % 7 == 6:
        return
    offsets = (-20, 10) if number % 4 == 1 else (12 - number % 9,)
    for offset in offsets:
        due_on = today + timedelta(days=offset)
        amount = Decimal(cents) / 100
        reference = f"VS{due_on:%y%m}{contact.id:05d}"
        db.session.add(
            Invoice(
                contact_id=contact.id,
                reference=reference,
                description=f"{plan} · {MONTHS[due_on.month - 1]}",
                due_on=due_on,
                amount_cents=cents,
                line=make_line(BANK, f"{contact.id:025d}", due_on, amount),
                pix_code=make_pix(PIX_KEY, "VENTO SUL FIBRA", "PORTO ALEGRE", amount, reference),
            )
        )


def _add_conversation(channel: Channel, contact: Contact, number: int, rng: random.Random) -> None:
    messages = CONVERSATIONS[(number // 3) % len(CONVERSATIONS)]
    conversation = get_or_create_conversation(channel, contact)
    started_at = clock.now() - timedelta(hours=rng.randint(1, 96), minutes=rng.randint(0, 59))
    for author, text, minutes in messages:
        _add_message(conversation.id, author, text, started_at + timedelta(minutes=minutes))
    last_author, last_text, last_minutes = messages[-1]
    conversation.last_message_at = started_at + timedelta(minutes=last_minutes)
    conversation.last_message_text = last_text
    last_inbound_minutes, conversation.last_inbound_text = max(
        (minutes, text) for author, text, minutes in messages if author == "contact"
    )
    conversation.last_inbound_at = started_at + timedelta(minutes=last_inbound_minutes)
    if "atendente" in last_text and last_author == "bot":
        conversation.state = ConversationState.WAITING
        conversation.handoff_reason = "requested"
        conversation.waiting_since = conversation.last_message_at
        conversation.unread_count = 1


def _add_message(conversation_id: int, author: str, text: str, at: datetime) -> None:
    inbound = author == "contact"
    db.session.add(
        Message(
            conversation_id=conversation_id,
            direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
            author=Author(author),
            state=None if inbound else MessageState.READ,
            kind="text",
            text=text,
            payload={},
            occurred_at=at,
            recorded_at=at,
            due_at=at,
            sent_at=None if inbound else at,
            delivered_at=None if inbound else at,
            read_at=None if inbound else at,
        )
    )

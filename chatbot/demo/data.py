"""Demo data: customers with open invoices and conversations of several days."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from chatbot.billing.boleto import make_line
from chatbot.billing.models import Invoice
from chatbot.billing.pix import make_pix
from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel
from chatbot.contacts.models import Contact, ContactIdentity, ContactTag, IdentityKind
from chatbot.conversations.inbound import get_conversation
from chatbot.conversations.models import Author, ConversationState, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.phone import parse_phone
from chatbot.delivery.states import State
from chatbot.demo.people import CITIES, FIRST, LAST, PLANS, STORIES

CUSTOMERS = 40
BANK = "756"
PIX_KEY = "financeiro@ventosulfibra.example"
MONTHS = (
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
).split()


def is_loaded() -> bool:
    return bool(db.session.scalar(sa.select(sa.exists().where(Contact.id > 0))))


def load(count: int = CUSTOMERS, seed: int = 7) -> int:
    """Add the customers to an empty database; returns how many. Same seed, same people."""
    rng = random.Random(seed)
    channel = get_default_channel()
    today = clock.now().date()
    for number in range(count):
        contact, plan, cents = _add_customer(number, rng)
        _add_invoices(contact, plan, cents, today, number)
        if number % 3 == 0:
            _add_story(channel, contact, number, rng)
    db.session.flush()
    return count


def customer_phone(number: int) -> str:
    """The phone of the n-th customer, E.164; the first is the simulator's default person."""
    _, ddd = CITIES[number % len(CITIES)]
    return "+5511987650001" if number == 0 else f"+55{ddd}98765{number + 1000:04d}"


def _add_customer(number: int, rng: random.Random) -> tuple[Contact, str, int]:
    city, _ = CITIES[number % len(CITIES)]
    plan, cents = PLANS[number % len(PLANS)]
    phone = parse_phone(customer_phone(number))
    name = "Maria Souza" if number == 0 else f"{rng.choice(FIRST)} {rng.choice(LAST)}"
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
    """One open invoice for most, an overdue one as well for some, none for a few."""
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


def _add_story(channel: Channel, contact: Contact, number: int, rng: random.Random) -> None:
    story = STORIES[(number // 3) % len(STORIES)]
    conversation = get_conversation(channel, contact)
    begun = clock.now() - timedelta(hours=rng.randint(1, 96), minutes=rng.randint(0, 59))
    for who, text, minutes in story:
        _add_line(conversation.id, who, text, begun + timedelta(minutes=minutes))
    last_who, last_text, last_minutes = story[-1]
    conversation.last_message_at = begun + timedelta(minutes=last_minutes)
    conversation.last_message_text = last_text
    conversation.last_inbound_at = begun + timedelta(
        minutes=max(minutes for who, _, minutes in story if who == "contact")
    )
    if "atendente" in last_text and last_who == "bot":
        conversation.state = ConversationState.WAITING
        conversation.handoff_reason = "requested"
        conversation.unread_count = 1


def _add_line(conversation_id: int, who: str, text: str, at: datetime) -> None:
    inbound = who == "contact"
    db.session.add(
        Message(
            conversation_id=conversation_id,
            direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
            author=Author(who),
            state=None if inbound else State.READ,
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

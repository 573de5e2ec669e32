"""Create the data set of the benchmarks: `python -m benchmarks.dataset`.

It has 100,000 contacts, 1,000,000 messages and a campaign to all contacts. INSERT ... SELECT over a series
of numbers creates it in about a minute. It is kept for later runs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from benchmarks.databases import app_on, create_empty_database, get_backend_name, get_persistent_url
from chatbot.accounts.models import Role, User
from chatbot.accounts.service import create_user
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.channels.service import get_default_channel
from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind
from chatbot.conversations.models import Author, Conversation, ConversationState, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db, db_now, is_postgresql
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate
from tests.support.stack_users import PASSWORD

DATABASE = "prosa_bench"
ROUNDS = 10  # messages of each conversation
STAFF = 50
SPREAD_S = 30 * 86_400.0
FIRST_NAMES = ("Ana", "Bruno", "Carla", "Diego", "Elisa", "Fabio", "Gabriela", "Hugo", "Ines",
               "Joao")  # fmt: skip
LAST_NAMES = ("Almeida", "Barbosa", "Cardoso", "Duarte", "Esteves", "Ferreira", "Gomes", "Lima",
              "Souza")  # fmt: skip


@dataclass(frozen=True, slots=True)
class DatasetSize:
    contacts: int = 100_000

    @property
    def messages(self) -> int:
        return self.contacts * ROUNDS


def email_of(number: int) -> str:
    return f"staff{number}@prosa.test"


def ensure_dataset() -> str:
    """Return the URL of a database with the data set.

    It is created again when it is older than 12 hours, because many queries read the events of today.
    """
    size, url = DatasetSize(), get_persistent_url(DATABASE)
    with app_on(url, None):
        if is_dataset_current(size):
            return url
    url, started = create_empty_database(DATABASE), time.perf_counter()
    with app_on(url, None):
        make_dataset(size)
        vacuum()
    print(
        f"made {size.contacts} contacts and {size.messages} messages in {get_backend_name(url)}: "
        f"{time.perf_counter() - started:.0f} s"
    )
    return url


def is_dataset_current(size: DatasetSize) -> bool:
    """Tell whether the data set is complete, recent, and has the tables of this version."""
    query = sa.select(sa.func.count(), sa.func.max(Message.recorded_at))
    try:
        db.session.scalars(sa.select(Message).limit(1)).all()
        count, last = db.session.execute(query).one()
    except sa.exc.DBAPIError:
        return False
    finally:
        db.session.rollback()
    return count >= size.messages and last > clock.now() - timedelta(hours=12)


def make_dataset(size: DatasetSize) -> None:
    channel_id = get_default_channel().id
    _make_staff()
    template_id = _make_template(channel_id)
    people, messages = _series(size.contacts), _series(size.messages)
    _insert(Contact, people, _contact(people.c.i))
    _insert(ContactIdentity, people, _identity(people.c.i))
    _insert(Conversation, people, _conversation(people.c.i, channel_id, size))
    _insert(Message, messages, _message(messages.c.i, size))
    campaign_id = _make_campaign(channel_id, template_id)
    _insert(Recipient, people, _recipient(people.c.i, campaign_id))
    if is_postgresql(db.session.connection()):
        for model in (Contact, Conversation, Message, Recipient):
            db.session.execute(_next_id(model.__tablename__))
    db.session.commit()


def vacuum() -> None:
    """Update statistics and visibility map now; autovacuum would do it later, during a benchmark."""
    statement = "VACUUM ANALYZE" if db.engine.dialect.name == "postgresql" else "ANALYZE"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(statement))


def _series(count: int) -> sa.CTE:
    """Return the numbers from 1 to `count` as a CTE that works in both databases."""
    first = sa.select(sa.literal(1).label("i")).cte(f"series_of_{count}", recursive=True)
    return first.union_all(sa.select(first.c.i + 1).where(first.c.i < count))


def _insert(
    model: Any, series: sa.CTE, columns: dict[InstrumentedAttribute[Any], sa.ColumnElement[Any]]
) -> None:
    """Insert a row for each number; other columns get the model's defaults."""
    values = sa.select(*columns.values()).select_from(series)
    names = [column.key for column in columns]
    db.session.execute(sa.insert(model).from_select(names, values))


def _next_id(table: str) -> sa.TextClause:
    return sa.text(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
    )


def _make_staff() -> None:
    """Create users who share one password hash, because hashing is slow."""
    first = create_user(email_of(1), "Pessoa 1", Role.MANAGER, PASSWORD)
    for number in range(2, STAFF + 1):
        db.session.add(
            User(
                email=email_of(number),
                name=f"Pessoa {number}",
                role=Role.MANAGER,
                password_hash=first.password_hash,
            )
        )
    db.session.flush()


def _make_template(channel_id: int) -> int:
    template = MessageTemplate(
        channel_id=channel_id,
        name="lembrete_fatura",
        language="pt_BR",
        category="UTILITY",
        status="APPROVED",
        components=[{"type": "BODY", "text": "Sua fatura vence amanhã."}],
        synced_at=clock.now(),
    )
    db.session.add(template)
    db.session.flush()
    return template.id


def _make_campaign(channel_id: int, template_id: int) -> int:
    """Paused, so that its figures are shown and no worker sends it."""
    campaign = Campaign(
        name="Fatura de novembro",
        channel_id=channel_id,
        template_id=template_id,
        audience={"kind": "all"},
        state=CampaignState.PAUSED,
    )
    db.session.add(campaign)
    db.session.flush()
    return campaign.id


def _text(value: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.cast(value, sa.String)


def _one_of(names: tuple[str, ...], number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.case(dict(enumerate(names)), value=number % len(names))


def _digits(i: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.literal("5511") + _text(980_000_000 + i)


def _contact(i: sa.ColumnElement[int]) -> dict[InstrumentedAttribute[Any], Any]:
    name = _one_of(FIRST_NAMES, i) + " " + _one_of(LAST_NAMES, i) + " " + _text(i)
    return {
        Contact.id: i,
        Contact.name: name,
        Contact.search_name: sa.func.lower(name),
        Contact.wa_id: _digits(i),
        Contact.phone: sa.literal("+") + _digits(i),
    }


def _identity(i: sa.ColumnElement[int]) -> dict[InstrumentedAttribute[Any], Any]:
    """Return the columns of an identity; its value is that of `match_key`, without the ninth digit."""
    return {
        ContactIdentity.kind: sa.literal(IdentityKind.PHONE.value),
        ContactIdentity.value: sa.literal("5511") + _text(80_000_000 + i),
        ContactIdentity.contact_id: i,
    }


def _age_s(message: sa.ColumnElement[Any], size: DatasetSize) -> sa.ColumnElement[Any]:
    """Return the negative age of a message in seconds; message 1 is the oldest."""
    return sa.cast((message - size.messages) * (SPREAD_S / size.messages), sa.Float)


def _conversation(
    i: sa.ColumnElement[int], channel_id: int, size: DatasetSize
) -> dict[InstrumentedAttribute[Any], Any]:
    """Return the columns of a conversation: 2 of 100 wait, 3 are assigned, 30 are closed."""
    state = sa.case(
        (i % 100 < 2, ConversationState.WAITING),
        (i % 100 < 5, ConversationState.ASSIGNED),
        (i % 100 < 35, ConversationState.CLOSED),
        else_=ConversationState.BOT,
    )
    last = db_now(_age_s(i + (ROUNDS - 1) * size.contacts, size))
    return {
        Conversation.id: i,
        Conversation.channel_id: sa.literal(channel_id),
        Conversation.contact_id: i,
        Conversation.state: state,
        Conversation.assigned_user_id: sa.case(
            (sa.and_(i % 100 >= 2, i % 100 < 5), i % STAFF + 1), else_=sa.null()
        ),
        Conversation.last_message_at: last,
        Conversation.last_inbound_at: last,
        Conversation.last_message_text: sa.literal("Quanto devo este mês?"),
        Conversation.last_inbound_text: sa.literal("Quanto devo este mês?"),
        Conversation.waiting_since: sa.case(
            (state == ConversationState.WAITING, last), else_=sa.null()
        ),
        Conversation.unread_count: sa.case((i % 100 < 2, 1), else_=0),
    }


def _message(i: sa.ColumnElement[int], size: DatasetSize) -> dict[InstrumentedAttribute[Any], Any]:
    """Return the columns of a message.

    Each round adds one message to every conversation, alternately inbound and outbound; the last is inbound.
    """
    is_inbound = ((i - 1) // size.contacts) % 2 == (ROUNDS - 1) % 2
    moment = db_now(_age_s(i, size))
    sent = sa.case(
        (i % 20 < 12, MessageState.READ), (i % 20 < 18, MessageState.DELIVERED),
        (i % 20 < 19, MessageState.SENT),
        else_=MessageState.FAILED,
    )  # fmt: skip
    return {
        Message.id: i,
        Message.conversation_id: (i - 1) % size.contacts + 1,
        Message.direction: sa.case((is_inbound, Direction.INBOUND), else_=Direction.OUTBOUND),
        Message.author: sa.case((is_inbound, Author.CONTACT), else_=Author.BOT),
        Message.kind: sa.literal("text"),
        Message.text: sa.literal("Mensagem número ") + _text(i),
        Message.state: sa.case((is_inbound, sa.null()), else_=sent),
        Message.wamid: sa.literal("wamid.bench.") + _text(i),
        Message.occurred_at: moment,
        Message.recorded_at: moment,
    }


def _recipient(i: sa.ColumnElement[int], campaign_id: int) -> dict[InstrumentedAttribute[Any], Any]:
    state = sa.case(
        (i % 10 < 5, MessageState.READ), (i % 10 < 8, MessageState.DELIVERED),
        (i % 10 < 9, MessageState.SENT),
        else_=MessageState.QUEUED,
    )  # fmt: skip
    return {
        Recipient.id: i,
        Recipient.campaign_id: sa.literal(campaign_id),
        Recipient.contact_id: i,
        Recipient.state: state,
        Recipient.attempt: sa.case((i % 10 < 9, 1), else_=0),
    }


def main() -> int:
    print(f"the data set is in {get_backend_name(ensure_dataset())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

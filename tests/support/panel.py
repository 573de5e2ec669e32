"""Users of the panel, and contacts, conversations and campaigns for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from chatbot.accounts.models import Role, User
from chatbot.accounts.service import create_user
from chatbot.campaigns.models import Campaign
from chatbot.channels.service import get_default_channel
from chatbot.contacts.models import Contact, ContactTag
from chatbot.contacts.service import SenderIdentity, resolve_contact
from chatbot.conversations.inbound import get_or_create_conversation
from chatbot.conversations.models import Author, Conversation, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.message_templates.models import MessageTemplate, TemplateStatus

PASSWORD = "correct horse battery"


def make_user(name: str, role: Role = Role.AGENT) -> User:
    user = create_user(f"{name.lower()}@prosa.example", name, role, PASSWORD)
    db.session.commit()
    return user


class IsolatedClient(FlaskClient):
    """Client whose requests do not share the application context, user and transaction of the test."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        db.session.rollback()  # the test's own transaction would block the request
        answer = Context().run(super().open, *args, buffered=True, **kwargs)
        answer.request.environ["wsgi.input"].close()  # a large form is in a temporary file
        return answer


def sign_in(app: Flask, name: str = "Ana", role: Role = Role.AGENT) -> FlaskClient:
    """Return a client that is signed in as a new user."""
    user = make_user(name, role)
    client = IsolatedClient(app, app.response_class)
    answer = client.post("/login", data={"email": user.email, "password": PASSWORD})
    assert answer.status_code in (302, 303), answer.text
    return client


def make_contact(name: str = "Maria Souza", phone: str = "5511987650001") -> Contact:
    contact = resolve_contact(SenderIdentity(wa_id=phone, name=name))
    contact.phone = f"+{phone}"
    db.session.commit()
    return contact


def add_tag(contact: Contact, name: str) -> None:
    db.session.add(ContactTag(contact_id=contact.id, name=name))
    db.session.commit()


def make_conversation(contact: Contact, **changes: Any) -> Conversation:
    """Create a conversation with an open service window."""
    conversation = get_or_create_conversation(get_default_channel(), contact)
    conversation.last_inbound_at = clock.now() - timedelta(minutes=5)
    for name, value in changes.items():
        setattr(conversation, name, value)
    db.session.commit()
    return conversation


def make_message(
    conversation: Conversation, text: str, at: datetime | None = None, **changes: Any
) -> Message:
    """Create a message of the contact, or of another `author`."""
    author = changes.pop("author", Author.CONTACT)
    inbound = author == Author.CONTACT
    message = Message(
        conversation_id=conversation.id,
        direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
        author=author,
        text=text,
        occurred_at=at or clock.now(),
        **({"state": None, "kind": "text"} | changes),
    )
    db.session.add(message)
    db.session.commit()
    return message


def make_template(name: str = "lembrete", body: str = "Olá {{1}}, vence dia {{2}}.") -> Any:
    template = MessageTemplate(
        channel_id=get_default_channel().id,
        name=name,
        language="pt_BR",
        category="UTILITY",
        status=TemplateStatus.APPROVED,
        components=[{"type": "BODY", "text": body}],
        synced_at=clock.now(),
    )
    db.session.add(template)
    db.session.commit()
    return template


def find_user(name: str) -> User:
    return db.session.scalars(sa.select(User).where(User.name == name)).one()


def reload_conversation(conversation: Conversation) -> Conversation:
    db.session.rollback()
    return db.session.get_one(Conversation, conversation.id, populate_existing=True)


def get_only_campaign() -> Campaign:
    db.session.rollback()
    return db.session.scalars(sa.select(Campaign)).one()


def draft_campaign_in_panel(client: FlaskClient, template: Any, **changes: str) -> str:
    """Go through the steps of a new campaign; return the address of the last one."""
    form = {"name": "Aviso", "template_id": str(template.id), "on_doubt": "show"} | changes
    answer = client.post("/campaigns/new", data=form)
    assert answer.status_code == 303
    blanks = {"source-1": "field:name", "source-2": "text", "text-2": "10/12"}
    answer = client.post(answer.location, data=blanks)
    assert answer.status_code == 303
    answer = client.post(answer.location, data={"audience": "all"})
    assert answer.status_code == 303
    return answer.location


@contextmanager
def count_statements() -> Iterator[list[str]]:
    """Collect the SQL statements executed inside, without BEGIN."""
    seen: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    engine: sa.Engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", record)


def explain_query(statement: Any) -> str:
    """Return SQLite's query plan of a statement."""
    compiled = statement.compile(db.engine, compile_kwargs={"render_postcompile": True})
    processors = compiled._bind_processors
    values = tuple(
        processors[name](value) if name in processors else value
        for name, value in ((name, compiled.params[name]) for name in compiled.positiontup or ())
    )
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
    return "\n".join(row[3] for row in rows)

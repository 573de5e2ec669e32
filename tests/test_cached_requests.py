"""Cost of the most frequent requests, and changes that must be visible at once in spite of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.accounts import users
from chatbot.accounts.models import Role, User
from chatbot.billing.models import Invoice, InvoiceState
from chatbot.contacts import service as contacts
from chatbot.contacts.models import CONTACTS_CACHE_TAG, Contact
from chatbot.contacts.service import SenderIdentity, resolve_contact
from chatbot.conversations import service
from chatbot.conversations.models import Author, Conversation, Message
from chatbot.core import clock
from chatbot.core.cache import stats
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import db
from tests.support.call_counts import RedisProxy, count_sql
from tests.support.clients import PanelClient, make_client, make_signed_in_client
from tests.support.panel import make_contact, make_conversation, make_message, make_user
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings
from tests.support.webhooks import drain_queues, store_webhook

MAX_ROUND_TRIPS = 3  # rate limit, session with its user, content of the page


@pytest.fixture
def redis_proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    made = RedisProxy(redis_server.url)
    yield made
    made.close()


@pytest.fixture
def proxied_app(database_url: str, tmp_path: Path, redis_proxy: RedisProxy) -> Iterator[Flask]:
    app = create_app(make_settings(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_proxy.url))
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with app.app_context():
        yield app
        db.session.rollback()
        db.engine.dispose()
    app.extensions["prosa_redis"].pool.disconnect()


def make_contact_and_conversation() -> tuple[Contact, Conversation]:
    contact = make_contact()
    conversation = make_conversation(contact, last_message_text="oi")
    make_message(conversation, "oi")
    return contact, conversation


def test_a_cached_request_is_three_round_trips_at_most_and_no_sql(
    proxied_app: Flask, redis_proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The flusher thread would add round trips.
    monkeypatch.setattr(stats, "_start_flusher", lambda: None)
    contact, conversation = make_contact_and_conversation()
    client, _ = make_signed_in_client(proxied_app, Role.ADMIN)
    paths = [
        "/now",
        "/",
        "/conversations/",
        "/conversations/rows",
        "/conversations/?inbox=mine",
        f"/conversations/{conversation.id}/live",
        f"/contacts/{contact.id}",
        "/account/",
    ]
    for path in paths:
        for _ in range(3):
            assert client.get(path).status_code == 200
        with redis_proxy.count_round_trips() as trips, count_sql(db.engine) as sql:
            assert client.get(path).status_code == 200
        assert sql.statements == [], path
        assert trips.number <= MAX_ROUND_TRIPS, path


Change = Callable[[User, Contact, Conversation], object]


def _commit(change: Change) -> Change:
    def changed(user: User, contact: Contact, conversation: Conversation) -> None:
        change(user, contact, conversation)
        db.session.commit()

    return changed


def _invoice(contact: Contact, state: str = InvoiceState.OPEN) -> None:
    db.session.add(
        Invoice(
            contact_id=contact.id,
            reference="R9",
            description="Plano Fibra",
            amount_cents=9990,
            due_on=clock.now().date() + timedelta(days=3),
            state=state,
        )
    )


def _delete(conversation: Conversation) -> None:
    db.session.execute(sa.delete(Message).where(Message.conversation_id == conversation.id))
    db.session.delete(conversation)


def _stop_in_whatsapp(_user: User, contact: Contact, _conversation: Conversation) -> None:
    preference = {"wa_id": contact.wa_id, "category": "marketing_messages", "value": "stop"}
    db.session.rollback()
    store_webhook({"user_preferences": [preference]}, field="user_preferences")
    drain_queues()


def _rename_by_statement(_user: User, contact: Contact, _conversation: Conversation) -> None:
    contact_id = contact.id
    db.session.rollback()
    with db.engine.begin() as connection:
        invalidate_with(connection, CONTACTS_CACHE_TAG)
        connection.execute(
            sa.update(Contact).where(Contact.id == contact_id).values(name="Nome novo")
        )


# name → (path, change, text that must appear then)
CHANGES: dict[str, tuple[str, Change, str]] = {
    "a contact renamed: profile": (
        "/contacts/{contact}",
        _commit(lambda _u, contact, _c: setattr(contact, "name", "Nome novo")),
        "Nome novo",
    ),
    "a contact renamed: list": (
        "/conversations/rows",
        _commit(lambda _u, contact, _c: setattr(contact, "name", "Nome novo")),
        "Nome novo",
    ),
    "by a statement of its own": ("/conversations/rows", _rename_by_statement, "Nome novo"),
    "an invoice": (
        "/contacts/{contact}",
        _commit(lambda _u, contact, _c: _invoice(contact)),
        "Plano Fibra",
    ),
    "an opt-out": (
        "/contacts/{contact}",
        _commit(lambda _u, contact, _c: contacts.opt_out(contact, "agent", "por telefone")),
        "por telefone",
    ),
    "an opt-out in WhatsApp": ("/contacts/{contact}", _stop_in_whatsapp, "no próprio WhatsApp"),
    "a message": (
        "/conversations/rows",
        _commit(lambda _u, _c, talk: setattr(talk, "last_message_text", "outra coisa")),
        "outra coisa",
    ),
    "one is deleted": (
        "/conversations/rows",
        _commit(lambda _u, _c, talk: _delete(talk)),
        "Nenhuma conversa ainda",
    ),
    "one is taken": (
        "/conversations/rows?inbox=mine",
        _commit(lambda user, _c, talk: service.assign(talk, user.id)),
        "Maria Souza",
    ),
    "one waits": (
        "/now",
        _commit(lambda _u, _c, talk: service.hand_off(talk, "agent")),
        '<div class="figure">1',
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_visible_at_once_on_a_cached_page(app: Flask, name: str) -> None:
    path, change, seen = CHANGES[name]
    contact, conversation = make_contact_and_conversation()
    client, user = make_signed_in_client(app)
    path = path.format(contact=contact.id)
    for _ in range(2):
        before = client.get(path).text
    change(user, contact, conversation)
    after = client.get(path).text
    assert after.count(seen) > before.count(seen)


def test_a_new_message_and_its_status_are_visible_at_once_in_the_thread(app: Flask) -> None:
    _, conversation = make_contact_and_conversation()
    client, _ = make_signed_in_client(app)
    url = f"/conversations/{conversation.id}/live"
    assert "segunda via" not in client.get(url).text
    said = make_message(conversation, "segunda via", author=Author.BOT, state="sent")
    assert "segunda via" in client.get(url).text
    before = client.get(url).json["messages"]
    said.state = "read"
    db.session.commit()
    assert client.get(url).json["messages"] != before


def test_merged_contacts_are_shown_as_one_and_not_from_the_cache(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    other = make_contact("Maria S", "5511987650002")
    contact = resolve_contact(SenderIdentity(bsuid="b1", name="Maria Souza"))
    db.session.commit()
    for person in (contact, other):
        client.get(f"/contacts/{person.id}")
    resolve_contact(SenderIdentity(wa_id="5511987650002", bsuid="b1"))
    db.session.commit()
    kept, gone = sorted((contact, other), key=lambda person: person.merged_into_id is not None)
    assert client.get(f"/contacts/{gone.id}").location == f"/contacts/{kept.id}"
    _invoice(gone)
    db.session.commit()
    assert "Plano Fibra" in client.get(f"/contacts/{kept.id}").text


SESSION_ENDINGS: dict[str, Callable[[PanelClient, User, User], object]] = {
    "signed out": lambda client, _user, _admin: client.post("/logout"),
    "signed out everywhere": lambda client, _u, _a: client.post("/account/sign-out-everywhere"),
    "account closed": lambda _c, user, admin: users.close_user(
        users.get_user_for_update(user.id), admin
    ),
}


@pytest.mark.parametrize("name", SESSION_ENDINGS)
def test_an_ended_session_is_refused_at_once_by_every_process(
    app: Flask, sqlite_url: str, tmp_path: Path, redis_server: RedisServer, name: str
) -> None:
    client, user = make_signed_in_client(app)
    admin = make_user("Chefe", Role.ADMIN)
    other = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url))
    stolen = make_client(other)
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    stolen.set_cookie("prosa", cookie.value)
    assert stolen.is_signed_in()
    SESSION_ENDINGS[name](client, user, admin)
    db.session.commit()
    assert not stolen.is_signed_in()
    assert not stolen.is_signed_in(), "the end of the session is cached too"
    other.extensions["prosa_redis"].pool.disconnect()


def test_a_new_role_applies_at_once(app: Flask) -> None:
    client, user = make_signed_in_client(app)
    admin = make_user("Chefe", Role.ADMIN)
    assert client.get("/redis/").status_code == 403
    users.change_role(users.get_user_for_update(user.id), Role.MANAGER, admin)
    db.session.commit()
    assert client.get("/redis/").status_code == 200

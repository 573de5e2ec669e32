"""No conversation stays with an agent whose account is closed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts import users
from chatbot.accounts.models import Role, User
from chatbot.conversations import service
from chatbot.conversations.models import Conversation, ConversationState
from chatbot.core.db import db, is_postgresql
from chatbot.core.db.pool import use_reserve
from chatbot.core.errors import Conflict
from tests.support.panel import (
    find_user,
    make_contact,
    make_conversation,
    make_user,
    reload_conversation,
    sign_in,
)
from tests.support.ports import wait_for


def make_assigned(user: User, number: int) -> Conversation:
    return make_conversation(
        make_contact(phone=f"551198765000{number}"),
        state=ConversationState.ASSIGNED,
        assigned_user_id=user.id,
    )


def test_closing_an_account_lets_its_conversations_wait_again(any_app: Flask) -> None:
    ana = sign_in(any_app, "Ana", Role.ADMIN)
    bia, caio = make_user("Bia"), make_user("Caio")
    left = [make_assigned(bia, number) for number in range(3)]
    kept = make_assigned(caio, 9)
    page = f"/conversations/{left[0].id}"
    assert "Bia" in ana.get(page).text  # and is cached now
    assert ana.post(f"/users/{bia.id}/close").status_code == 303
    for conversation in left:
        found = reload_conversation(conversation)
        assert (found.state, found.assigned_user_id) == (ConversationState.WAITING, None)
        assert found.handoff_reason == "account_closed"
        assert found.waiting_since is not None
    assert reload_conversation(kept).assigned_user_id == caio.id
    assert "a conta do atendente foi encerrada" in ana.get(page).text
    assert ana.get("/conversations/?inbox=waiting").text.count("a conta do atendente") == 3


def test_both_happen_or_neither(any_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = sign_in(any_app, "Ana", Role.ADMIN)
    bia = make_user("Bia")
    conversation = make_assigned(bia, 1)
    any_app.config["PROPAGATE_EXCEPTIONS"] = False

    def fail(_conversation: Conversation, _reason: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(service, "hand_off", fail)
    assert ana.post(f"/users/{bia.id}/close").status_code == 500
    assert reload_conversation(conversation).assigned_user_id == bia.id
    assert find_user("Bia").is_active


def test_a_closed_account_takes_no_conversation(app: Flask) -> None:
    make_user("Ana", Role.ADMIN)
    bia = make_user("Bia")
    bia.is_active = False
    conversation = make_conversation(make_contact())
    with pytest.raises(Conflict):
        service.assign(conversation, bia.id)


def test_an_account_that_is_closed_while_it_takes_a_conversation_does_not_keep_it(
    any_app: Flask,
) -> None:
    admin_id, bia_id = make_user("Ana", Role.ADMIN).id, make_user("Bia").id
    conversation = make_conversation(make_contact(), state=ConversationState.WAITING)
    number = conversation.id
    taken, may_commit = threading.Event(), threading.Event()

    def take() -> None:
        with any_app.app_context():
            service.assign(service.get_for_update(number), bia_id)
            db.session.flush()
            taken.set()
            assert may_commit.wait(30)
            db.session.commit()

    def close() -> None:
        with any_app.app_context():
            users.close_user(users.get_user_for_update(bia_id), db.session.get_one(User, admin_id))
            db.session.commit()

    db.session.rollback()
    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(take)
        assert taken.wait(30)
        closing = pool.submit(close)
        wait_for(lambda: closing.done() or is_waiting_for_a_lock())
        may_commit.set()
        taking.result(), closing.result()
    found = reload_conversation(conversation)
    assert (found.state, found.assigned_user_id) == (ConversationState.WAITING, None)


def is_waiting_for_a_lock() -> bool:
    if not is_postgresql(db.engine):
        return True  # the closing waits for the write lock of the whole database
    with use_reserve(), db.engine.connect() as connection:
        return bool(
            connection.scalar(sa.text("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"))
        )

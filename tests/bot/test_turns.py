from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.billing.models import Invoice
from chatbot.bot import turns
from chatbot.bot.tasks import run_turns
from chatbot.bot.turn_claims import claim_due_turns
from chatbot.bot.turns import MAX_ATTEMPTS, run_turn
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.service import close, hand_back
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from tests.support.call_counts import RedisProxy, count_sql
from tests.support.factories import ago, make_contact, make_conversation, make_inbound
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


def make_asking_conversation(*texts: str, **columns: Any) -> Conversation:
    conversation = make_conversation(**columns)
    for text in texts:
        make_inbound(conversation, text)
    return conversation


def list_answers() -> Sequence[str]:
    query = sa.select(Message.text).where(Message.author == "bot").order_by(Message.id)
    found = db.session.scalars(query).all()
    db.session.rollback()
    return found


def reload(conversation: Conversation) -> Conversation:
    db.session.rollback()
    found = db.session.get_one(Conversation, conversation.id, populate_existing=True)
    db.session.expunge(found)
    db.session.rollback()
    return found


def make_invoice(contact_id: int, line: str | None = None) -> None:
    db.session.add(
        Invoice(contact_id=contact_id, reference="R1", description="Plano", amount_cents=9990,
                due_on=date.today() + timedelta(days=3), line=line)  # noqa: DTZ011
    )  # fmt: skip
    db.session.commit()


def test_a_burst_of_three_messages_gets_one_answer(any_app: Flask) -> None:
    conversation = make_asking_conversation("oi", "tudo bem?", "bom dia")
    run_turns()
    assert len(list_answers()) == 1
    found = reload(conversation)
    assert (found.turn_due_at, found.turn_attempts, found.unread_count) == (None, 0, 0)
    assert found.version == conversation.version + 1
    assert run_turns() is None
    assert len(list_answers()) == 1


def test_two_workers_give_one_answer(any_app: Flask) -> None:
    for _ in range(6):
        make_asking_conversation("oi")
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def work() -> None:
        with any_app.app_context():
            try:
                barrier.wait()
                for _ in range(4):
                    run_turns()
            except BaseException as error:
                errors.append(error)
            finally:
                db.session.rollback()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list_answers()) == 6


def test_a_turn_that_lost_its_lease_stores_nothing(any_app: Flask) -> None:
    conversation = make_asking_conversation("oi")
    old, _ = claim_due_turns(5)
    db.session.execute(sa.update(Conversation).values(turn_leased_until=ago(1)))
    db.session.commit()
    new, ids = claim_due_turns(5)
    assert ids == [conversation.id]
    run_turn(conversation.id, old)
    db.session.rollback()
    assert list_answers() == []
    run_turn(conversation.id, new)
    assert len(list_answers()) == 1


def test_an_agent_who_takes_over_during_an_effect_silences_the_bot(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = make_asking_conversation("quero meu boleto")

    def slow_lookup(_contact_id: int) -> list[Any]:
        with db.engine.begin() as connection:  # would block if the turn held a transaction
            connection.execute(sa.update(Conversation).values(state="assigned"))
        return []

    monkeypatch.setattr(turns, "list_open_invoices", slow_lookup)
    run_turns()
    assert list_answers() == []
    found = reload(conversation)
    assert (found.state, found.version) == ("assigned", conversation.version)


def test_a_message_that_comes_during_the_turn_has_a_turn_of_its_own(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = make_asking_conversation("quero meu boleto")

    def another_comes(_contact_id: int) -> list[Any]:
        make_inbound(conversation, "e o pix?")
        return []

    monkeypatch.setattr(turns, "list_open_invoices", another_comes)
    run_turns()
    assert reload(conversation).turn_due_at is not None
    monkeypatch.setattr(turns, "list_open_invoices", lambda _id: [])
    before = len(list_answers())
    run_turns()
    assert len(list_answers()) > before


@pytest.mark.parametrize("state", ["assigned", "waiting"])
def test_an_opt_out_is_obeyed_while_an_agent_has_the_conversation(
    any_app: Flask, state: str
) -> None:
    make_asking_conversation("SAIR", state=state)
    run_turns()
    contact = db.session.scalars(sa.select(Contact)).one()
    assert contact.opted_out_at is not None
    confirmation = db.session.scalars(sa.select(Message).where(Message.author == "bot")).one()
    assert confirmation.is_mandatory
    db.session.rollback()


@pytest.mark.parametrize("act", [close, hand_back])
def test_an_opt_out_is_obeyed_if_the_agent_leaves_before_its_turn(
    any_app: Flask, act: Callable[[Conversation], None]
) -> None:
    conversation = make_asking_conversation("SAIR", state="assigned")
    act(db.session.get_one(Conversation, conversation.id))
    db.session.commit()
    run_turns()
    assert len(list_answers()) == 1
    assert db.session.scalars(sa.select(Contact)).one().opted_out_at is not None
    db.session.rollback()


def test_an_opt_out_beside_a_question_is_obeyed_and_the_question_answered(any_app: Flask) -> None:
    conversation = make_asking_conversation("falar com atendente", "SAIR")
    run_turns()
    contact = db.session.scalars(sa.select(Contact)).one()
    assert contact.opted_out_at is not None
    db.session.rollback()
    assert reload(conversation).state == "waiting"
    assert len(list_answers()) == 2


def test_the_bot_does_not_reply_to_anything_else_while_an_agent_has_the_conversation(
    any_app: Flask,
) -> None:
    conversation = make_asking_conversation("oi", state="assigned", unread_count=1)
    run_turns()
    assert list_answers() == []
    found = reload(conversation)
    assert (found.turn_due_at, found.unread_count) == (None, 1)


@pytest.mark.parametrize("place", ["list_open_invoices", "detect_intent", "queue_message"])
def test_a_turn_that_keeps_crashing_is_handed_off(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    conversation = make_asking_conversation("quero meu boleto")

    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(turns, place, crash)
        for _ in range(MAX_ATTEMPTS):
            run_turns()
            db.session.execute(sa.update(Conversation).values(turn_leased_until=None))
            db.session.commit()
        assert list_answers() == []
        if place != "queue_message":
            run_turns()
    run_turns()
    found = reload(conversation)
    assert (found.state, found.handoff_reason) == ("waiting", "bot_failed")
    assert len(list_answers()) == 1


def test_a_turn_that_kills_its_worker_is_not_counted_against_others(any_app: Flask) -> None:
    killer, other = make_asking_conversation("mata"), make_asking_conversation("oi")
    for _ in range(MAX_ATTEMPTS + 1):
        _, ids = claim_due_turns(20)  # the worker dies here
        assert killer.id in ids
        db.session.execute(
            sa.update(Conversation).where(Conversation.id.in_(ids)).values(turn_leased_until=None)
        )
        db.session.commit()
    run_turns()
    run_turns()
    assert reload(killer).handoff_reason == "bot_failed"
    assert reload(other).state == "bot"


@pytest.mark.parametrize("kind", ["audio", "video", "image", "document"])
def test_a_message_without_text_is_answered_with_a_request_for_text(
    any_app: Flask, kind: str
) -> None:
    conversation = make_conversation()
    make_inbound(conversation, "", kind=kind)
    run_turns()
    (answer,) = list_answers()
    assert "só consigo ler texto" in answer


def test_outside_the_service_window_nothing_is_sent(any_app: Flask) -> None:
    conversation = make_asking_conversation("oi", last_inbound_at=ago(25 * 3600))
    run_turns()
    assert list_answers() == []
    assert reload(conversation).turn_due_at is None


def test_invoices_of_a_merged_contact_are_found(any_app: Flask) -> None:
    conversation = make_asking_conversation("quero meu boleto")
    other = make_contact()
    make_invoice(other.id)
    db.session.execute(
        sa.update(Contact)
        .where(Contact.id == other.id)
        .values(merged_into_id=conversation.contact_id)
    )
    db.session.commit()
    run_turns()
    assert any("99,90" in answer for answer in list_answers())


def test_the_cost_of_a_turn_is_bounded(
    database_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_proxy.url))
    with app.app_context():
        prosa_redis.client().ping()
        conversation = make_asking_conversation("oi")
        run_turns()
        make_inbound(conversation, "tudo bem?")
        run_turns()
        # From the third turn on the bot also looks whether it talks to another program.
        make_inbound(conversation, "bom dia")
        before = len(list_answers())
        token, (conversation_id,) = claim_due_turns(5)
        with redis_proxy.count_round_trips() as trips, count_sql(db.engine) as sql:
            run_turn(conversation_id, token)
        assert len(list_answers()) == before + 1
        db.engine.dispose()
    assert trips.number <= 2, "one to load the context, one to store it and enqueue"
    assert sql.number <= 8, sql.statements
    app.extensions["prosa_redis"].pool.disconnect()
    redis_proxy.close()

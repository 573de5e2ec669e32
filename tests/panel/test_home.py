from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role, User
from chatbot.conversations.models import Author, ConversationState
from chatbot.core.cache.store import start_cache_epoch
from chatbot.core.db import db
from tests.support.clients import make_signed_in_client
from tests.support.panel import count_statements, make_contact, make_conversation, make_message
from tests.support.redis_server import RedisServer


def make_outbound(conversation: object, state: str) -> None:
    make_message(conversation, "olá", author=Author.BOT, state=state)  # type: ignore[arg-type]


def test_counts_todays_conversations_and_messages_by_state(any_app: Flask) -> None:
    client, _ = make_signed_in_client(any_app)
    conversation = make_conversation(make_contact(), state=ConversationState.WAITING)
    make_message(conversation, "oi")
    for state in ("read", "read", "delivered", "failed"):
        make_outbound(conversation, state)
    page = client.get("/now").text
    assert parse_figures(page) == ["1", "1", "1", "4"]
    assert "Lida <b>2</b>" in page
    assert "Entregue <b>1</b>" in page
    assert "Falhou <b>1</b>" in page


def test_messages_that_were_not_sent_are_neither_sent_nor_failed(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    conversation = make_conversation(make_contact())
    for state in ("read", "skipped", "skipped"):
        make_outbound(conversation, state)
    page = client.get("/now").text
    assert parse_figures(page)[3] == "1"
    assert "Não enviada <b>2</b>" in page
    assert "Falhou <b>0</b>" in page


def parse_figures(page: str) -> list[str]:
    return [part.split("<")[0] for part in page.split('<div class="figure">')[1:]]


def test_empty_home_page_explains_itself(app: Flask) -> None:
    page = make_signed_in_client(app, Role.MANAGER)[0].get("/").text
    assert "Nada foi enviado hoje ainda." in page
    assert "Nenhuma campanha ainda" in page
    assert "Criar uma campanha" in page
    assert (
        "Criar uma campanha" not in make_signed_in_client(app, Role.AGENT, "Bia")[0].get("/").text
    )


def test_updates_are_a_fragment(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    assert 'data-refresh-url="/now"' in client.get("/").text
    fragment = client.get("/now").text
    assert "<html" not in fragment
    assert "Fila e saúde" in fragment


def test_home_page_without_redis(app: Flask, redis_server: RedisServer) -> None:
    client, _ = make_signed_in_client(app)
    redis_server.kill()
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Fora do ar: o Prosa continua, só mais devagar" in answer.text


def test_number_of_statements_does_not_grow_with_conversations(
    app: Flask, redis_server: RedisServer
) -> None:
    client, _ = make_signed_in_client(app)

    def statements() -> int:
        start_cache_epoch(app.extensions["prosa_redis"].client)
        with count_statements() as seen:
            assert client.get("/now").status_code == 200
        return len(seen)

    few = statements()
    for number in range(8):
        conversation = make_conversation(make_contact("Ana", f"55119876500{number:02}"))
        make_outbound(conversation, "read")
    assert statements() == few <= 8


def test_second_request_within_seconds_is_cached(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    client.get("/now")
    with count_statements() as seen:
        client.get("/now")
    assert [statement for statement in seen if "count(" in statement.lower()] == []


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ADMIN])
def test_redis_page_shows_mode_memory_clients_and_namespaces(app: Flask, role: Role) -> None:
    client, _ = make_signed_in_client(app, role)
    client.get("/now")
    client.get("/now")
    page = client.get("/redis/").text
    for text in ("Em uso", "Memória em uso", "volatile-ttl", "prosa-web", "dashboard"):
        assert text in page


def test_redis_page_shows_since_when_redis_is_down(app: Flask, redis_server: RedisServer) -> None:
    client, _ = make_signed_in_client(app, Role.MANAGER)
    redis_server.kill()
    page = client.get("/redis/now").text
    assert "O Redis está fora do ar." in page
    assert "Desde" in page


def test_names_are_escaped(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    db.session.execute(sa.update(User).values(name="<img/src=x/onerror=alert(1)>"))
    db.session.commit()
    assert "<img/src" not in client.get("/").text

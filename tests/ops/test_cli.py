from __future__ import annotations

import json
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from chatbot.conversations.context import load_context
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.core.redis import key
from chatbot.core.tasks import enqueue_job
from chatbot.extensions import cache
from chatbot.ops import rebuild as rebuilding
from chatbot.ops.key_survey import survey_keys
from tests.support.call_counts import RedisProxy
from tests.support.clients import make_signed_in_client
from tests.support.factories import make_contact, make_conversation, make_inbound
from tests.support.redis_server import RedisServer


def run_redis_command(runner: FlaskCliRunner, *arguments: str, code: int = 0) -> str:
    answer = runner.invoke(args=["redis", *arguments])
    assert answer.exit_code == code, answer.output
    return answer.output


def test_ping_and_stats(runner: FlaskCliRunner) -> None:
    cache.get_or_compute(
        CacheEntry(CacheSpec("contact", dict[str, str], fresh_s=60), 1, lambda: {"name": "Ana"})
    )
    assert run_redis_command(runner, "ping").startswith("PONG ")
    assert "volatile-ttl" in run_redis_command(runner, "stats")
    found = json.loads(run_redis_command(runner, "stats", "--json"))
    assert found["used_memory"] > 0
    assert found["misses"] >= 1


@pytest.mark.parametrize(
    "arguments", [["ping"], ["stats"], ["keys"], ["flush", "--namespace", "cache"], ["rebuild"]]
)
def test_commands_without_redis_print_one_sentence(
    runner: FlaskCliRunner, redis_server: RedisServer, arguments: list[str]
) -> None:
    redis_server.kill()
    output = run_redis_command(runner, *arguments, code=1)
    assert "O Redis não responde" in output
    assert "flask redis doctor" in output
    assert "Traceback" not in output


def test_keys_are_counted_by_namespace(app: Flask, runner: FlaskCliRunner) -> None:
    client = prosa_redis.client()
    for number in range(1500):
        client.set(key("cache", number), b"x" * 100, ex=100 + number)
    client.set("other:program", b"1")
    client.set(key("session", "old"), b"without an end")
    enqueue_job("campaigns.send", 1)
    found = json.loads(run_redis_command(runner, "keys", "--json"))
    namespaces = found["namespaces"]
    assert namespaces["cache"]["keys"] == 1500
    assert namespaces["cache"]["bytes"] > 150_000
    assert 0 < namespaces["cache"]["shortest_ttl"] <= 100
    assert 1500 < namespaces["cache"]["longest_ttl"] <= 1599
    assert namespaces["(others)"]["without_ttl"] == 1
    assert namespaces["rq"]["without_ttl"] >= 1
    assert found["without_ttl"] == ["prosa:session:old"]
    table = run_redis_command(runner, "keys")
    assert "NAMESPACE" in table
    assert "Sem TTL, embora devessem ter: prosa:session:old" in table
    assert "Há mais" in run_redis_command(runner, "keys", "--limit", "10")


def test_survey_uses_pipelines(app: Flask, redis_server: RedisServer) -> None:
    with prosa_redis.client().pipeline(transaction=False) as pipe:
        for number in range(3000):
            pipe.set(key("cache", number), b"x", ex=600)
        pipe.execute()
    redis_proxy = RedisProxy(redis_server.url)
    client = prosa_redis.create_blocking_client(redis_proxy.url, "test", timeout_s=5)
    client.ping()
    with redis_proxy.count_round_trips() as trips:
        found = survey_keys(client)
    assert found.namespaces["cache"].keys == 3000
    assert trips.number < 100  # a large pipeline is answered while it is still being sent
    client.connection_pool.disconnect()
    redis_proxy.close()


def test_flush_deletes_one_namespace_only(app: Flask, runner: FlaskCliRunner) -> None:
    client = prosa_redis.client()
    for number in range(1200):
        client.set(key("cache", number), b"x", ex=60)
    client.set(key("cacheepoch"), b"x", ex=60)
    client.set(key("throttle", 1), b"x", ex=60)
    assert "1200 chaves apagadas" in run_redis_command(runner, "flush", "--namespace", "cache")
    assert client.exists(key("cacheepoch"), key("throttle", 1)) == 2
    assert "1 chaves apagadas" in run_redis_command(runner, "flush", "--namespace", "cacheepoch")


@pytest.mark.parametrize("namespace", ["*", "rq", "", "cache:*", "outra"])
def test_flush_refuses_unknown_namespaces(
    app: Flask, runner: FlaskCliRunner, namespace: str
) -> None:
    prosa_redis.client().set("other:program", b"1", ex=60)
    assert "throttle" in run_redis_command(runner, "flush", "--namespace", namespace, code=2)
    assert prosa_redis.client().exists("other:program")


def test_rebuild_fills_an_empty_redis_from_sql(
    app: Flask, runner: FlaskCliRunner, redis_server: RedisServer
) -> None:
    client, _ = make_signed_in_client(app)
    now = clock.now()
    alive = make_conversation(make_contact(), last_message_at=now, last_intent="pix")
    make_inbound(alive, "quero pagar", needs_turn=False)
    make_conversation(make_contact("Bia"), last_message_at=now - timedelta(hours=30))
    redis_server.flush()
    output = run_redis_command(runner, "rebuild")
    assert "1 contextos de conversa refeitos" in output
    assert "1 sessões refeitas" in output
    redis = prosa_redis.client()
    assert 86_000 < redis.ttl(key("conversation", alive.id)) <= 86_400
    assert [redis.ttl(name) > 0 for name in redis.scan_iter(key("session") + ":*")] == [True]
    db.session.add(alive)
    assert load_context(alive).last_intent == "pix"
    assert client.is_signed_in()


def test_rebuild_keeps_existing_sessions(app: Flask, runner: FlaskCliRunner) -> None:
    make_signed_in_client(app)
    redis = prosa_redis.client()
    (name,) = redis.scan_iter(key("session") + ":*")
    redis.set(name, b"newer", ex=60)
    run_redis_command(runner, "rebuild")
    assert redis.get(name) == b"newer"


def test_rebuild_handles_several_batches(
    app: Flask, runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "BATCH", 2)
    for number in range(5):
        make_conversation(make_contact(f"P{number}"), last_message_at=clock.now())
    assert rebuilding.rebuild_contexts() == 5
    assert len(list(prosa_redis.client().scan_iter(key("conversation") + ":*"))) == 5

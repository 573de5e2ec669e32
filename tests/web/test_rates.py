"""Rate limits: every route is limited or exempt, and every answer has the headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from chatbot import create_app
from chatbot.accounts.models import Role
from chatbot.core import limits
from chatbot.core import redis as prosa_redis
from chatbot.core.limits import address_key
from chatbot.core.redis import key
from tests.support.call_counts import RedisProxy
from tests.support.clients import PanelClient, make_client, make_signed_in_client
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings

# Endpoints for machines; every other one is limited.
UNLIMITED = {
    "static",
    "bootstrap.static",
    "ops.health",
    "ops.live",
    "ops.ready",
    "ops.stats",
    "ops.metrics",
    "webhooks.receive",
    "webhooks.verify",
}
ARGUMENTS = {"filename": "favicon.svg", "token": "x", "move": "close"}


@pytest.fixture
def tightly_limited_app(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(limits, "READ_RATE", "4 per minute")
    monkeypatch.setattr(limits, "WRITE_RATE", "2 per minute")
    return app


def test_every_route_is_limited_except_those_of_machines(app: Flask) -> None:
    client, _ = make_signed_in_client(app, Role.ADMIN)
    counted, uncounted = set(), set()
    for rule in app.url_map.iter_rules():
        values = {name: ARGUMENTS.get(name, 999_999) for name in rule.arguments}
        with app.test_request_context():
            url = app.url_for(rule.endpoint, **values | dict(rule.defaults or {}))
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        answer = make_client(app).get(url) if method == "GET" else client.post(url)
        (counted if "RateLimit-Limit" in answer.headers else uncounted).add(rule.endpoint)
        if rule.endpoint in ("accounts.sign_out", "account.sign_out_everywhere"):
            client, _ = make_signed_in_client(
                app, Role.ADMIN, f"Ana{rule.endpoint.partition('.')[0]}"
            )
    assert uncounted == {name for name in UNLIMITED if name in uncounted}
    assert counted.isdisjoint(UNLIMITED)
    assert counted | uncounted == {rule.endpoint for rule in app.url_map.iter_rules()}


def test_an_answer_has_the_headers_of_the_draft(tightly_limited_app: Flask) -> None:
    client = make_client(tightly_limited_app)
    answers = [client.get("/login") for _ in range(2)]
    assert [a.headers["RateLimit-Limit"] for a in answers] == ["60", "60"]
    assert [a.headers["RateLimit-Remaining"] for a in answers] == ["59", "58"]
    rest = int(answers[0].headers["RateLimit-Reset"])
    assert 1 <= rest <= 60
    assert answers[0].headers["RateLimit-Policy"] == '"default";q=60;w=60'
    assert answers[0].headers["RateLimit"] == f'"default";r=59;t={rest}'


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_too_many_requests_get_a_page_with_a_retry_time(
    tightly_limited_app: Flask, accept: str
) -> None:
    client, _ = make_signed_in_client(tightly_limited_app)
    answers = [client.get("/", headers={"Accept": accept}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    last = answers[-1]
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["Retry-After"] == last.headers["RateLimit-Reset"]
    assert last.headers["RateLimit-Remaining"] == "0"
    assert "Pedidos demais" in last.text if accept == "text/html" else last.json["error"]


def test_requests_are_counted_per_user_and_not_per_address(
    tightly_limited_app: Flask,
) -> None:
    ana, user = make_signed_in_client(tightly_limited_app, name="Ana")
    elsewhere = make_client(tightly_limited_app, "203.0.113.9")
    elsewhere.sign_in(user)
    bia, _ = make_signed_in_client(tightly_limited_app, name="Bia")
    codes = [c.get("/").status_code for c in (ana, elsewhere, ana, elsewhere, ana, bia)]
    assert codes == [200, 200, 200, 200, 429, 200]


def test_a_form_with_a_bad_token_counts_too(tightly_limited_app: Flask) -> None:
    tightly_limited_app.config["WTF_CSRF_ENABLED"] = True
    client = make_client(tightly_limited_app)
    assert [client.post("/language").status_code for _ in range(3)] == [400, 400, 429]


def test_without_redis_memory_counts_and_a_flood_still_gets_429(
    tightly_limited_app: Flask, redis_server: RedisServer
) -> None:
    redis_server.kill()
    client, _ = make_signed_in_client(tightly_limited_app)
    answers = [client.get("/") for _ in range(3)]
    # Two web processes: each allows half.
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "0", "0"]


def test_a_check_is_one_round_trip_with_its_headers(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_proxy.url))
    with app.app_context():
        client = make_client(app)
        client.post("/language")
        with redis_proxy.count_round_trips() as trips:
            answer = client.post("/language")
    assert "RateLimit-Remaining" in answer.headers
    assert trips.number == 1
    app.extensions["prosa_redis"].pool.disconnect()
    redis_proxy.close()


@pytest.mark.parametrize("kind", ["list", "no ttl"])
def test_a_counter_of_another_type_or_without_a_ttl_is_started_anew(
    tightly_limited_app: Flask, redis_server: RedisServer, kind: str
) -> None:
    client, _ = make_signed_in_client(tightly_limited_app)
    client.get("/")
    (name,) = redis_server.admin.scan_iter(match=key("limit", "*panel.home*"))
    redis_server.admin.delete(name)
    if kind == "list":
        redis_server.admin.lpush(name, "x")
    else:
        redis_server.admin.set(name, 10**6)
    assert client.get("/").headers["RateLimit-Remaining"] == "3"
    assert 0 < redis_server.admin.ttl(name) <= 60


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "10.0.0.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 7.7.7.7, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 192.0.2.1", "198.51.100.7"),
        (2, "192.0.2.1", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_set_the_address(
    sqlite_url: str,
    tmp_path: Path,
    redis_server: RedisServer,
    proxies: int,
    forwarded: str,
    expected: str,
) -> None:
    app = create_app(
        make_settings(
            tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url, TRUSTED_PROXIES=proxies
        )
    )
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with app.app_context():
        make_client(app, "10.0.0.1").get("/login", headers=headers)
    names = [name.decode() for name in redis_server.admin.scan_iter(match=key("limit", "*"))]
    assert len(names) == 1
    assert f"/{expected}/" in names[0]
    app.extensions["prosa_redis"].pool.disconnect()


def test_an_ipv6_address_is_limited_by_its_64() -> None:
    assert (
        address_key("2001:db8:1:2:3::9")
        == address_key("2001:db8:1:2:ffff::1")
        == "2001:db8:1:2::/64"
    )
    assert address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("192.0.2.1") == "192.0.2.1"
    assert {address_key(None), address_key("garbage")} == {"unknown"}


def test_unlimited_routes_write_no_counters(client: PanelClient, redis_server: RedisServer) -> None:
    prosa_redis.client().ping()
    for path in ("/health", "/cache/stats", "/webhooks/whatsapp"):
        client.get(path)
    assert list(redis_server.admin.scan_iter(match="prosa:limit:*")) == []

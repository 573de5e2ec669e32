"""Check each use of Redis while Redis works, while it is away, and after it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import User
from chatbot.conversations.context import Context, load_context, store_context
from chatbot.conversations.models import Direction, Message
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.tasks import list_tasks, load_function
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from chatbot.extensions import limiter
from tests.support.clients import PanelClient, csrf_token_in, make_client
from tests.support.factories import (
    make_contact,
    make_conversation,
    make_message_value,
    make_webhook_body,
    signature_headers,
)
from tests.support.panel import PASSWORD, make_user
from workers.run import wait_for_wakeup

WRONG_PASSWORD = "not the password"
ATTEMPTS = 8


class Scenario:
    """Application set to two web processes, and the seconds of each timed use."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.times_s: list[float] = []
        self._limit = limiter.limit("4 per minute", override_defaults=True)
        app.add_url_rule("/limited", view_func=self._limit(lambda: "ok"))

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times_s.append(time.perf_counter() - began)

    def get_page(self, client: PanelClient, path: str) -> str:
        """Return the text of the page at `path`, which must answer 200."""
        with self.timed():
            answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def make_signed_in_user(self, name: str) -> tuple[PanelClient, User]:
        user = make_user(name)
        client = make_client(self.app, f"10.0.0.{user.id}")
        assert client.sign_in(user).status_code == 303
        return client, user


class RedisFeature:
    """Use of Redis. `during` returns the outcome in a few words; all three may raise AssertionError."""

    name: ClassVar[str]

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def prepare(self) -> None:
        """Run while Redis works."""

    def during(self) -> str:
        raise NotImplementedError

    def after(self) -> None:
        """Check again once Redis is back."""


class CacheFeature(RedisFeature):
    name = "cache"

    def prepare(self) -> None:
        self.client, _ = self.scenario.make_signed_in_user("Cache")
        self.page = f"/contacts/{make_contact('Velho Nome').id}"
        for _ in range(2):
            assert "Velho Nome" in self.scenario.get_page(self.client, self.page)

    def during(self) -> str:
        form = {"name": "Novo Nome", "email": "", "tags": ""}
        with self.scenario.timed():
            assert self.client.post(f"{self.page}/edit", data=form).status_code == 303
        self._check_new_name()
        return "database, at once"

    def after(self) -> None:
        self._check_new_name()

    def _check_new_name(self) -> None:
        for _ in range(ATTEMPTS):
            text = self.scenario.get_page(self.client, self.page)
            assert "Novo Nome" in text
            assert "Velho Nome" not in text


class RateLimitFeature(RedisFeature):
    name = "rate limit"

    def during(self) -> str:
        client = make_client(self.scenario.app, "10.9.9.9")
        codes = []
        for _ in range(ATTEMPTS):
            with self.scenario.timed():
                codes.append(client.get("/limited").status_code)
        granted = codes.count(200)
        assert 0 < granted <= 4, codes
        assert codes == [200] * granted + [429] * (ATTEMPTS - granted)
        return f"memory, 429 after {granted} of 4 (2 processes)"


class SignInLimitFeature(RedisFeature):
    name = "sign-in limit"

    def prepare(self) -> None:
        make_user("Guessed")
        self.codes = [self._guess() for _ in range(2)]

    def during(self) -> str:
        self.codes += [self._guess() for _ in range(2)]
        return "exact: SQL"

    def after(self) -> None:
        self.codes += [self._guess() for _ in range(3)]
        assert self.codes == [401] * 5 + [429] * 2

    def _guess(self) -> int:
        client = make_client(self.scenario.app, "10.9.9.8")
        form = {"email": "guessed@prosa.example", "password": WRONG_PASSWORD}
        with self.scenario.timed():
            return client.post("/login", data=form).status_code


class SessionsFeature(RedisFeature):
    """Sessions keep their ids; a sign-out or a changed password ends them for good."""

    name = "sessions"

    def prepare(self) -> None:
        self.staying, _ = self.scenario.make_signed_in_user("Staying")
        self.leaving, _ = self.scenario.make_signed_in_user("Leaving")
        self.changing, user = self.scenario.make_signed_in_user("Changing")
        self.elsewhere = make_client(self.scenario.app, "10.9.9.7")
        assert self.elsewhere.sign_in(user).status_code == 303
        self.session_id = _session_id(self.staying)
        self.signed_out_copy = make_client(self.scenario.app, "10.9.9.6")
        self.signed_out_copy.set_cookie("prosa", _session_id(self.leaving))
        self.form_before_outage = make_client(self.scenario.app, "10.9.9.5")
        self.scenario.app.config["WTF_CSRF_ENABLED"] = True
        self.token = csrf_token_in(self.form_before_outage.get("/login"))
        self.scenario.app.config["WTF_CSRF_ENABLED"] = False

    def during(self) -> str:
        assert self.leaving.post("/logout").status_code == 303
        new = "another long password"
        form = {"present": PASSWORD, "password": new, "repeated": new}
        assert self.changing.post("/account/password", data=form).status_code == 303
        self.scenario.app.config["WTF_CSRF_ENABLED"] = True
        form = {"email": "staying@prosa.example", "password": PASSWORD, "csrf_token": self.token}
        assert self.form_before_outage.post("/login", data=form).status_code == 303
        self.scenario.app.config["WTF_CSRF_ENABLED"] = False
        self._check_sessions()
        return "kept; sign-outs hold"

    def after(self) -> None:
        self._check_sessions()

    def _check_sessions(self) -> None:
        for _ in range(ATTEMPTS):
            self.scenario.get_page(self.staying, "/account/")
        assert _session_id(self.staying) == self.session_id
        assert self.changing.is_signed_in()
        assert self.form_before_outage.is_signed_in()
        outside = (self.leaving, self.signed_out_copy, self.elsewhere)
        assert not any(client.is_signed_in() for client in outside)


class ConversationContextFeature(RedisFeature):
    name = "conversation context"

    def prepare(self) -> None:
        self.conversation = make_conversation(version=3, last_intent="sql")
        store_context(self.conversation.id, Context(version=3, last_intent="redis"))
        assert load_context(self.conversation).last_intent == "redis"
        db.session.rollback()

    def during(self) -> str:
        self.conversation.version = 4  # as a turn would have left it
        for _ in range(ATTEMPTS):
            with self.scenario.timed():
                found = load_context(self.conversation)
                db.session.rollback()
                store_context(self.conversation.id, found)
            assert found.last_intent == "sql"
        return "rebuilt from messages"

    def after(self) -> None:
        assert load_context(self.conversation).last_intent == "sql", "the old copy was used"
        db.session.rollback()


class QueueFeature(RedisFeature):
    """Webhooks are accepted, and workers that poll answer them."""

    name = "queue"
    senders = iter(f"55118{n:08d}" for n in range(70_000_000, 80_000_000))

    def during(self) -> str:
        self._answer_one()
        return "workers poll"

    def after(self) -> None:
        self._answer_one()

    def _answer_one(self) -> None:
        raw = make_webhook_body(make_message_value("SAIR", sender=next(self.senders)))
        client = make_client(self.scenario.app)
        before = self._answers()
        with self.scenario.timed():
            answer = client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw))
        assert answer.status_code == 200
        until = time.monotonic() + 30
        while self._answers() == before and time.monotonic() < until:
            for task in list_tasks("inbound").values():
                load_function(task.function)()
                db.session.rollback()
            wait_for_wakeup("inbound", 0.1)
        assert self._answers() > before

    def _answers(self) -> int:
        query = sa.select(sa.func.count()).where(Message.direction == Direction.OUTBOUND)
        with db.engine.connect() as connection:
            return int(connection.scalar(query) or 0)


class ThrottleFeature(RedisFeature):
    name = "throttle"

    def prepare(self) -> None:
        self.throttle = Throttle(prosa_redis.client(), ThrottleLimits(1, 10, workers=2))
        self.usual_s = self.throttle.reserve(5).interval_s

    def during(self) -> str:
        with self.scenario.timed():
            first, second = self.throttle.reserve(4), self.throttle.reserve(4)
        assert first.interval_s == second.interval_s == pytest.approx(2 * self.usual_s)
        assert second.wait_s > first.wait_s
        return "half the pace (2 workers)"

    def after(self) -> None:
        assert self.throttle.reserve(5).interval_s == pytest.approx(self.usual_s)


class LivePagesFeature(RedisFeature):
    """Pages that poll show new conversations."""

    name = "live pages"

    def prepare(self) -> None:
        self.client, _ = self.scenario.make_signed_in_user("Live")
        self.scenario.get_page(self.client, "/conversations/rows")

    def during(self) -> str:
        self._check_shows("Zefa Durante")
        return "polling"

    def after(self) -> None:
        self._check_shows("Zefa Depois")

    def _check_shows(self, name: str) -> None:
        make_conversation(make_contact(name))
        for _ in range(ATTEMPTS):
            assert name in self.scenario.get_page(self.client, "/conversations/rows")


FEATURES: tuple[type[RedisFeature], ...] = (
    CacheFeature, RateLimitFeature, SignInLimitFeature, SessionsFeature,
    ConversationContextFeature, QueueFeature, ThrottleFeature, LivePagesFeature,
)  # fmt: skip


def _session_id(client: PanelClient) -> str:
    if (cookie := client.get_cookie("prosa")) is None:
        raise AssertionError("not signed in")
    return str(cookie.value)

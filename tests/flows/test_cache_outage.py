"""Redis stops, things change, Redis comes back with all that it knew: nobody sees what is over.

Two real web processes with an append-only file behind them; the second asks nothing during the outage,
and so has noticed nothing when it is asked again.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.flows.conftest import StackMaker
from tests.support.ports import is_responding, wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.stack_users import PASSWORD, create_users

pytestmark = pytest.mark.flow


class PanelUser:
    """Somebody with a browser; the cookie is good for each process, as behind a load balancer."""

    def __init__(self, stack: Stack, role: str) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        code, _ = self.post(stack, "/login", email=f"{role}@prosa.test", password=PASSWORD)
        assert code == 200

    def get(self, stack: Stack, path: str) -> tuple[int, str]:
        return self._ask(f"{stack.address}{path}", None)

    def post(self, stack: Stack, path: str, page: str = "", **form: str) -> tuple[int, str]:
        """With the token of the form on `page`, which is at the same address if not named."""
        _, text = self.get(stack, page or path)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
        assert token, text
        data = urllib.parse.urlencode({**form, "csrf_token": token[1]}).encode()
        return self._ask(f"{stack.address}{path}", data)

    def _ask(self, url: str, data: bytes | None) -> tuple[int, str]:
        try:
            with self._opener.open(url, data, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def start_web(stack: Stack) -> Stack:
    stack.spawn("web")
    wait_for(lambda: is_responding(f"{stack.address}/health"), 90)
    return stack


def test_what_changed_without_redis_is_seen_at_once_by_every_process_when_it_is_back(
    make_stack: StackMaker, own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.admin.config_set("appendfsync", "always")
    one, two = (start_web(make_stack(own_redis.url)) for _ in range(2))
    create_users(one)
    one.flask("demo", "load")
    admin, agent = PanelUser(one, "admin"), PanelUser(one, "agent")
    agent_id = role_form_of(admin.get(one, "/users/")[1], "agent@prosa.test")
    for stack in (one, two, one, two):
        assert "Nome novo" not in agent.get(stack, "/contacts/1")[1]
        assert agent.get(stack, "/redis/")[0] == 403

    remembered = own_redis.admin.dbsize()
    own_redis.kill()
    agent.post(one, "/contacts/1/edit", name="Nome novo", email="", tags="")
    admin.post(one, f"/users/{agent_id}/role", page="/users/", role="manager")
    own_redis.start()
    assert own_redis.admin.dbsize() >= remembered / 2, "it came back with what it knew"

    for stack in (two, one):
        assert "Nome novo" in agent.get(stack, "/contacts/1")[1]
        assert agent.get(stack, "/redis/")[0] == 200


def role_form_of(page: str, email: str) -> str:
    """The id of a user in the list of users."""
    found = re.search(r"/users/(\d+)/role", page[page.index(email) :])
    assert found, page
    return found[1]

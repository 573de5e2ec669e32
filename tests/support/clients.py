"""Test clients for several users of the panel at once."""

from __future__ import annotations

import re
from contextvars import Context
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chatbot.accounts.models import Role, User
from chatbot.core.db import db
from tests.support.panel import PASSWORD, make_user


class PanelClient(FlaskClient):
    """Client whose requests have an application context of their own, as in a server.

    Flask's client shares the context of the test, and with it the signed-in user.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        db.session.rollback()  # the test's own transaction would block the request
        kwargs.setdefault("buffered", True)  # a streamed response must end in its own context
        return Context().run(super().open, *args, **kwargs)

    def sign_in(self, user: User, password: str = PASSWORD) -> TestResponse:
        return self.post("/login", data={"email": user.email, "password": password})

    def is_signed_in(self) -> bool:
        return self.get("/account/").status_code == 200


def make_client(app: Flask, address: str = "127.0.0.1") -> PanelClient:
    found = PanelClient(app, app.response_class, use_cookies=True)
    found.environ_base["REMOTE_ADDR"] = address
    return found


def make_signed_in_client(
    app: Flask, role: Role = Role.AGENT, name: str = "Ana"
) -> tuple[PanelClient, User]:
    user = make_user(name, role)
    client = make_client(app)
    assert client.sign_in(user).status_code == 303
    return client, user


def csrf_token_in(answer: TestResponse) -> str:
    """Return the CSRF token of a page's form."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]

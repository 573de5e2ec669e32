"""Odd requests to every route of the panel, on each database: none is an error of ours."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.core.db import db
from chatbot.demo.data import load_demo_data
from chatbot.extensions import limiter
from tests.support.clients import PanelClient, make_signed_in_client
from tests.support.factories import make_campaign, make_recipients
from tests.support.panel_fuzz import PanelFuzzer

COUNT = int(os.environ.get("PROSA_FUZZ", "100"))
SEED = int(os.environ.get("PROSA_FUZZ_SEED", "2026"))
pytestmark = pytest.mark.timeout(3600 if COUNT > 1000 else 120)


def test_no_request_to_the_panel_is_an_error_of_ours(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "enabled", False)
    load_demo_data(5)
    db.session.commit()
    make_recipients(make_campaign(), 3)
    make_campaign("draft")
    fuzzer = PanelFuzzer(any_app, SEED)
    client, users = _sign_in(any_app, 1), 1
    fuzzer.read_pages(client)
    failed = []
    for request in fuzzer.make_requests(COUNT):
        with suppress(UnicodeEncodeError):  # of the test's client: nobody can send it either
            answer = client.open(**request)
            if answer.status_code >= 500:
                failed.append((answer.status_code, request))
            if answer.status_code == 401 or "/login" in answer.headers.get("Location", ""):
                users += 1
                client = _sign_in(any_app, users)
    assert failed == []


def _sign_in(app: Flask, number: int) -> PanelClient:
    return make_signed_in_client(app, Role.ADMIN, f"Ana{number}")[0]

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.channels.models import Channel
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.tasks import sync, sync_due
from tests.support.factories import make_channel
from tests.support.panel import make_template, sign_in


class TemplateListing:
    """Fake of Meta's list of templates; with `status` 500 it fails."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.status = 200
        self.asked = 0

    def answer(self) -> tuple[int, bytes]:
        self.asked += 1
        return self.status, msgspec.json.encode({"data": self.data})


@pytest.fixture
def listing() -> Iterator[tuple[TemplateListing, str]]:
    found = TemplateListing()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield found, f"http://127.0.0.1:{server.server_port}/v25.0"
    server.shutdown()
    server.server_close()


def test_templates_are_synced_periodically_and_once(
    app: Flask, listing: tuple[TemplateListing, str]
) -> None:
    meta, url = listing
    app.extensions["prosa_settings"] = replace(
        app.extensions["prosa_settings"], whatsapp_api_url=url
    )
    channel_id = make_channel().id
    meta.data = [
        {
            "name": "aviso",
            "language": "pt_BR",
            "status": "REJECTED",
            "category": "MARKETING",
            "quality_score": {"score": "YELLOW", "date": 1},
            "rejected_reason": "TAG_CONTENT_MISMATCH",
            "components": [],
        }
    ]
    assert sync_due() == [(channel_id,)]
    for _ in range(2):
        sync(channel_id)
    assert (meta.asked, sync_due()) == (1, [])
    row = db.session.scalars(sa.select(MessageTemplate)).one()
    assert (row.quality, row.rejected_reason) == ("YELLOW", "TAG_CONTENT_MISMATCH")
    _asked_ago(timedelta(hours=4))
    meta.status = 500
    sync(channel_id)
    assert sync_due() == [], "a failure is not repeated at once"
    _asked_ago(timedelta(hours=4))
    assert sync_due() == [(channel_id,)]


def _asked_ago(age: timedelta) -> None:
    db.session.execute(sa.update(Channel).values(templates_synced_at=clock.now() - age))
    db.session.commit()


def test_a_template_is_shown_with_its_values(app: Flask) -> None:
    client = sign_in(app, "Marta", Role.MANAGER)
    assert "empty" in client.get("/templates/").text
    template = make_template(body="Olá {{1}}, vence {{2}}. <b>")
    template.quality, template.status = "RED", "PAUSED"
    db.session.commit()
    address = f"/templates/{template.id}"
    assert address in client.get("/templates/").text
    page = client.get(address, query_string={"value-1": "<i>Ana</i>"}).text
    assert "Olá &lt;i&gt;Ana&lt;/i&gt;, vence {{2}}. &lt;b&gt;" in page
    assert "state-bad" in page
    assert client.get("/templates/999").status_code == 404


def test_the_sync_button_enqueues_a_job(app: Flask) -> None:
    assert sign_in(app, "Ana").post("/templates/sync").status_code == 403
    answer = sign_in(app, "Marta", Role.MANAGER).post("/templates/sync")
    assert answer.status_code == 303
    prosa = app.extensions["prosa_redis"].client
    assert prosa.exists(f"prosa:dedupe:templates.sync:{make_channel().id}") == 1

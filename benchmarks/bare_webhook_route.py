"""Floor of the webhook endpoint: a Flask route with the same HMAC and INSERT and nothing else."""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from flask import Flask, Response, abort, request

from chatbot.core import clock
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WorkState
from config import load

_settings = load()
_secret = _settings.whatsapp_app_secret.encode()
_engine = sa.create_engine(_settings.database_url)
_insert = sa.insert(WebhookBody)

app = Flask(__name__)


@app.post("/webhooks/whatsapp")
def receive() -> Response:
    raw = request.get_data()
    signature = "sha256=" + hmac.new(_secret, raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, request.headers["X-Hub-Signature-256"]):
        abort(403)
    row = {
        "received_at": clock.now(),
        "queue": WebhookQueue.STATUSES,
        "raw": raw,
        "state": WorkState.NEW,
    }
    with _engine.begin() as connection:
        connection.execute(_insert, row)
    return Response("", mimetype="text/plain")

"""Endpoint of Meta's webhooks: checks the signature, stores the body and answers 200."""

from __future__ import annotations

import hmac
import logging

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from chatbot.channels.whatsapp.signature import is_signed
from chatbot.core.db import db
from chatbot.core.metrics import count
from chatbot.extensions import get_settings
from chatbot.webhooks.bodies import store_body
from chatbot.webhooks.counts import RefusalCounter

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")

_REFUSAL_COUNTER = "prosa_webhook_refusals"
MAX_BODY = 3 * 1024 * 1024  # bytes; Meta's documented maximum of a webhook payload


@bp.get("/whatsapp")
def verify() -> Response:
    """Answer Meta's verification request, which it sends when the callback address is configured."""
    expected = get_settings(current_app).whatsapp_verify_token
    token = request.args.get("hub.verify_token", "").strip()
    if request.args.get("hub.mode") != "subscribe" or not hmac.compare_digest(
        token.encode(), expected.encode()
    ):
        return _plain_text("wrong verify token", 403)
    return _plain_text(request.args.get("hub.challenge", ""), 200)


@bp.post("/whatsapp")
def receive() -> Response:
    # Set per request, because the app's own limit allows for CSV uploads.
    request.max_content_length = MAX_BODY
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return _refuse("size", "the body is larger than 3 MB", 413)
    signature, settings = request.headers.get("X-Hub-Signature-256"), get_settings(current_app)
    secrets = (settings.whatsapp_app_secret, settings.whatsapp_app_secret_previous)
    if not is_signed(raw, signature, *secrets):
        log.warning("webhook refused: wrong or missing signature, %d bytes", len(raw))
        return _refuse("signature", "wrong signature", 401 if signature is None else 403)
    try:
        store_body(raw)
    except sa.exc.SQLAlchemyError:  # also a pool without a free connection
        log.exception("webhook not stored; Meta will send it again")
        count("webhooks", outcome="failed")
        response = _plain_text("try again", 503)
        response.headers["Retry-After"] = "5"
        return response
    count("webhooks", outcome="stored")
    return _plain_text("", 200)


def _refuse(reason: str, message: str, status: int) -> Response:
    counter: RefusalCounter = current_app.extensions.setdefault(_REFUSAL_COUNTER, RefusalCounter())
    counter.record(db.engine, reason)
    count("webhooks", outcome="refused")
    return _plain_text(message, status)


def _plain_text(text: str, status: int) -> Response:
    return Response(text, status, mimetype="text/plain")

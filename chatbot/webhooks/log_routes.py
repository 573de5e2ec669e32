"""Webhooks page: counts by kind, quarantined bodies with the reason, and replays."""

from __future__ import annotations

import json

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.webhooks import queries
from chatbot.webhooks.bodies import enqueue_drains, replay_body
from chatbot.webhooks.counts import list_counts
from chatbot.webhooks.models import WebhookQueue
from chatbot.webhooks.queries import BodyFilters

QUEUE_LABELS = {
    WebhookQueue.MESSAGES: _l("messages"),
    WebhookQueue.STATUSES: _l("statuses of messages, events of the account"),
}

bp = Blueprint("webhook_log", __name__, url_prefix="/channel/webhooks")

COUNTED_DAYS = 7
MAX_REPLAYED = 1000


@bp.get("/")
def index() -> ResponseReturnValue:
    is_all, after = request.args.get("show") == "all", request.args.get("after")
    typed = request.args.get("q", "").strip()[:100]
    filters = BodyFilters(quarantined=not is_all, text=typed or None)
    return render_template(
        "webhooks/index.html",
        queue_labels=QUEUE_LABELS,
        counts=list_counts(db.session.connection(), COUNTED_DAYS),
        days=COUNTED_DAYS,
        open=queries.count_pending(),
        page=queries.list_bodies(filters, after),
        is_all=is_all,
        typed=typed,
        after=after,
    )


@bp.get("/<int:body_id>")
def show(body_id: int) -> ResponseReturnValue:
    body = queries.get_body(body_id)
    return render_template(
        "webhooks/body.html",
        body=body,
        updates=queries.list_updates(body_id),
        text=_format_body(body.raw)[: queries.MAX_SHOWN_CHARACTERS],
        is_cut=len(body.raw) > queries.MAX_SHOWN_CHARACTERS,
    )


def _format_body(raw: bytes) -> str:
    """Indent a body if it is JSON."""
    try:
        return json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


@bp.post("/<int:body_id>/replay")
def replay(body_id: int) -> ResponseReturnValue:
    if not replay_body(db.session.connection(), body_id):
        raise NotFound("There is no webhook body %(id)s.", id=body_id)
    enqueue_drains()
    db.session.commit()
    flash(_("It will be applied again; what was already done is not done twice."), "success")
    return redirect(url_for("webhook_log.show", body_id=body_id), 303)


@bp.post("/replay-parked")
def replay_quarantined() -> ResponseReturnValue:
    page = queries.list_bodies(BodyFilters(quarantined=True), limit=MAX_REPLAYED)
    for line in page.rows:
        replay_body(db.session.connection(), line.id)
    enqueue_drains()
    db.session.commit()
    count = len(page.rows)
    flash(
        ngettext("%(num)s will be applied again.", "%(num)s will be applied again.", count),
        "success",
    )
    return redirect(url_for("webhook_log.index"), 303)

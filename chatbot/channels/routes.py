"""Channel page: our numbers, their state at Meta and their latest events."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from chatbot.channels import labels, queries
from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel, resume_channel
from chatbot.core.db import db, mark_request_writable

bp = Blueprint("channel", __name__, url_prefix="/channel")
bp.add_app_template_filter(labels.describe_reason)


@bp.get("/")
def show() -> ResponseReturnValue:
    channels = queries.list_channels() or [_make_default()]
    after = request.args.get("after")
    return render_template(
        "channels/show.html",
        channels=channels,
        events=queries.list_events(after),
        after=after,
        labels=labels,
    )


def _make_default() -> Channel:
    """Create the default channel when the page is opened before anything was sent or received."""
    db.session.rollback()
    mark_request_writable()
    channel = get_default_channel()
    db.session.commit()
    return channel


@bp.post("/<int:channel_id>/resume")
def resume(channel_id: int) -> ResponseReturnValue:
    """Resume sending, after a person has fixed the cause of the halt."""
    resume_channel(queries.get_channel(channel_id))
    db.session.commit()
    flash(_("Sending from this number has resumed."), "success")
    return redirect(url_for("channel.show"), 303)

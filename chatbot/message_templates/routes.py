"""Message templates: the list, one with a preview of its values, and the asking of Meta."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.core.queue import ring
from chatbot.extensions import settings_of
from chatbot.message_templates import service, wording
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import cost_of
from chatbot.message_templates.texts import parameters_of, preview
from chatbot.message_templates.values import label_of

bp = Blueprint("message_templates", __name__, url_prefix="/templates")

HOME_COUNTRY = "BR"
VALUE = "value-"  # how a form names the value of a blank


@bp.app_context_processor
def _words() -> dict[str, object]:
    return {"template_wording": wording, "template_label": label_of}


@bp.get("/")
def index() -> ResponseReturnValue:
    channel = db.session.query(Channel).first()
    templates = service.list_templates(channel) if channel else []
    return render_template("message_templates/list.html", templates=templates, channel=channel)


@bp.get("/<int:template_id>")
def show(template_id: int) -> ResponseReturnValue:
    template = service.get_by_id(template_id)
    values = read_values(template, request.args)
    today = datetime.now(ZoneInfo(settings_of(current_app).timezone)).date()
    return render_template(
        "message_templates/show.html",
        template=template,
        names=parameters_of(template.components),
        values=values,
        shown=preview(template.components, values),
        price=cost_of(template.category, HOME_COUNTRY, today),
        problem=_problem_of(template),
    )


def _problem_of(template: MessageTemplate) -> str | None:
    if template.rejected_reason:
        return _("Meta rejected it: %(reason)s", reason=template.rejected_reason)
    return None


def read_values(template: MessageTemplate, form: Mapping[str, str]) -> dict[str, str]:
    """What a form says of the blanks; those left empty are left out."""
    names = parameters_of(template.components)
    given = {name: form.get(f"{VALUE}{name}", "").strip() for name in names}
    return {name: value for name, value in given.items() if value}


@bp.post("/sync")
def sync() -> ResponseReturnValue:
    """Meta is asked by a worker, so that this page never waits for her."""
    channel = get_default_channel()
    ring("templates.sync", channel.id)
    db.session.commit()
    flash(_("Meta is being asked: what has changed appears here in a moment."), "success")
    return redirect(url_for("message_templates.index"), 303)

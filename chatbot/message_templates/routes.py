"""Pages of message templates: the list, one with a preview, and the sync with Meta."""

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
from chatbot.core.tasks import enqueue
from chatbot.extensions import get_settings
from chatbot.message_templates import labels, service
from chatbot.message_templates.components import list_parameters, render_preview
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import find_price
from chatbot.message_templates.values import get_parameter_label

bp = Blueprint("message_templates", __name__, url_prefix="/templates")

HOME_COUNTRY = "BR"
VALUE_PREFIX = "value-"  # form field of a placeholder's value


@bp.app_context_processor
def _template_labels() -> dict[str, object]:
    return {"template_labels": labels, "template_label": get_parameter_label}


@bp.get("/")
def index() -> ResponseReturnValue:
    channel = db.session.query(Channel).first()
    templates = service.list_templates(channel) if channel else []
    return render_template("message_templates/list.html", templates=templates, channel=channel)


@bp.get("/<int:template_id>")
def show(template_id: int) -> ResponseReturnValue:
    template = service.get_template_by_id(template_id)
    values = read_values(template, request.args)
    today = datetime.now(ZoneInfo(get_settings(current_app).timezone)).date()
    return render_template(
        "message_templates/show.html",
        template=template,
        names=list_parameters(template.components),
        values=values,
        shown=render_preview(template.components, values),
        price=find_price(template.category, HOME_COUNTRY, today),
        problem=_find_problem(template),
    )


def _find_problem(template: MessageTemplate) -> str | None:
    if template.rejected_reason:
        return str(_("Meta rejected it: %(reason)s", reason=template.rejected_reason))
    problem = service.find_unfillable_problem(template)
    return str(_(problem.message, **problem.values)) if problem else None


def read_values(template: MessageTemplate, form: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a form's placeholders, without the empty ones."""
    names = list_parameters(template.components)
    given = {name: form.get(f"{VALUE_PREFIX}{name}", "").strip() for name in names}
    return {name: value for name, value in given.items() if value}


@bp.post("/sync")
def sync() -> ResponseReturnValue:
    """Enqueue the sync, so that this page never waits for Meta."""
    channel = get_default_channel()
    enqueue("templates.sync", channel.id)
    db.session.commit()
    flash(_("Syncing with Meta: changes appear here in a moment."), "success")
    return redirect(url_for("message_templates.index"), 303)

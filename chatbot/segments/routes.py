"""Pages of segments: list, edit with a preview, delete."""

from __future__ import annotations

import msgspec
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.segments import service
from chatbot.segments.condition_kinds import CONDITION_KINDS
from chatbot.segments.forms import RuleLine, add_blank_lines, build_lines, build_rule, parse_lines
from chatbot.segments.models import Segment
from chatbot.segments.rules import parse_rule

bp = Blueprint("segments", __name__, url_prefix="/segments")


@bp.get("/")
def index() -> ResponseReturnValue:
    return render_template(
        "segments/list.html", segments=service.list_segments(), describe=service.describe_rule
    )


@bp.route("/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    return _render_edit_page(None) if request.method == "GET" else _save_or_preview(None)


@bp.route("/<int:segment_id>", methods=["GET", "POST"])
def edit(segment_id: int) -> ResponseReturnValue:
    segment = service.get_segment(segment_id)
    return _render_edit_page(segment) if request.method == "GET" else _save_or_preview(segment)


@bp.post("/<int:segment_id>/delete")
def delete(segment_id: int) -> ResponseReturnValue:
    service.delete_segment(segment_id)
    db.session.commit()
    flash(_("The segment has been deleted."))
    return redirect(url_for("segments.index"), 303)


def _render_edit_page(segment: Segment | None) -> ResponseReturnValue:
    """Show the form. A rule that no longer parses shows its error and no lines."""
    if segment is None:
        return _render_page(None, "", [])
    try:
        rule = parse_rule(segment.rule)
    except InvalidInput as error:
        return _render_page(segment, segment.name, [], error)
    return _render_page(segment, segment.name, build_lines(rule))


def _save_or_preview(segment: Segment | None) -> ResponseReturnValue:
    """Check the form, then save it or show a preview. An error shows the form again as it was typed."""
    name, lines = request.form.get("name", ""), parse_lines(request.form)
    try:
        rule = parse_rule(msgspec.to_builtins(build_rule(lines)))
        if request.form.get("action") != "save":
            return _render_page(segment, name, lines, preview=service.preview_rule(rule))
        service.save_segment(segment, name, rule, str(current_user.name))
        db.session.commit()
    except InvalidInput as error:
        db.session.rollback()
        return _render_page(segment, name, lines, error)
    flash(_("The segment has been saved."), "success")
    return redirect(url_for("segments.index"), 303)


def _render_page(
    segment: Segment | None,
    name: str,
    lines: list[RuleLine],
    error: InvalidInput | None = None,
    preview: service.RulePreview | None = None,
) -> ResponseReturnValue:
    problems = {error.field: _(error.message, **error.values)} if error else {}
    page = render_template(
        "segments/edit.html",
        segment=segment,
        name=name,
        lines=add_blank_lines(lines),
        kinds=CONDITION_KINDS,
        problems=problems,
        preview=preview,
    )
    return page, 422 if error and request.method == "POST" else 200

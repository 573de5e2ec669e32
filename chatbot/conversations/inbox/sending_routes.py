"""Files of a thread, and the page that sends a message template."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.channels.media.disk_cache import get_cached_path
from chatbot.channels.media.file_types import INLINE_TYPES
from chatbot.conversations import service
from chatbot.conversations.inbox import composer, threads
from chatbot.conversations.inbox.forms import TemplateForm
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.message_templates.components import list_parameters, render_preview
from chatbot.message_templates.service import get_template_by_id, list_usable_templates

bp = Blueprint("sending", __name__, url_prefix="/conversations")


@bp.get("/<int:conversation_id>/files/<int:message_id>")
def file(conversation_id: int, message_id: int) -> ResponseReturnValue:
    """Return a message's file, or a range of it.

    Files of contacts are untrusted: only audio, images and videos are shown inline, and a CSP sandbox
    keeps any of them from running scripts.
    """
    found = threads.get_file(conversation_id, message_id)
    is_shown = found.mime_type in INLINE_TYPES
    response: Response = send_file(
        get_cached_path(found),
        mimetype=found.mime_type if is_shown else "application/octet-stream",
        as_attachment=not is_shown or "download" in request.args,
        download_name=found.file_name or f"{found.kind}-{message_id}",
        conditional=True,
        etag=found.sha256 or False,
    )
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # The browser may keep the file but must revalidate it, so it is gone after sign-out.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@bp.get("/<int:conversation_id>/template")
def template(conversation_id: int) -> ResponseReturnValue:
    """Return the page on which a template is chosen, filled and previewed."""
    return _template_page(conversation_id, TemplateForm(request.args))


@bp.get("/<int:conversation_id>/template/preview")
def template_preview(conversation_id: int) -> ResponseReturnValue:
    """Return the preview, refreshed while parameters are typed."""
    threads.get_head(conversation_id)  # raises NotFound
    form = TemplateForm(request.args)
    chosen = get_template_by_id(form.template_id)
    shown = render_preview(chosen.components, form.values_for(list_parameters(chosen.components)))
    return render_template("message_templates/_preview.html", shown=shown)


@bp.post("/<int:conversation_id>/template")
def send_template(conversation_id: int) -> ResponseReturnValue:
    form = TemplateForm(request.form)
    try:
        chosen = get_template_by_id(form.template_id)
        conversation = service.get_for_update(conversation_id)
        values = form.values_for(list_parameters(chosen.components))
        composer.queue_template_message(
            conversation, chosen, values, current_user.id, form.client_token
        )
        db.session.commit()
    except AppError as error:
        db.session.rollback()
        form.problem = _(error.message, **error.values)
        form.problem_at = error.field
        return _template_page(conversation_id, form), error.status
    return redirect(url_for("conversations.thread", conversation_id=conversation_id), 303)


def _template_page(conversation_id: int, form: TemplateForm) -> str:
    conversation = threads.get_head(conversation_id)
    templates = list_usable_templates(conversation.channel_id)
    chosen = next((t for t in templates if t.id == form.template_id), None)
    names = list_parameters(chosen.components) if chosen else []
    values = form.values_for(names)
    return render_template(
        "conversations/template.html",
        conversation=conversation,
        templates=templates,
        chosen=chosen,
        names=names,
        values=values,
        form=form,
        shown=render_preview(chosen.components, values) if chosen else None,
    )

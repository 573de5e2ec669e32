"""Pages of the inbox: the list of conversations, a thread, and the agent's actions in it."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from chatbot.conversations import service
from chatbot.conversations.inbox import composer, labels, queries, threads
from chatbot.conversations.inbox.formatting import format_text
from chatbot.conversations.inbox.forms import ReplyForm, StateChangeForm, build_reply_form
from chatbot.conversations.inbox.queries import Inbox
from chatbot.conversations.inbox.threads import ThreadHead
from chatbot.conversations.models import Conversation
from chatbot.conversations.read_receipts import send_read_receipts
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import AppError

bp = Blueprint("conversations", __name__, url_prefix="/conversations")
bp.add_app_template_filter(format_text, "whatsapp")

INBOX_LABELS = {
    Inbox.ALL: _l("All conversations"),
    Inbox.WAITING: _l("Waiting"),
    Inbox.MINE: _l("Mine"),
    Inbox.BOT: _l("Bot"),
    Inbox.CLOSED: _l("Closed conversations"),
}


@bp.app_context_processor
def _add_labels() -> dict[str, object]:
    return {"conversation_labels": labels}


@bp.get("/")
def inbox() -> ResponseReturnValue:
    return render_template("conversations/list.html", **_list_context())


@bp.get("/rows")
def rows() -> ResponseReturnValue:
    """Return the part of the list that is refreshed."""
    return render_template("conversations/_rows.html", **_list_context())


def _list_context() -> dict[str, object]:
    name = request.args.get("inbox", "")
    chosen = Inbox(name) if name in set(Inbox) else Inbox.ALL
    typed = request.args.get("q", "").strip()
    after = request.args.get("after")
    page, counts = queries.get_inbox(chosen, current_user.id, typed, after)
    return {
        "inboxes": INBOX_LABELS,
        "chosen": chosen,
        "typed": typed,
        "after": after,
        "page": page,
        "counts": counts,
        "counted": queries.MAX_BADGE_COUNT,
    }


@bp.get("/<int:conversation_id>")
def thread(conversation_id: int) -> ResponseReturnValue:
    return _thread_page(conversation_id, build_reply_form(formdata=None))


def _thread_page(conversation_id: int, form: ReplyForm, problem: str | None = None) -> str:
    before = request.args.get("before")
    thread = threads.get_thread(conversation_id, before)
    head, page = _head_context(thread.head), thread.page
    return render_template(
        "conversations/thread.html",
        form=form,
        problem=problem,
        page=page,
        head_version=_head_version(head),
        before=before,
        since=threads.get_start_cursor(page.rows),
        **head,
    )


def _head_context(conversation: ThreadHead) -> dict[str, object]:
    return {
        "conversation": conversation,
        "seen": service.get_state_token(conversation),
        "is_mine": conversation.assigned_user_id == current_user.id,
        "is_open": service.is_window_open(conversation),
        "closes_at": service.get_window_end(conversation),
        "now": clock.now(),
    }


@bp.get("/<int:conversation_id>/live")
def live(conversation_id: int) -> ResponseReturnValue:
    """Return the current head and messages of an open thread as JSON."""
    thread = threads.get_live_thread(conversation_id, request.args.get("since", ""))
    head = _head_context(thread.head)
    closes_at = service.get_window_end(thread.head)
    return jsonify(
        seen=head["seen"],
        unread=thread.head.unread_count if head["is_mine"] else 0,
        is_open=head["is_open"],
        closes_at=closes_at.isoformat() if closes_at else None,
        # The HTML always differs in its CSRF token; the version tells whether anything else changed.
        head_version=_head_version(head),
        head=render_template("conversations/_head.html", **head),
        messages=render_template(
            "conversations/_messages.html", conversation=thread.head, bubbles=thread.bubbles
        ),
    )


def _head_version(head: dict[str, object]) -> str:
    conversation: ThreadHead = head["conversation"]  # type: ignore[assignment]
    shown = (
        head["seen"],
        head["is_open"],
        conversation.agent,
        conversation.handoff_reason,
        conversation.last_inbound_at,
        conversation.contact_name,
        conversation.contact_opted_out_at is None,
    )
    return "|".join(str(part) for part in shown)


@bp.post("/<int:conversation_id>/reply")
def reply(conversation_id: int) -> ResponseReturnValue:
    form = build_reply_form()
    if not form.validate():
        return _thread_page(conversation_id, form), 422
    try:
        conversation = service.get_for_update(conversation_id)
        composer.queue_reply(conversation, form.draft, current_user.id)
        db.session.commit()
        send_read_receipts([conversation_id])
    except AppError as error:
        db.session.rollback()
        form.problem_at(error.field, _(error.message, **error.values))
        return _thread_page(conversation_id, form), error.status
    return _redirect_to_thread(conversation_id)


STATE_CHANGES: dict[str, tuple[Callable[[Conversation], None], object]] = {
    "hand-off": (
        lambda conversation: service.hand_off(conversation, "agent"),
        _l("The conversation is waiting for a person."),
    ),
    "hand-back": (service.hand_back, _l("The bot answers again from the next message.")),
    "close": (service.close, _l("The conversation is closed. A new message opens it again.")),
}


@bp.post("/<int:conversation_id>/take")
def assign_to_me(conversation_id: int) -> ResponseReturnValue:
    """Assign the conversation to the current user; no state token, because `assign` detects conflicts."""
    try:
        service.assign(service.get_for_update(conversation_id), current_user.id)
        db.session.commit()
    except AppError as error:
        return _show_problem(conversation_id, error)
    flash(_("The conversation is yours: the bot stays quiet until you give it back."), "success")
    return _redirect_to_thread(conversation_id)


@bp.post("/<int:conversation_id>/hand-off", defaults={"move": "hand-off"})
@bp.post("/<int:conversation_id>/hand-back", defaults={"move": "hand-back"})
@bp.post("/<int:conversation_id>/close", defaults={"move": "close"})
def change_state(conversation_id: int, move: str) -> ResponseReturnValue:
    change, sentence = STATE_CHANGES[move]
    try:
        conversation = service.get_for_update(conversation_id)
        service.check_state_token(conversation, StateChangeForm().seen.data or "")
        change(conversation)
        db.session.commit()
    except AppError as error:
        return _show_problem(conversation_id, error)
    flash(str(sentence), "success")
    return _redirect_to_thread(conversation_id)


@bp.post("/<int:conversation_id>/read")
def mark_read(conversation_id: int) -> ResponseReturnValue:
    """Mark the thread as read by its agent; the form's `typing` says that they are writing."""
    conversation = service.get_for_update(conversation_id)
    is_mine = service.mark_read(conversation, current_user.id)
    db.session.commit()
    if is_mine:
        send_read_receipts([conversation_id], typing=bool(request.form.get("typing")))
    return "", 204


def _show_problem(conversation_id: int, error: AppError) -> ResponseReturnValue:
    """Return the current thread with the reason why the action failed."""
    db.session.rollback()
    problem = _(error.message, **error.values)
    page = _thread_page(conversation_id, build_reply_form(formdata=None), problem)
    return page, error.status


def _redirect_to_thread(conversation_id: int) -> ResponseReturnValue:
    return redirect(url_for("conversations.thread", conversation_id=conversation_id), 303)

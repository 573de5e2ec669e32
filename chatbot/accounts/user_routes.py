"""Pages on which administrators manage users."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.accounts import invitations, users
from chatbot.accounts.audit import list_audit_events
from chatbot.accounts.forms import NewUserForm, RoleForm
from chatbot.accounts.labels import describe_audit_event
from chatbot.accounts.models import Role, User
from chatbot.accounts.session_user import Actor
from chatbot.core.db import db
from chatbot.core.errors import AppError, Conflict

bp = Blueprint("users", __name__, url_prefix="/users")


@bp.get("/")
def index() -> ResponseReturnValue:
    return _users_page(NewUserForm(formdata=None))


def _users_page(form: NewUserForm, status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "accounts/users.html",
        form=form,
        users=users.list_users(),
        events=list_audit_events(),
        describe_event=describe_audit_event,
        roles=list(Role),
    )
    return page, status


@bp.post("/")
def create() -> ResponseReturnValue:
    form = NewUserForm()
    if not form.validate():
        return _users_page(form, 422)
    try:
        user, token = users.invite_user(
            form.email.data or "", form.name.data or "", Role(form.role.data), _get_actor()
        )
        db.session.commit()
    except AppError as error:
        db.session.rollback()
        form.email.errors = [_(error.message, **error.values)]
        return _users_page(form, error.status)
    return _link_page(user, token)


def _get_actor() -> Actor:
    found: Actor = current_user._get_current_object()
    return found


def _link_page(user: User, token: str) -> ResponseReturnValue:
    """Show the link once; its token is stored nowhere, not even in the session."""
    link = url_for("accounts.welcome", token=token, _external=True)
    hours = int(invitations.LINK_LIFETIME.total_seconds() // 3600)
    return render_template("accounts/link.html", user=user, link=link, hours=hours)


@bp.post("/<int:user_id>/link")
def make_link(user_id: int) -> ResponseReturnValue:
    user = users.get_user_for_update(user_id)
    if not user.is_active:
        raise Conflict("This account is closed: open it first.")
    token = invitations.create_link(user, _get_actor())
    db.session.commit()
    return _link_page(user, token)


@bp.post("/<int:user_id>/role")
def change_role(user_id: int) -> ResponseReturnValue:
    form = RoleForm()
    if form.validate():
        users.change_role(users.get_user_for_update(user_id), Role(form.role.data), _get_actor())
        db.session.commit()
        flash(_("The role has been changed."), "success")
    return redirect(url_for("users.index"), 303)


@bp.post("/<int:user_id>/close")
def close(user_id: int) -> ResponseReturnValue:
    user = users.get_user_for_update(user_id)
    users.close_user(user, _get_actor())
    db.session.commit()
    flash(_("The account of %(name)s is closed.", name=user.name), "success")
    return redirect(url_for("users.index"), 303)


@bp.post("/<int:user_id>/open")
def reopen(user_id: int) -> ResponseReturnValue:
    user = users.get_user_for_update(user_id)
    users.open_user(user, _get_actor())
    db.session.commit()
    flash(_("The account of %(name)s is open again.", name=user.name), "success")
    return redirect(url_for("users.index"), 303)

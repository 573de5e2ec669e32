"""Users of the panel, for administrators."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from chatbot.accounts import invitations, users
from chatbot.accounts.audit import Action, list_events
from chatbot.accounts.forms import NewUserForm, RoleForm
from chatbot.accounts.models import Role, User
from chatbot.accounts.signed_in import Actor
from chatbot.core.db import db
from chatbot.core.errors import AppError, Conflict

bp = Blueprint("users", __name__, url_prefix="/users")

DEEDS: dict[str, LazyString] = {
    Action.SIGNED_IN: _l("signed in"),
    Action.SIGNED_OUT_EVERYWHERE: _l("signed out on all devices"),
    Action.PASSWORD_CHANGED: _l("changed the own password"),
    Action.PASSWORD_CHOSEN: _l("chose a password by the link"),
    Action.USER_CREATED: _l("created the user"),
    Action.LINK_MADE: _l("made a one-time link for"),
    Action.ROLE_CHANGED: _l("changed the role of"),
    Action.USER_CLOSED: _l("closed the account of"),
    Action.USER_OPENED: _l("opened the account of"),
}


@bp.get("/")
def index() -> ResponseReturnValue:
    return _page(NewUserForm(formdata=None))


def _page(form: NewUserForm, status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "accounts/users.html",
        form=form,
        users=users.list_users(),
        events=list_events(),
        deeds=DEEDS,
        roles=list(Role),
    )
    return page, status


@bp.post("/")
def create() -> ResponseReturnValue:
    form = NewUserForm()
    if not form.validate():
        return _page(form, 422)
    try:
        user, token = users.invite(
            form.email.data or "", form.name.data or "", Role(form.role.data), _me()
        )
        db.session.commit()
    except AppError as error:
        db.session.rollback()
        form.email.errors = [_(error.message, **error.values)]
        return _page(form, error.status)
    return _link_page(user, token)


def _me() -> Actor:
    found: Actor = current_user._get_current_object()
    return found


def _link_page(user: User, token: str) -> ResponseReturnValue:
    """Shown in this answer only: the token is kept nowhere, not even in a session."""
    link = url_for("accounts.welcome", token=token, _external=True)
    hours = int(invitations.VALID_FOR.total_seconds() // 3600)
    return render_template("accounts/link.html", user=user, link=link, hours=hours)


@bp.post("/<int:user_id>/link")
def make_link(user_id: int) -> ResponseReturnValue:
    user = users.get_user(user_id)
    if not user.is_active:
        raise Conflict("This account is closed: open it first.")
    token = invitations.make_link(user, _me())
    db.session.commit()
    return _link_page(user, token)


@bp.post("/<int:user_id>/role")
def change_role(user_id: int) -> ResponseReturnValue:
    form = RoleForm()
    if form.validate():
        users.change_role(users.get_user(user_id), Role(form.role.data), _me())
        db.session.commit()
        flash(_("The role is changed."), "success")
    return redirect(url_for("users.index"), 303)


@bp.post("/<int:user_id>/close")
def close(user_id: int) -> ResponseReturnValue:
    user = users.get_user(user_id)
    users.close_user(user, _me())
    db.session.commit()
    flash(_("The account of %(name)s is closed.", name=user.name), "success")
    return redirect(url_for("users.index"), 303)


@bp.post("/<int:user_id>/open")
def reopen(user_id: int) -> ResponseReturnValue:
    user = users.get_user(user_id)
    users.open_user(user, _me())
    db.session.commit()
    flash(_("The account of %(name)s is open again.", name=user.name), "success")
    return redirect(url_for("users.index"), 303)

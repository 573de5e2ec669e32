"""Public pages (sign-in, invitation, language) and the page of the user's own account."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import (
    Blueprint,
    after_this_request,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from chatbot.accounts import invitations, service
from chatbot.accounts.devices import get_known_device, remember_device
from chatbot.accounts.forms import ChangePasswordForm, ChoosePasswordForm, SignInForm
from chatbot.accounts.models import User
from chatbot.accounts.passwords import HashingBusy
from chatbot.accounts.sign_in_limits import TooManyFailures
from chatbot.accounts.users import get_user_for_update
from chatbot.core.db import db
from chatbot.core.errors import AppError, InvalidInput
from chatbot.core.limits import address_key
from chatbot.extensions import LOCALES, limiter

bp = Blueprint("accounts", __name__)
account_bp = Blueprint("account", __name__, url_prefix="/account")

# Failed sign-ins have exact limits in SQL; this one protects them from floods.
SIGN_IN_RATE = "60 per minute"
LANGUAGE_COOKIE_MAX_AGE_S = 365 * 86400


@bp.route("/login", methods=["GET", "POST"])
@limiter.limit(SIGN_IN_RATE, per_method=True)
def sign_in() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(_get_safe_redirect_path(request.args.get("next")) or url_for("panel.home"))
    form = SignInForm()
    if not form.validate_on_submit():
        return _sign_in_page(form, 422 if form.errors else 200)
    try:
        user = service.sign_in(
            form.email.data or "",
            form.password.data or "",
            address_key(request.remote_addr),
            get_known_device,
        )
    except TooManyFailures as error:
        form.password.errors = [_(error.message, **error.values)]
        return *_sign_in_page(form, 429), {"Retry-After": str(error.retry_after_s)}
    if user is None:
        form.password.errors = [_("The e-mail or password is wrong.")]
        return _sign_in_page(form, 401)
    _start_session(user)
    return redirect(_get_safe_redirect_path(request.args.get("next")) or url_for("panel.home"), 303)


def _sign_in_page(form: SignInForm, status: int) -> tuple[str, int]:
    return render_template("accounts/sign_in.html", form=form), status


def _start_session(user: User) -> None:
    """Sign the user in with an empty session, so that nothing from before remains; know the device."""
    session.clear()
    login_user(user)
    session.permanent = True
    after_this_request(lambda response: remember_device(response, user))


def _get_safe_redirect_path(target: str | None) -> str | None:
    """Return the target if it is a path of this site, to prevent open redirects."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if any(character < " " for character in target):
        return None
    parts = urlsplit(target)
    return target if not parts.netloc and not parts.scheme else None


@bp.post("/logout")
def sign_out() -> ResponseReturnValue:
    logout_user()
    session.clear()
    flash(_("You have signed out."), "success")
    return redirect(url_for("accounts.sign_in"), 303)


@bp.post("/language")
def choose_language() -> ResponseReturnValue:
    response = redirect(
        _get_safe_redirect_path(request.form.get("next")) or url_for("panel.home"), 303
    )
    chosen = request.form.get("locale")
    if chosen in LOCALES:
        response.set_cookie(
            "locale",
            chosen,
            max_age=LANGUAGE_COOKIE_MAX_AGE_S,
            samesite="Lax",
            httponly=True,
            secure=request.is_secure,
        )
    return response


@bp.route("/welcome/<token>", methods=["GET", "POST"])
@limiter.limit(SIGN_IN_RATE, per_method=True)
def welcome(token: str) -> ResponseReturnValue:
    """Choose a password by a one-time link; only submitting the form uses it."""
    user = invitations.find_invited_user(token)
    if user is None:
        return render_template("accounts/link_expired.html"), 404
    form = ChoosePasswordForm()
    if form.validate_on_submit():
        try:
            user = invitations.choose_password(token, form.password.data or "")
            db.session.commit()
            _start_session(user)
            flash(_("Welcome! Your password is set."), "success")
            return redirect(url_for("panel.home"), 303)
        except InvalidInput as error:
            form.password.errors = [_(error.message, **error.values)]
    page = render_template("accounts/welcome.html", form=form, user=user)
    return page, 422 if form.errors else 200


@account_bp.get("/")
def show() -> ResponseReturnValue:
    return render_template("accounts/account.html", form=ChangePasswordForm(formdata=None))


@account_bp.post("/password")
@limiter.limit("30 per minute")
def change_password() -> ResponseReturnValue:
    form = ChangePasswordForm()
    status = 422
    if form.validate():
        try:
            user = get_user_for_update(current_user.id)
            service.change_password(
                user,
                form.present.data or "",
                form.password.data or "",
                address_key(request.remote_addr),
                get_known_device(user),
            )
            db.session.commit()
            _start_session(user)
            flash(_("Your password has been changed. Other devices were signed out."), "success")
            return redirect(url_for("account.show"), 303)
        except HashingBusy:
            raise
        except AppError as error:
            status = error.status
            field = form.password if error.field == "password" else form.present
            field.errors = [_(error.message, **error.values)]
    return render_template("accounts/account.html", form=form), status


@account_bp.post("/sign-out-everywhere")
def sign_out_everywhere() -> ResponseReturnValue:
    service.sign_out_everywhere(get_user_for_update(current_user.id))
    db.session.commit()
    logout_user()
    session.clear()
    flash(_("You have signed out on all devices."), "success")
    return redirect(url_for("accounts.sign_in"), 303)

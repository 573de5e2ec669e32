"""Settings page, and the company's logo."""

from __future__ import annotations

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.company import logo, service
from chatbot.company.editable import BY_NAME, EDITABLE_SETTINGS, GROUP_LABELS
from chatbot.company.forms import SEEN, SettingsForm
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput

bp = Blueprint("company", __name__, url_prefix="/settings")
# Also on the sign-in page, so for everybody.
logo_bp = Blueprint("company_logo", __name__)


@bp.get("/")
def index() -> str:
    return _page(SettingsForm.showing(service.list_settings()))


@bp.post("/")
def save() -> ResponseReturnValue:
    form = SettingsForm()
    try:
        changed = service.change_settings(form.changes, current_user.email, seen=form.seen)
        db.session.commit()
    except service.SettingsConflict as conflict:
        db.session.rollback()
        form.show_conflict(conflict)
        flash(_(conflict.message), "warning")
        return _page(form), 409
    except InvalidInput as error:
        db.session.rollback()
        form.show_error(error)
        return _page(form), 422
    return _saved(_("The settings are saved.") if changed else _("Nothing was changed."))


@bp.post("/logo")
def upload_logo() -> ResponseReturnValue:
    file = request.files.get("logo")
    try:
        logo.set_logo(file.read(logo.MAX_LOGO_BYTES + 1) if file else b"", current_user.email)
        db.session.commit()
    except InvalidInput as error:
        db.session.rollback()
        flash(_(error.message), "error")
        return _page(SettingsForm.showing(service.list_settings())), 422
    return _saved(_("The logo is saved."))


@bp.post("/logo/delete")
def delete_logo() -> ResponseReturnValue:
    logo.delete_logo(current_user.email)
    db.session.commit()
    return _saved(_("The logo has been deleted."))


@logo_bp.get("/logo")
def show_logo() -> Response:
    """Answer the picture. Its address holds its version, so browsers may keep it for ever."""
    found = logo.get_logo()
    if found is None:
        abort(404)
    response = Response(found.content, content_type=found.content_type)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _saved(message: str) -> ResponseReturnValue:
    current_app.extensions["prosa_current_settings"].forget()  # this process shows it at once
    flash(message, "success")
    return redirect(url_for("company.index"), 303)


def _page(form: SettingsForm) -> str:
    groups = {
        label: [form[setting.name] for setting in EDITABLE_SETTINGS if setting.group == group]
        for group, label in GROUP_LABELS.items()
    }
    return render_template(
        "company/settings.html",
        form=form,
        groups=groups,
        seen=[form[SEEN + name] for name in BY_NAME],
        changes=service.list_changes(),
        labels={name: setting.label for name, setting in BY_NAME.items()},
        display=lambda change, text: (
            BY_NAME[change.name].display(text) if change.name in BY_NAME else text
        ),
    )

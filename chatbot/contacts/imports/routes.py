"""Import and export of contacts, for managers."""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from chatbot.contacts.forms import UploadForm
from chatbot.contacts.imports import uploads
from chatbot.contacts.imports.csv_reader import REASONS, CsvError
from chatbot.contacts.imports.export import export_contacts
from chatbot.contacts.imports.preview import build_preview, get_cell
from chatbot.contacts.imports.uploads import Upload, UploadState
from chatbot.core.db import db
from chatbot.core.tasks import enqueue
from chatbot.extensions import limiter
from chatbot.web.downloads import csv_response

bp = Blueprint("contact_imports", __name__, url_prefix="/contacts")

COLUMN_LABELS = {
    "phone": _l("Phone"),
    "name": _l("Name"),
    "document": _l("CPF or CNPJ"),
    "email": _l("E-mail"),
    "tags": _l("Tags"),
    "opt_in": _l("Agreed to campaigns"),
    "opt_out": _l("No campaigns"),
}
MAX_SHOWN_BAD_LINES = 50


@bp.app_template_filter("csv_reason")
def describe_reason(code: str | None) -> str:
    """Return the translated sentence for the reason of a bad line or file."""
    return str(_(REASONS[code]) if code in REASONS else _("The line cannot be read."))


@bp.route("/import", methods=["GET", "POST"])
@limiter.limit("30 per minute", per_method=True)
def new() -> ResponseReturnValue:
    form = UploadForm()
    if not form.validate_on_submit():
        status = 422 if form.errors else 200
        return render_template("contacts/imports/new.html", form=form), status
    file = form.file.data
    upload = uploads.store_upload(file.stream, file.filename or "", current_user.id)
    try:
        build_preview(uploads.open_upload(upload.id))  # type: ignore[arg-type]
    except CsvError as error:
        db.session.rollback()  # a file that can't be read is not stored
        form.file.errors = [_describe_file_error(error)]
        return render_template("contacts/imports/new.html", form=form), 422
    db.session.commit()
    return _redirect_to_import(upload)


def _describe_file_error(error: CsvError) -> str:
    sentence = describe_reason(error.reason)
    found = ", ".join(detail for detail in error.details if detail.strip())
    return (
        _("%(sentence)s Found: %(found)s.", sentence=sentence, found=found) if found else sentence
    )


@bp.get("/import/<int:upload_id>")
def show(upload_id: int) -> ResponseReturnValue:
    upload = uploads.get_upload(upload_id, current_user.id)
    if upload.state != UploadState.PREVIEW:
        return render_template("contacts/imports/show.html", **_progress_context(upload))
    return render_template(
        "contacts/imports/preview.html",
        upload=upload,
        preview=build_preview(uploads.open_upload(upload.id)),  # type: ignore[arg-type]
        get_cell=get_cell,
        known=COLUMN_LABELS,
    )


@bp.get("/import/<int:upload_id>/progress")
def progress(upload_id: int) -> ResponseReturnValue:
    """Return the part of an import's page that is refreshed."""
    upload = uploads.get_upload(upload_id, current_user.id)
    page = render_template("contacts/imports/_progress.html", **_progress_context(upload))
    is_over = upload.state in (UploadState.DONE, UploadState.FAILED)
    return page, 200, {"X-Refresh": "done"} if is_over else {}


def _progress_context(upload: Upload) -> dict[str, Any]:
    is_done = upload.state == UploadState.DONE
    bad_lines = uploads.list_first_errors(upload.id, MAX_SHOWN_BAD_LINES) if is_done else []
    return {"upload": upload, "bad_lines": bad_lines}


@bp.post("/import/<int:upload_id>/confirm")
def confirm(upload_id: int) -> ResponseReturnValue:
    """Start the import, unless it has been started already."""
    upload = uploads.get_upload(upload_id, current_user.id, lock=True)
    if upload.state == UploadState.PREVIEW:
        upload.state = UploadState.CONFIRMED
        enqueue("contacts.import")
    db.session.commit()
    return _redirect_to_import(upload)


@bp.post("/import/<int:upload_id>/discard")
def discard(upload_id: int) -> ResponseReturnValue:
    upload = uploads.get_upload(upload_id, current_user.id, lock=True)
    if upload.state == UploadState.PREVIEW:
        uploads.delete_content(upload.id)
        db.session.delete(upload)
        flash(_("The file was discarded; nothing was imported."))
    db.session.commit()
    return redirect(url_for("contact_imports.new"), 303)


@bp.get("/import/<int:upload_id>/report.csv")
def report(upload_id: int) -> ResponseReturnValue:
    """Return the lines that were not imported as CSV, to be fixed and imported again."""
    uploads.get_upload(upload_id, current_user.id)
    rows = (
        (
            bad.line,
            COLUMN_LABELS.get(bad.column or "", bad.column),
            describe_reason(bad.reason),
            bad.value,
        )
        for bad in uploads.iterate_errors(upload_id)
    )
    header = (_("Line"), _("Column"), _("What is wrong"), _("Value"))
    return csv_response(header, rows, "import-report.csv")


@bp.get("/export.csv")
def export() -> ResponseReturnValue:
    """Return the filtered list as CSV, which can be imported again."""
    return export_contacts(request.args.get("q", "").strip(), request.args.get("tag", ""))


def _redirect_to_import(upload: Upload) -> ResponseReturnValue:
    return redirect(url_for("contact_imports.show", upload_id=upload.id), 303)

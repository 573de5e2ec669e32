"""Pages of contacts for agents: the list, editing, opt-out and opt-in."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.contacts import queries, service
from chatbot.contacts.details import parse_evidence, update_contact
from chatbot.contacts.forms import ContactForm
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput

bp = Blueprint("contacts", __name__, url_prefix="/contacts")


@bp.get("/")
def index() -> ResponseReturnValue:
    typed, tag = request.args.get("q", "").strip(), request.args.get("tag", "")
    after = request.args.get("after")
    page = queries.list_contacts(typed, tag, after)
    return render_template(
        "contacts/list.html",
        typed=typed,
        tag=tag,
        after=after,
        page=page,
        tags=queries.list_tags_by_contact([contact.id for contact in page.rows]),
        all_tags=queries.list_tags(),
    )


@bp.route("/<int:contact_id>/edit", methods=["GET", "POST"])
def edit(contact_id: int) -> ResponseReturnValue:
    contact = queries.get_contact(contact_id)
    form = ContactForm(data=_get_form_data(contact))
    if not form.validate_on_submit() or not _save(contact, form):
        page = render_template("contacts/edit.html", form=form, contact=contact)
        return page, 422 if form.errors else 200
    flash(_("Saved."), "success")
    return _redirect_to_profile(contact)


def _get_form_data(contact: Contact) -> dict[str, str]:
    tags = queries.list_tags_by_contact([contact.id])[contact.id]
    return {"name": contact.name, "email": contact.email or "", "tags": ", ".join(tags)}


def _save(contact: Contact, form: ContactForm) -> bool:
    """Save the form, or add the error to it and return False."""
    given = {name: form[name].data or "" for name in ("name", "email", "tags")}
    try:
        update_contact(contact, **given)
    except InvalidInput as error:
        db.session.rollback()
        form[error.field or "name"].errors = [_(error.message, **error.values)]
        return False
    db.session.commit()
    return True


@bp.post("/<int:contact_id>/opt-out")
def opt_out(contact_id: int) -> ResponseReturnValue:
    contact = queries.get_contact(contact_id)
    service.opt_out(contact, "agent", current_user.email)
    db.session.commit()
    flash(_("From now on, no campaigns are sent to this contact."), "success")
    return _redirect_to_profile(contact)


@bp.post("/<int:contact_id>/opt-in")
def opt_in(contact_id: int) -> ResponseReturnValue:
    contact = queries.get_contact(contact_id)
    try:
        evidence = parse_evidence(request.form.get("evidence", ""))
    except InvalidInput as error:
        flash(_(error.message, **error.values), "error")
        return _redirect_to_profile(contact)
    service.opt_in(contact, "agent", f"{evidence} ({current_user.email})")
    db.session.commit()
    flash(_("Recorded: campaigns may be sent to this contact."), "success")
    return _redirect_to_profile(contact)


def _redirect_to_profile(contact: Contact) -> ResponseReturnValue:
    return redirect(url_for("profiles.show", contact_id=contact.id), 303)

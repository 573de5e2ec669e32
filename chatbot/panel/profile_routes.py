"""Page of a contact, with data of contacts, billing and conversations."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l

from chatbot.contacts.details import MAX_EVIDENCE
from chatbot.contacts.models import IdentityKind
from chatbot.core import clock
from chatbot.extensions import get_settings
from chatbot.panel.profile import get_profile

bp = Blueprint("profiles", __name__, url_prefix="/contacts")

IDENTITY_LABELS = {
    IdentityKind.PHONE: _l("Phone, with or without the ninth digit"),
    IdentityKind.BSUID: _l("WhatsApp user id"),
    IdentityKind.PARENT_BSUID: _l("WhatsApp user id of the group of companies"),
    IdentityKind.USERNAME: _l("WhatsApp username"),
}
# By `source` of chatbot.contacts.models.ConsentEvent.
CONSENT_SOURCE_LABELS = {
    "agent": _l("by an agent"),
    "bot": _l("in the conversation with the bot"),
    "button": _l("with the button of a message"),
    "cli": _l("on the command line"),
    "import": _l("in an imported list"),
    "meta": _l("in WhatsApp itself"),
    "suppression": _l("earlier, before the contact was erased"),
    "user_preferences": _l("in WhatsApp itself"),  # in older rows
}


@bp.get("/<int:contact_id>")
def show(contact_id: int) -> ResponseReturnValue:
    profile = get_profile(contact_id)
    if profile.id != contact_id:
        return redirect(url_for("profiles.show", contact_id=profile.id))
    return render_template(
        "contacts/profile.html",
        contact=profile,
        now=clock.now(),
        identity_names=IDENTITY_LABELS,
        sources=CONSENT_SOURCE_LABELS,
        max_evidence=MAX_EVIDENCE,
        today=datetime.now(ZoneInfo(get_settings(current_app).timezone)).date(),
    )

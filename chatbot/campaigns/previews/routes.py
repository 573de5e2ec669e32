"""Page that sends a test of a campaign to oneself, and shows the state of the last ones."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.brazil.phone import format_phone
from chatbot.campaigns import service
from chatbot.campaigns.drafting.drafts import get_campaign_template
from chatbot.campaigns.drafting.preflight import preview_sample
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.previews import preview_sends
from chatbot.campaigns.previews.forms import PreviewSendForm
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput

bp = Blueprint("campaign_preview_sends", __name__, url_prefix="/campaigns")


@bp.route("/<int:campaign_id>/test", methods=["GET", "POST"])
def new(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    if campaign.state not in preview_sends.PREVIEWABLE_STATES:
        service.raise_conflict(campaign)
    form = PreviewSendForm()
    if form.validate_on_submit():
        try:
            requester = preview_sends.Requester(str(current_user.name), current_user.id)
            preview_sends.queue_preview_send(campaign_id, requester, **form.values)
            db.session.commit()
        except InvalidInput as error:
            db.session.rollback()
            return _render_page(service.get_campaign(campaign_id), form, error)
        flash(_("The test is on its way."), "success")
        return redirect(url_for("campaign_preview_sends.new", campaign_id=campaign_id), 303)
    if not form.is_submitted():
        form.renew_token()
        form.phone.data = format_phone(preview_sends.get_last_phone(current_user.id))
    return _render_page(campaign, form)


def _render_page(
    campaign: Campaign, form: PreviewSendForm, error: InvalidInput | None = None
) -> ResponseReturnValue:
    """Show an error beside the field it is about, or above the form if there is none."""
    problem = _(error.message, **error.values) if error else None
    if error and problem and error.field in ("phone", "like"):
        form[error.field].errors = [problem]
    example = preview_sends.find_example_contact(campaign)
    page = render_template(
        "campaigns/preview_send.html",
        campaign=campaign,
        form=form,
        problem=None if form.errors else problem,
        example=example,
        shown=preview_sample(get_campaign_template(campaign), campaign.parameters, example),
        sent=preview_sends.list_preview_sends(campaign.id),
    )
    return page, 422 if form.errors or problem else 200


@bp.get("/<int:campaign_id>/test/sent")
def sent(campaign_id: int) -> ResponseReturnValue:
    """Return the part of the page that updates itself: the last tests and their states."""
    campaign = service.get_campaign(campaign_id)
    return render_template(
        "campaigns/_preview_sends.html", sent=preview_sends.list_preview_sends(campaign.id)
    )

"""Sending a test of a campaign to oneself, and what became of it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from chatbot.campaigns import service, trials
from chatbot.campaigns.drafts import template_of
from chatbot.campaigns.forms import TrialForm
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.preflight import sample_text
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.core.phone import format_phone

bp = Blueprint("campaign_trials", __name__, url_prefix="/campaigns")


@bp.route("/<int:campaign_id>/test", methods=["GET", "POST"])
def new(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    if campaign.state not in trials.MAY_BE_TRIED:
        service.raise_conflict(campaign)
    form = TrialForm()
    if form.validate_on_submit():
        try:
            asked_by = trials.AskedBy(str(current_user.name), current_user.id)
            trials.send_trial(campaign_id, asked_by, **form.given)
            db.session.commit()
        except InvalidInput as error:
            db.session.rollback()
            return _page(service.get_campaign(campaign_id), form, error)
        flash(_("The test is on its way."), "success")
        return redirect(url_for("campaign_trials.new", campaign_id=campaign_id), 303)
    if not form.is_submitted():
        form.renew_token()
        form.phone.data = format_phone(trials.remembered_phone(current_user.id))
    return _page(campaign, form)


def _page(
    campaign: Campaign, form: TrialForm, error: InvalidInput | None = None
) -> ResponseReturnValue:
    """A refusal stands beside the field that it is about, or above where no field is."""
    problem = _(error.message, **error.values) if error else None
    if error and problem and error.field in ("phone", "like"):
        form[error.field].errors = [problem]
    example = trials.find_example(campaign)
    page = render_template(
        "campaigns/trial.html",
        campaign=campaign,
        form=form,
        problem=None if form.errors else problem,
        example=example,
        text=sample_text(template_of(campaign), campaign.parameters, example),
        sent=trials.list_trials(campaign.id),
    )
    return page, 422 if form.errors or problem else 200


@bp.get("/<int:campaign_id>/test/sent")
def sent(campaign_id: int) -> ResponseReturnValue:
    """The page's moving part: the last tests, and how far each got."""
    campaign = service.get_campaign(campaign_id)
    return render_template("campaigns/_trials.html", sent=trials.list_trials(campaign.id))

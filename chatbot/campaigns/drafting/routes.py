"""Steps of writing a campaign: message, parameters, audience, check. Each step is saved by itself."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from wtforms.fields.choices import SelectChoice

from chatbot.campaigns import service
from chatbot.campaigns.drafting import drafts, preflight
from chatbot.campaigns.drafting.audience_options import list_audience_options
from chatbot.campaigns.drafting.forms import (
    AudienceForm,
    DescriptionForm,
    ParametersForm,
    get_audience_value,
)
from chatbot.campaigns.labels import (
    CATEGORY_LABELS,
    audience_label,
    skip_reason_label,
    source_label,
)
from chatbot.campaigns.models import Campaign, CampaignState
from chatbot.campaigns.scheduling import parse_local_time, schedule_campaign
from chatbot.campaigns.sending.side_effects import MARKETING
from chatbot.channels.models import Channel
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.core.errors import AppError, InvalidInput, NotFound
from chatbot.extensions import get_settings
from chatbot.message_templates.components import list_parameters, render_preview
from chatbot.message_templates.service import list_usable_templates
from chatbot.message_templates.values import get_parameter_label

bp = Blueprint("campaign_drafts", __name__, url_prefix="/campaigns")


@bp.route("/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    form = _build_description_form(_find_channel())
    if form.validate_on_submit():
        try:
            campaign = drafts.create_draft(
                get_default_channel(), **_get_description(form), by=_get_user_name()
            )
            db.session.commit()
            return _redirect_to_step("parameters", campaign)
        except (InvalidInput, NotFound) as error:
            _add_field_error(form, error)
    return _render_description_page(form, None)


@bp.route("/<int:campaign_id>/edit", methods=["GET", "POST"])
def edit(campaign_id: int) -> ResponseReturnValue:
    campaign = _get_draft(campaign_id)
    form = _build_description_form(db.session.get_one(Channel, campaign.channel_id), campaign)
    if form.validate_on_submit():
        try:
            drafts.update_description(campaign_id, **_get_description(form))
            db.session.commit()
            return _redirect_to_step("parameters", campaign)
        except (InvalidInput, NotFound) as error:
            _add_field_error(form, error)
    return _render_description_page(form, campaign)


def _find_channel() -> Channel | None:
    """Return the channel. A GET must not write, so it does not create the channel's row."""
    return db.session.query(Channel).first() if request.method == "GET" else get_default_channel()


def _build_description_form(
    channel: Channel | None, campaign: Campaign | None = None
) -> DescriptionForm:
    form = DescriptionForm(obj=campaign)
    templates = list_usable_templates(channel.id) if channel else []
    form.template_id.choices = [SelectChoice(template.id, template.name) for template in templates]
    form.templates = {template.id: template for template in templates}
    return form


def _get_description(form: DescriptionForm) -> dict[str, Any]:
    return {name: form[name].data for name in ("name", "template_id", "on_doubt")}


def _add_field_error(form: DescriptionForm, error: AppError) -> None:
    db.session.rollback()
    field = "template_id" if error.field == "template" else error.field or "name"
    form[field].errors = [_(error.message, **error.values)]


def _render_description_page(
    form: DescriptionForm, campaign: Campaign | None
) -> ResponseReturnValue:
    previews = {
        template_id: render_preview(template.components, {})
        for template_id, template in form.templates.items()
    }
    page = render_template(
        "campaigns/describe.html",
        form=form,
        campaign=campaign,
        previews=previews,
        categories=CATEGORY_LABELS,
    )
    return page, 422 if form.errors else 200


@bp.route("/<int:campaign_id>/parameters", methods=["GET", "POST"])
def parameters(campaign_id: int) -> ResponseReturnValue:
    campaign = _get_draft(campaign_id)
    template = drafts.get_campaign_template(campaign)
    if not list_parameters(template.components):
        return _redirect_to_step("audience", campaign)
    form = ParametersForm(template.components, preflight.list_attribute_names())
    if request.method == "POST":
        form.validate()
        form.load_saved(campaign.parameters)
        if form.validate_sources(request.form):
            drafts.set_parameters(campaign_id, form.values)
            db.session.commit()
            return _redirect_to_step("audience", campaign)
    else:
        form.load_saved(campaign.parameters)
    page = render_template(
        "campaigns/parameters.html",
        form=form,
        campaign=campaign,
        shown=render_preview(template.components, {}),
        label_of=get_parameter_label,
    )
    return page, 422 if form.problems else 200


@bp.route("/<int:campaign_id>/audience", methods=["GET", "POST"])
def audience(campaign_id: int) -> ResponseReturnValue:
    campaign = _get_draft(campaign_id)
    form = AudienceForm(
        data={
            "audience": get_audience_value(campaign.audience),
            "consent_basis": campaign.consent_basis,
        }
    )
    by_value = {choice.value: choice for choice in list_audience_options(campaign)}
    form.audience.choices = [SelectChoice(value, value) for value in by_value]
    if form.validate_on_submit():
        basis = str(form.consent_basis.data)
        drafts.set_audience(campaign_id, form.spec, basis, _get_user_name())
        db.session.commit()
        return _redirect_to_step("check", campaign)
    page = render_template(
        "campaigns/audience.html",
        form=form,
        campaign=campaign,
        choices=by_value,
        is_marketing=drafts.get_campaign_template(campaign).category == MARKETING,
        skip_reason_label=skip_reason_label,
    )
    return page, 422 if form.errors else 200


@bp.get("/<int:campaign_id>/check")
def check(campaign_id: int) -> ResponseReturnValue:
    return _render_check_page(_get_draft(campaign_id))


def _render_check_page(campaign: Campaign, problem: AppError | None = None) -> str:
    report = preflight.run_preflight(campaign)
    problem = problem or report.problem
    return render_template(
        "campaigns/check.html",
        campaign=campaign,
        template=drafts.get_campaign_template(campaign),
        report=report,
        problem=_(problem.message, **problem.values) if problem else None,
        may_start=problem is None or problem.field == "at",
        at=request.form.get("at", ""),
        zone=get_settings(current_app).timezone,
        skip_reason_label=skip_reason_label,
        source_label=source_label,
        audience_label=audience_label,
    )


@bp.post("/<int:campaign_id>/start")
def start(campaign_id: int) -> ResponseReturnValue:
    """Start. A refusal shows the check again; if somebody else started it, the answer is 409."""
    try:
        campaign = service.start_campaign(campaign_id, _get_user_name())
        db.session.commit()
    except InvalidInput as error:
        db.session.rollback()
        if service.get_campaign(campaign_id).state != CampaignState.DRAFT:
            raise  # a scheduled campaign has no check page
        return _render_check_page(_get_draft(campaign_id), error), error.status
    flash(_("The campaign is running."), "success")
    return redirect(url_for("campaigns.show", campaign_id=campaign.id), 303)


@bp.post("/<int:campaign_id>/schedule")
def schedule(campaign_id: int) -> ResponseReturnValue:
    """Schedule. A refusal shows the check again, with the time as it was typed."""
    try:
        campaign = schedule_campaign(
            campaign_id, parse_local_time(request.form.get("at", "")), _get_user_name()
        )
        db.session.commit()
    except InvalidInput as error:
        db.session.rollback()
        return _render_check_page(_get_draft(campaign_id), error), error.status
    flash(_("The campaign is scheduled."), "success")
    return redirect(url_for("campaigns.show", campaign_id=campaign.id), 303)


@bp.post("/<int:campaign_id>/delete")
def delete(campaign_id: int) -> ResponseReturnValue:
    drafts.delete_draft(campaign_id)
    db.session.commit()
    flash(_("The draft has been deleted."))
    return redirect(url_for("campaigns.index"), 303)


def _get_draft(campaign_id: int) -> Campaign:
    """Return the draft, unlocked. Raises Conflict if the campaign is no longer a draft."""
    campaign = service.get_campaign(campaign_id)
    if campaign.state != CampaignState.DRAFT:
        service.raise_conflict(campaign)
    return campaign


def _get_user_name() -> str:
    return str(current_user.name)


def _redirect_to_step(step: str, campaign: Campaign) -> ResponseReturnValue:
    return redirect(url_for(f"campaign_drafts.{step}", campaign_id=campaign.id), 303)

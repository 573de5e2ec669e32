"""Pages of started campaigns: the list, one campaign with its actions, and its recipients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from flask import (
    Blueprint,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import format_datetime, format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from chatbot.brazil.phone import format_phone
from chatbot.campaigns import queries, service
from chatbot.campaigns.drafting.drafts import get_campaign_template
from chatbot.campaigns.labels import audience_label, cause_label, source_label
from chatbot.campaigns.models import Campaign, CampaignState
from chatbot.campaigns.queries import CampaignSummary
from chatbot.campaigns.scheduling import unschedule_campaign
from chatbot.campaigns.sending.resend import resend_unknown, retry_failed
from chatbot.campaigns.sending.sending_hours import get_sending_hours
from chatbot.core import clock
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.delivery.labels import STATE_LABELS
from chatbot.delivery.models import MessageState
from chatbot.extensions import cache, get_settings
from chatbot.message_templates.components import render_preview
from chatbot.web.downloads import csv_response

bp = Blueprint("campaigns", __name__, url_prefix="/campaigns")
# Counting a large campaign is expensive: do it every two seconds however many people watch.
CAMPAIGN_SUMMARY: CacheSpec[CampaignSummary] = CacheSpec(
    "campaign", CampaignSummary, fresh_s=2, stale_s=2
)


@bp.get("/")
def index() -> ResponseReturnValue:
    after = request.args.get("after")
    page = queries.get_campaigns_page(after)
    counts = queries.count_by_state_for_many([campaign.id for campaign in page.rows])
    measured = {
        campaign_id: queries.compute_progress(found) for campaign_id, found in counts.items()
    }
    return render_template("campaigns/list.html", page=page, after=after, measured=measured)


@bp.get("/<int:campaign_id>")
def show(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    if campaign.state == CampaignState.DRAFT:
        return redirect(url_for("campaign_drafts.check", campaign_id=campaign.id))
    template = get_campaign_template(campaign)
    summary = queries.get_summary(campaign.id)
    return render_template(
        "campaigns/show.html",
        campaign=campaign,
        template=template,
        shown=render_preview(template.components, {}),
        progress=summary.progress,
        unknown=summary.progress.figures["unknown"],
        resumes_at=_get_resumes_at(campaign),
        causes=summary.causes,
        retryable=summary.retryable,
        answered=summary.answered,
        cause_label=cause_label,
        source_label=source_label,
        audience_label=audience_label,
    )


def _get_resumes_at(campaign: Campaign) -> datetime | None:
    """Return when sending resumes if a running campaign is outside the sending hours, else None."""
    now = clock.now()
    opens_at = get_sending_hours(get_settings(current_app)).opens_at(now)
    is_resting = campaign.state == CampaignState.RUNNING and opens_at != now
    return opens_at if is_resting else None


@bp.get("/<int:campaign_id>/progress")
def progress(campaign_id: int) -> ResponseReturnValue:
    """Return the figures, raw and formatted, for the parts of the page that update themselves."""
    # Before any other query: a value computed inside a transaction is not cached.
    summary = cache.get_or_compute(
        CacheEntry(CAMPAIGN_SUMMARY, campaign_id, partial(_load_summary, campaign_id))
    )
    campaign = service.get_campaign(campaign_id)
    measured = summary.progress
    return jsonify(
        state=campaign.state,
        planned=measured.planned,
        done=measured.done,
        funnel=measured.funnel,
        figures=measured.figures,
        answered=summary.answered,
        shown=_format_figures(summary),
        causes=render_template(
            "campaigns/_causes.html",
            causes=summary.causes,
            retryable=summary.retryable,
            campaign=campaign,
            cause_label=cause_label,
            unknown=measured.figures["unknown"],
        ),
    )


def _load_summary(campaign_id: int) -> CampaignSummary:
    service.get_campaign(campaign_id)  # NotFound: cache nothing for an unknown id
    return queries.get_summary(campaign_id)


def _format_figures(summary: CampaignSummary) -> dict[str, Any]:
    """Format the figures for the user's language."""
    measured = summary.progress
    numbers = {"planned": measured.planned, "done": measured.done, "answered": summary.answered}
    numbers |= measured.figures
    return {
        **{name: format_decimal(number) for name, number in numbers.items()},
        "funnel": {name: format_decimal(number) for name, number in measured.funnel.items()},
    }


ACTIONS: dict[str, tuple[Callable[[int, str], Campaign], Any]] = {
    "pause": (
        service.pause_campaign,
        _l("The campaign is paused; messages already on their way are delivered."),
    ),
    "resume": (service.resume_campaign, _l("The campaign has resumed.")),
    "unschedule": (unschedule_campaign, _l("The campaign is a draft again.")),
    "cancel": (service.cancel_campaign, _l("The campaign is cancelled: nobody else receives it.")),
}


@bp.post("/<int:campaign_id>/pause", defaults={"move": "pause"})
@bp.post("/<int:campaign_id>/resume", defaults={"move": "resume"})
@bp.post("/<int:campaign_id>/unschedule", defaults={"move": "unschedule"})
@bp.post("/<int:campaign_id>/cancel", defaults={"move": "cancel"})
def move(campaign_id: int, move: str) -> ResponseReturnValue:
    act, sentence = ACTIONS[move]
    act(campaign_id, str(current_user.name))
    db.session.commit()
    flash(str(sentence), "success")
    return redirect(url_for("campaigns.show", campaign_id=campaign_id), 303)


@bp.post("/<int:campaign_id>/retry-failed", defaults={"what": "failed"})
@bp.post("/<int:campaign_id>/resend-unknown", defaults={"what": "unknown"})
def resend(campaign_id: int, what: str) -> ResponseReturnValue:
    act = retry_failed if what == "failed" else resend_unknown
    count = act(campaign_id, str(current_user.name))
    db.session.commit()
    flash(
        ngettext(
            "%(num)s message will be sent again.", "%(num)s messages will be sent again.", count
        )
    )
    return redirect(url_for("campaigns.show", campaign_id=campaign_id), 303)


@bp.get("/<int:campaign_id>/recipients")
def recipients(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    state, after = _parse_state_filter(), request.args.get("after")
    return render_template(
        "campaigns/recipients.html",
        campaign=campaign,
        state=state,
        states=queries.FIGURE_BY_STATE,
        counts=queries.count_by_state(campaign.id),
        after=after,
        page=queries.get_recipients_page(campaign.id, state, after),
        cause_label=cause_label,
        State=MessageState,
    )


@bp.get("/<int:campaign_id>/recipients.csv")
def export(campaign_id: int) -> ResponseReturnValue:
    service.get_campaign(campaign_id)
    header = (
        _("Phone"), _("Name"), _("State"), _("Cause"), _("Error code"),
        _("Sent"), _("Delivered"), _("Read"),
    )  # fmt: skip
    rows = (
        _build_export_row(*row)
        for row in queries.iter_recipients(campaign_id, _parse_state_filter())
    )
    return csv_response(header, rows, f"campaign-{campaign_id}.csv")


def _parse_state_filter() -> str:
    state = request.args.get("state", "")
    return state if state in set(MessageState) else ""


def _build_export_row(recipient: Any, contact: Any) -> tuple[object, ...]:
    has_cause = recipient.state in (MessageState.FAILED, MessageState.SKIPPED)
    cause = (
        recipient.error_code if recipient.state == MessageState.FAILED else recipient.skip_reason
    )
    moments = (recipient.sent_at, recipient.delivered_at, recipient.read_at)
    return (
        format_phone((contact.phone or contact.wa_id or "").lstrip("+")),
        contact.name,
        str(STATE_LABELS[recipient.state]),
        cause_label(recipient.state, cause) if has_cause else "",
        recipient.error_code,
        *(format_datetime(at, "yyyy-MM-dd HH:mm:ss") if at else "" for at in moments),
    )

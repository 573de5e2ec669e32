"""Campaigns for managers: the list, one that runs, its recipients, and stopping it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import format_datetime, format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from chatbot.campaigns import queries, service
from chatbot.campaigns.again import resend_unknown, retry_failed
from chatbot.campaigns.drafts import template_of
from chatbot.campaigns.models import Campaign, CampaignState
from chatbot.campaigns.queries import Standing
from chatbot.campaigns.scheduling import unschedule_campaign
from chatbot.campaigns.sending_hours import sending_hours
from chatbot.campaigns.wording import audience_in_words, cause_of, source_in_words
from chatbot.core import clock
from chatbot.core.cache import Entry, Kind, get_or_compute
from chatbot.core.csv_out import csv_lines
from chatbot.core.db import db
from chatbot.core.phone import format_phone
from chatbot.delivery.states import State
from chatbot.extensions import settings_of
from chatbot.message_templates.texts import render_text

bp = Blueprint("campaigns", __name__, url_prefix="/campaigns")
# However many people watch, a large campaign is counted so often.
STANDING: Kind[Standing] = Kind("campaign", Standing, fresh_s=2, stale_s=2)


@bp.get("/")
def index() -> ResponseReturnValue:
    after = request.args.get("after")
    page = queries.page_of_campaigns(after)
    counts = queries.figures_of_many([campaign.id for campaign in page.rows])
    measured = {campaign_id: queries.measure(found) for campaign_id, found in counts.items()}
    return render_template("campaigns/list.html", page=page, after=after, measured=measured)


@bp.get("/<int:campaign_id>")
def show(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    if campaign.state == CampaignState.DRAFT:
        return redirect(url_for("campaign_drafts.check", campaign_id=campaign.id))
    template = template_of(campaign)
    standing = queries.standing_of(campaign.id)
    return render_template(
        "campaigns/show.html",
        campaign=campaign,
        template=template,
        text=render_text(template.components, {}),
        progress=standing.progress,
        unknown=standing.progress.figures["unknown"],
        rests_until=_rests_until(campaign),
        causes=standing.causes,
        retryable=standing.retryable,
        answered=standing.answered,
        cause_of=cause_of,
        in_words=source_in_words,
        audience_in_words=audience_in_words,
    )


def _rests_until(campaign: Campaign) -> datetime | None:
    """When it goes on, for one that runs outside of the sending hours."""
    now = clock.now()
    opens_at = sending_hours(settings_of(current_app)).opens_at(now)
    is_resting = campaign.state == CampaignState.RUNNING and opens_at != now
    return opens_at if is_resting else None


@bp.get("/<int:campaign_id>/progress")
def progress(campaign_id: int) -> ResponseReturnValue:
    """Numbers, and the same as people write them, for the parts of the page that move."""
    # Before anything is read: what is computed within a transaction is not kept.
    standing = get_or_compute(Entry(STANDING, campaign_id, partial(_find, campaign_id)))
    campaign = service.get_campaign(campaign_id)
    measured = standing.progress
    return jsonify(
        state=campaign.state,
        planned=measured.planned,
        done=measured.done,
        funnel=measured.funnel,
        figures=measured.figures,
        answered=standing.answered,
        shown=_shown(standing),
        causes=render_template(
            "campaigns/_causes.html",
            causes=standing.causes,
            retryable=standing.retryable,
            campaign=campaign,
            cause_of=cause_of,
            unknown=measured.figures["unknown"],
        ),
    )


def _find(campaign_id: int) -> Standing:
    service.get_campaign(campaign_id)  # of none that isn't there anything is kept
    return queries.standing_of(campaign_id)


def _shown(standing: Standing) -> dict[str, Any]:
    """The figures as people write them."""
    measured = standing.progress
    numbers = {"planned": measured.planned, "done": measured.done, "answered": standing.answered}
    numbers |= measured.figures
    return {
        **{name: format_decimal(number) for name, number in numbers.items()},
        "funnel": {name: format_decimal(number) for name, number in measured.funnel.items()},
    }


MOVES: dict[str, tuple[Callable[[int, str], Campaign], Any]] = {
    "pause": (service.pause_campaign, _l("The campaign is paused; what was on its way arrives.")),
    "resume": (service.resume_campaign, _l("The campaign goes on.")),
    "unschedule": (unschedule_campaign, _l("The campaign is a draft again.")),
    "cancel": (service.cancel_campaign, _l("The campaign is cancelled: nobody else gets it.")),
}


@bp.post("/<int:campaign_id>/pause", defaults={"move": "pause"})
@bp.post("/<int:campaign_id>/resume", defaults={"move": "resume"})
@bp.post("/<int:campaign_id>/unschedule", defaults={"move": "unschedule"})
@bp.post("/<int:campaign_id>/cancel", defaults={"move": "cancel"})
def move(campaign_id: int, move: str) -> ResponseReturnValue:
    act, sentence = MOVES[move]
    act(campaign_id, str(current_user.name))
    db.session.commit()
    flash(str(sentence), "success")
    return redirect(url_for("campaigns.show", campaign_id=campaign_id), 303)


@bp.post("/<int:campaign_id>/retry-failed", defaults={"what": "failed"})
@bp.post("/<int:campaign_id>/resend-unknown", defaults={"what": "unknown"})
def send_again(campaign_id: int, what: str) -> ResponseReturnValue:
    act = retry_failed if what == "failed" else resend_unknown
    count = act(campaign_id, str(current_user.name))
    db.session.commit()
    flash(ngettext("%(num)s message is sent again.", "%(num)s messages are sent again.", count))
    return redirect(url_for("campaigns.show", campaign_id=campaign_id), 303)


@bp.get("/<int:campaign_id>/recipients")
def recipients(campaign_id: int) -> ResponseReturnValue:
    campaign = service.get_campaign(campaign_id)
    state, after = _wanted_state(), request.args.get("after")
    return render_template(
        "campaigns/recipients.html",
        campaign=campaign,
        state=state,
        states=queries.FIGURES,
        counts=queries.figures(campaign.id),
        after=after,
        page=queries.page_of_recipients(campaign.id, state, after),
        cause_of=cause_of,
        State=State,
    )


@bp.get("/<int:campaign_id>/recipients.csv")
def export(campaign_id: int) -> ResponseReturnValue:
    service.get_campaign(campaign_id)
    header = (
        _("Phone"), _("Name"), _("State"), _("Cause"), _("Error code"),
        _("Sent"), _("Delivered"), _("Read"),
    )  # fmt: skip
    rows = (_export_row(*row) for row in queries.walk_recipients(campaign_id, _wanted_state()))
    response = Response(stream_with_context(csv_lines(header, rows)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="campaign-{campaign_id}.csv"'
    return response


def _wanted_state() -> str:
    state = request.args.get("state", "")
    return state if state in set(State) else ""


def _export_row(recipient: Any, contact: Any) -> tuple[object, ...]:
    has_cause = recipient.state in (State.FAILED, State.SKIPPED)
    cause = recipient.error_code if recipient.state == State.FAILED else recipient.skip_reason
    moments = (recipient.sent_at, recipient.delivered_at, recipient.read_at)
    return (
        format_phone((contact.phone or contact.wa_id or "").lstrip("+")).removeprefix("+"),
        contact.name,
        recipient.state,
        cause_of(recipient.state, cause) if has_cause else "",
        recipient.error_code,
        *(format_datetime(at, "yyyy-MM-dd HH:mm:ss") if at else "" for at in moments),
    )

"""Campaign life cycle: create, check, start, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import sqlalchemy as sa

from chatbot.campaigns.audience import (
    count_audience,
    count_suppressed,
    find_missing_value,
    freeze_audience,
)
from chatbot.campaigns.consent import set_consent_basis
from chatbot.campaigns.models import (
    TRANSITIONS,
    Campaign,
    CampaignState,
    ConsentBasis,
    OnDoubt,
    Recipient,
)
from chatbot.campaigns.parameters import CONTACT_COLUMNS, check_parameters
from chatbot.campaigns.suppression import NO_CONSENT
from chatbot.channels.models import Channel
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import Conflict, InvalidInput, NotFound
from chatbot.core.i18n import N_
from chatbot.core.live_events import LiveEventKind, publish
from chatbot.core.tasks import enqueue
from chatbot.core.text import clean_text
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_fillable, check_usable, get_template

MAX_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDraft:
    """Input for a new campaign."""

    name: str
    template: str
    language: str
    audience: Mapping[str, Any]
    parameters: Mapping[str, str]
    on_doubt: str = OnDoubt.SHOW
    created_by: str = ""
    consent_basis: str = ConsentBasis.OPT_IN
    consent_basis_by: str = ""


def create_campaign(channel: Channel, draft: CampaignDraft) -> Campaign:
    """Create a draft. Raises InvalidInput or NotFound, naming the field."""
    name = check_description(draft.name, draft.on_doubt)
    template = get_template(channel, draft.template, draft.language)
    check_fillable(template)
    check_parameters(template.components, draft.parameters)
    campaign = Campaign(
        name=name,
        channel_id=channel.id,
        template_id=template.id,
        parameters=dict(draft.parameters),
        audience=dict(draft.audience),
        on_doubt=draft.on_doubt,
        created_by=draft.created_by,
        consent_basis=ConsentBasis.OPT_IN,
    )
    set_consent_basis(campaign, draft.consent_basis, draft.consent_basis_by)
    db.session.add(campaign)
    db.session.flush()
    return campaign


def check_description(name: str, on_doubt: str) -> str:
    """Return the name of a campaign as it is stored. Raises InvalidInput, naming the field."""
    name = clean_text(name)
    if not name:
        raise InvalidInput("The campaign needs a name.", field="name")
    if len(name) > MAX_NAME:
        raise InvalidInput(
            "The name of a campaign has at most %(most)s characters.", field="name", most=MAX_NAME
        )
    if on_doubt not in set(OnDoubt):
        raise InvalidInput("When in doubt, choose show or resend.", field="on_doubt")
    return name


def get_campaign(campaign_id: int, *, lock: bool = False) -> Campaign:
    query = sa.select(Campaign).where(Campaign.id == campaign_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = db.session.scalar(query)
    if found is None:
        raise NotFound("There is no campaign %(id)s.", field="id", id=campaign_id)
    return found


def check_campaign(campaign: Campaign) -> None:
    """Check that a campaign can be sent. Raises InvalidInput, naming the field.

    The audience is only checked until it is frozen: contacts added later are ignored.
    """
    _check_template(campaign)
    if campaign.started_at is None:
        _check_audience(campaign)


def _check_template(campaign: Campaign) -> None:
    template = db.session.get_one(MessageTemplate, campaign.template_id)
    check_usable(template)
    check_parameters(template.components, campaign.parameters)


def _check_audience(campaign: Campaign) -> None:
    connection = db.session.connection()
    if count_audience(connection, campaign.audience) == 0:
        raise InvalidInput(
            "The audience is empty: import contacts, or choose another tag.", field="audience"
        )
    _check_consent(connection, campaign)
    missing = find_missing_value(connection, campaign)
    if missing is not None:
        name, count = missing
        raise InvalidInput(
            "%(count)s contact(s) of the audience have no %(name)s, which a parameter needs: "
            "fill it in, narrow the audience, or use a fixed text instead.",
            field="param",
            count=count,
            name=name if name in CONTACT_COLUMNS else f"attribute {name}",
        )


def _check_consent(connection: sa.Connection, campaign: Campaign) -> None:
    suppressed = count_suppressed(connection, campaign)
    without = suppressed.get(NO_CONSENT, 0)
    reached = count_audience(connection, campaign.audience) - sum(suppressed.values())
    if without and not reached:
        raise InvalidInput(
            "Nobody in the audience may receive this marketing message: %(count)s without "
            "recorded consent. Record opt-ins (a column opt_in of an import, or the contact's "
            "page), or choose to write to existing customers too.",
            field="audience",
            count=without,
        )


def start_campaign(campaign_id: int, by: str) -> Campaign:
    """Check, freeze the audience and run.

    Raises:
        Conflict: the campaign's state does not allow it, e.g. somebody else started it.
        InvalidInput: a check failed.
    """
    campaign = get_campaign(campaign_id, lock=True)
    _check_transition(campaign, CampaignState.RUNNING)
    check_campaign(campaign)
    # After the checks: a refused start must leave no change that a later commit would write.
    change_state(campaign, CampaignState.RUNNING, by)
    if campaign.started_at is None:
        db.session.flush()
        freeze_audience(db.session.connection(), campaign)
        campaign.started_at = clock.now()
        campaign.started_by = by
    campaign.paused_reason = None
    enqueue("campaigns.send", campaign.channel_id)
    return campaign


def pause_campaign(campaign_id: int, by: str = "") -> Campaign:
    """Pause a campaign. Raises Conflict unless it is running."""
    campaign = get_campaign(campaign_id, lock=True)
    change_state(campaign, CampaignState.PAUSED, by)
    campaign.paused_reason = None
    return campaign


def resume_campaign(campaign_id: int, by: str) -> Campaign:
    """Resume a campaign and its channel. Raises Conflict unless it is paused, or InvalidInput."""
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state != CampaignState.PAUSED:
        raise_conflict(campaign)
    channel = db.session.get_one(Channel, campaign.channel_id)
    channel.halted_reason = None
    return start_campaign(campaign_id, by)


def cancel_campaign(campaign_id: int, by: str = "") -> Campaign:
    """Cancel a campaign and skip its queued recipients. Messages in flight still arrive."""
    campaign = get_campaign(campaign_id, lock=True)
    change_state(campaign, CampaignState.CANCELLED, by)
    db.session.execute(
        sa.update(Recipient)
        .where(Recipient.campaign_id == campaign_id, Recipient.state == MessageState.QUEUED)
        .values(state=MessageState.SKIPPED, skip_reason="cancelled")
        .execution_options(synchronize_session=False)
    )
    campaign.finished_at = clock.now()
    return campaign


def _check_transition(campaign: Campaign, to: CampaignState) -> None:
    if to not in TRANSITIONS[CampaignState(campaign.state)]:
        raise_conflict(campaign)


def change_state(campaign: Campaign, to: CampaignState, by: str) -> None:
    """Change the state and publish it. Raises Conflict if TRANSITIONS does not allow it."""
    _check_transition(campaign, to)
    campaign.state = to
    campaign.state_changed_by = by
    campaign.state_changed_at = clock.now()
    publish(LiveEventKind.CAMPAIGN, campaign.id)


# Messages for a user whose action came too late, by the campaign's present state.
CONFLICT_MESSAGES = {
    CampaignState.DRAFT: N_("This campaign has not been started yet."),
    CampaignState.SCHEDULED: N_("%(who)s has already scheduled this campaign."),
    CampaignState.RUNNING: N_("%(who)s has already started this campaign."),
    CampaignState.PAUSED: N_("%(who)s has already paused this campaign."),
    CampaignState.FINISHED: N_("This campaign has already finished."),
    CampaignState.CANCELLED: N_("%(who)s has already cancelled this campaign."),
}


def raise_conflict(campaign: Campaign) -> NoReturn:
    """Raise Conflict with the campaign's present state and who set it."""
    state = CampaignState(campaign.state)
    if state is CampaignState.PAUSED and campaign.paused_reason:
        raise Conflict("This campaign has paused itself: %(reason)s", reason=campaign.paused_reason)
    raise Conflict(
        CONFLICT_MESSAGES[state], who=campaign.state_changed_by or campaign.started_by or "?"
    )

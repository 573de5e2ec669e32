"""The life of a campaign: created, checked, started, paused, resumed, cancelled, finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import sqlalchemy as sa

from chatbot.campaigns.audience import count_audience, find_missing_value, freeze_audience
from chatbot.campaigns.models import TRANSITIONS, Campaign, CampaignState, OnDoubt, Recipient
from chatbot.campaigns.parameters import CONTACT_COLUMNS, check_parameters
from chatbot.channels.models import Channel
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import Conflict, InvalidInput, NotFound
from chatbot.core.i18n import N_
from chatbot.core.live_events import LiveEventKind, publish
from chatbot.core.tasks import enqueue
from chatbot.delivery.states import MessageState
from chatbot.message_templates.components import list_optional_parameters, list_parameters
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_usable, get_template


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDraft:
    """What a person says of a new campaign."""

    name: str
    template: str
    language: str
    audience: Mapping[str, Any]
    parameters: Mapping[str, str]
    on_doubt: str = OnDoubt.SHOW
    created_by: str = ""


def create_campaign(channel: Channel, draft: CampaignDraft) -> Campaign:
    """Raises InvalidInput or NotFound, naming the field and the mend."""
    if not draft.name.strip():
        raise InvalidInput("The campaign needs a name.", field="name")
    if draft.on_doubt not in set(OnDoubt):
        raise InvalidInput("In doubt, choose show or resend.", field="on_doubt")
    template = get_template(channel, draft.template, draft.language)
    components = template.components
    check_parameters(
        list_parameters(components), draft.parameters, list_optional_parameters(components)
    )
    campaign = Campaign(
        name=draft.name.strip()[:200],
        channel_id=channel.id,
        template_id=template.id,
        parameters=dict(draft.parameters),
        audience=dict(draft.audience),
        on_doubt=draft.on_doubt,
        created_by=draft.created_by,
    )
    db.session.add(campaign)
    db.session.flush()
    return campaign


def get_campaign(campaign_id: int, *, lock: bool = False) -> Campaign:
    query = sa.select(Campaign).where(Campaign.id == campaign_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = db.session.scalar(query)
    if found is None:
        raise NotFound("There is no campaign %(id)s.", field="id", id=campaign_id)
    return found


def check_campaign(campaign: Campaign) -> None:
    """What must be right before anybody is written to. Raises InvalidInput, naming it.

    The audience is looked at until it is frozen: who has come since is nobody's business here.
    """
    _check_template(campaign)
    if campaign.started_at is None:
        _check_audience(campaign)


def _check_template(campaign: Campaign) -> None:
    template = db.session.get_one(MessageTemplate, campaign.template_id)
    check_usable(template)
    components = template.components
    check_parameters(
        list_parameters(components), campaign.parameters, list_optional_parameters(components)
    )


def _check_audience(campaign: Campaign) -> None:
    connection = db.session.connection()
    if count_audience(connection, campaign.audience) == 0:
        raise InvalidInput(
            "The audience is empty: import contacts, or choose another tag.", field="audience"
        )
    missing = find_missing_value(connection, campaign.audience, campaign.parameters)
    if missing is not None:
        name, count = missing
        raise InvalidInput(
            "%(count)s contact(s) of the audience have no %(name)s, which a parameter needs: "
            "fill it in, narrow the audience, or use a text instead.",
            field="param",
            count=count,
            name=name if name in CONTACT_COLUMNS else f"attribute {name}",
        )


def start_campaign(campaign_id: int, by: str) -> Campaign:
    """Check, freeze the audience and run.

    Raises:
        Conflict: it was started already, with who did.
        InvalidInput: something in it would be refused.
    """
    campaign = get_campaign(campaign_id, lock=True)
    _check_transition(campaign, CampaignState.RUNNING)
    check_campaign(campaign)
    # Only now: a refused start must leave nothing behind that a later commit would write.
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
    """Raises Conflict unless it is running, saying who was faster."""
    campaign = get_campaign(campaign_id, lock=True)
    change_state(campaign, CampaignState.PAUSED, by)
    campaign.paused_reason = None
    return campaign


def resume_campaign(campaign_id: int, by: str) -> Campaign:
    """Raises Conflict unless it is paused; InvalidInput when it could not be sent now."""
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state != CampaignState.PAUSED:
        raise_conflict(campaign)
    channel = db.session.get_one(Channel, campaign.channel_id)
    channel.halted_reason = None
    return start_campaign(campaign_id, by)


def cancel_campaign(campaign_id: int, by: str = "") -> Campaign:
    """What is not on the wire yet is never sent."""
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
    """Raises Conflict, saying who was faster, where the present state does not lead there."""
    _check_transition(campaign, to)
    campaign.state = to
    campaign.state_changed_by = by
    campaign.state_changed_at = clock.now()
    publish(LiveEventKind.CAMPAIGN, campaign.id)


# What somebody who comes too late is told, by the state that the campaign has now.
CONFLICT_MESSAGES = {
    CampaignState.DRAFT: N_("This campaign has not been started yet."),
    CampaignState.SCHEDULED: N_("This campaign is scheduled already, by %(who)s."),
    CampaignState.RUNNING: N_("This campaign was started already, by %(who)s."),
    CampaignState.PAUSED: N_("This campaign was paused already, by %(who)s."),
    CampaignState.FINISHED: N_("This campaign has finished already."),
    CampaignState.CANCELLED: N_("This campaign was cancelled already, by %(who)s."),
}


def raise_conflict(campaign: Campaign) -> NoReturn:
    """Somebody else was faster: says who."""
    state = CampaignState(campaign.state)
    if state is CampaignState.PAUSED and campaign.paused_reason:
        raise Conflict("This campaign has paused itself: %(reason)s", reason=campaign.paused_reason)
    raise Conflict(
        CONFLICT_MESSAGES[state], who=campaign.state_changed_by or campaign.started_by or "?"
    )

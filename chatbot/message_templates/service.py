"""Message templates: synced from Meta, found, and checked before use."""

from __future__ import annotations

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.client import call_graph
from chatbot.channels.whatsapp.payloads.template import UNFILLABLE
from chatbot.channels.whatsapp.payloads.template_parts import list_unfillable_parts
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput, NotFound
from chatbot.extensions import get_settings
from chatbot.message_templates.labels import get_part_label
from chatbot.message_templates.models import MessageTemplate, TemplateStatus
from chatbot.message_templates.payloads import TemplatePayload, parse_page

# Graph returns only the fields that are requested.
FIELDS = "name,language,status,category,parameter_format,components,quality_score,rejected_reason"
PAGE_SIZE = 100
MAX_PAGES = 100


def fetch_templates(channel: Channel) -> list[TemplatePayload]:
    """Fetch all templates of the channel's account; no transaction may be open during the calls.

    Raises:
        GraphError: a call failed.
    """
    settings = get_settings(current_app)
    path = f"{channel.business_account_id}/message_templates"
    found: list[TemplatePayload] = []
    after = None
    for _ in range(MAX_PAGES):
        params = {"fields": FIELDS, "limit": str(PAGE_SIZE), **({"after": after} if after else {})}
        page, after = parse_page(
            call_graph(settings.whatsapp_api_url, settings.whatsapp_token, path, params=params)
        )
        found += page
        if after is None:
            break
    return found


def store_templates(channel: Channel, payloads: list[TemplatePayload]) -> int:
    """Make our rows equal to Meta's, mark missing ones as deleted, and return how many Meta has."""
    present = {
        (row.name, row.language): row
        for row in db.session.scalars(
            sa.select(MessageTemplate).where(MessageTemplate.channel_id == channel.id)
        )
    }
    for payload in payloads:
        row = present.pop((payload.name, payload.language), None)
        if row is None:
            row = MessageTemplate(
                channel_id=channel.id, name=payload.name, language=payload.language
            )
            db.session.add(row)
        row.category = payload.category
        row.status = payload.status.upper()
        row.parameter_format = payload.parameter_format
        row.components = payload.components
        row.quality = payload.quality_score.score[:10] if payload.quality_score else "UNKNOWN"
        row.rejected_reason = _rejection_reason(payload)
        row.synced_at = clock.now()
    for row in present.values():
        row.status = TemplateStatus.DELETED
    # NULL: a webhook reported a change meanwhile, which we may not have fetched.
    db.session.execute(
        sa.update(Channel)
        .where(Channel.id == channel.id, Channel.templates_synced_at.is_not(None))
        .values(templates_synced_at=clock.now())
    )
    return len(payloads)


def _rejection_reason(payload: TemplatePayload) -> str | None:
    """Return the reason, or None where Meta sends NONE."""
    reason = payload.rejected_reason
    return reason[:60] if reason and reason.upper() != "NONE" else None


def list_templates(channel: Channel) -> list[MessageTemplate]:
    """Return all templates, the deleted ones last."""
    query = sa.select(MessageTemplate).where(MessageTemplate.channel_id == channel.id)
    is_gone = MessageTemplate.status == TemplateStatus.DELETED
    return list(
        db.session.scalars(query.order_by(is_gone, MessageTemplate.name, MessageTemplate.language))
    )


def list_usable_templates(channel_id: int) -> list[MessageTemplate]:
    """Return the approved templates, the only ones Meta sends."""
    query = sa.select(MessageTemplate).where(
        MessageTemplate.channel_id == channel_id,
        MessageTemplate.status == TemplateStatus.APPROVED,
    )
    return list(db.session.scalars(query.order_by(MessageTemplate.name, MessageTemplate.language)))


def get_template_by_id(template_id: int) -> MessageTemplate:
    """Return a template by its id. Raise NotFound."""
    found = db.session.get(MessageTemplate, template_id)
    if found is None:
        raise NotFound("This template no longer exists.")
    return found


def get_template(channel: Channel, name: str, language: str) -> MessageTemplate:
    """Return a template. Raise NotFound, naming the languages that exist."""
    rows = db.session.scalars(
        sa.select(MessageTemplate).where(
            MessageTemplate.channel_id == channel.id, MessageTemplate.name == name
        )
    ).all()
    for row in rows:
        if row.language.replace("-", "_") == language.replace("-", "_"):
            return row
    if rows:
        raise NotFound(
            "The template %(name)s exists in %(languages)s, not in %(language)s.",
            field="language",
            name=name,
            languages=", ".join(row.language for row in rows),
            language=language,
        )
    raise NotFound(
        "There is no template %(name)s; sync the templates, or check the name.",
        field="template",
        name=name,
    )


def check_fillable(template: MessageTemplate) -> None:
    """Raise InvalidInput, naming the parts, if the template has some that we can't fill."""
    if problem := find_unfillable_problem(template):
        raise problem


def find_unfillable_problem(template: MessageTemplate) -> InvalidInput | None:
    if parts := list_unfillable_parts(template.components):
        names = ", ".join(map(get_part_label, parts))
        return InvalidInput(UNFILLABLE, field="template", name=template.name, parts=names)
    return None


def check_usable(template: MessageTemplate) -> None:
    """Raise InvalidInput unless the template is approved and we can fill all its parts."""
    check_fillable(template)
    if template.status != TemplateStatus.APPROVED:
        raise InvalidInput(
            "The template %(name)s is %(status)s at Meta; only an approved one can be sent.",
            field="template",
            name=template.name,
            status=template.status,
        )

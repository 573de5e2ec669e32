"""Changes of a template: creation, review, edit, quality, deletion. Each sends its webhook."""

from collections.abc import Mapping

import msgspec

from chatbot.simulator.control.schemas import TemplateChange
from chatbot.simulator.errors import GraphError
from chatbot.simulator.identifiers import hash_fraction
from chatbot.simulator.message_templates.store import (
    MessageTemplate,
    ParameterFormat,
    QualityScore,
    TemplateCategory,
    TemplateStatus,
    derive_id,
    find_placeholders,
)
from chatbot.simulator.simulator import Simulator

CONTENT_EXISTS_SUBCODE = 2388024  # this name already has a template in this language


def apply_change(simulator: Simulator, change: TemplateChange) -> MessageTemplate:
    """Create or change a template for the control API; raise ValueError for a missing field."""
    before = simulator.templates.find(change.name, change.language)
    if before is None:
        template = _new_template(change)
        simulator.templates.put(template)
        return template
    return replace_template(
        simulator, before, _with_changes(simulator, before, change), change.reason
    )


def create_template(simulator: Simulator, change: TemplateChange) -> MessageTemplate:
    """Create a template that is PENDING until its review ends."""
    if simulator.templates.find(change.name, change.language):
        text = f"Content in this language already exists: {change.name} ({change.language})."
        raise GraphError(100, text, subcode=CONTENT_EXISTS_SUBCODE)
    template = _new_template(change)
    template.status = TemplateStatus.PENDING
    simulator.templates.put(template)
    simulator.scheduler.schedule(
        lambda: _finish_review(simulator, template.id), simulator.settings.review_s
    )
    return template


def edit_template(
    simulator: Simulator, before: MessageTemplate, change: TemplateChange
) -> MessageTemplate:
    """Replace the components and start a new review.

    Raise GraphError for another category of an approved template, which Meta does not allow.
    """
    if change.category and before.status is TemplateStatus.APPROVED:
        raise GraphError(100, "The category of an approved template cannot be edited.")
    change.status = TemplateStatus.PENDING
    after = replace_template(simulator, before, _with_changes(simulator, before, change), "")
    simulator.scheduler.schedule(
        lambda: _finish_review(simulator, after.id), simulator.settings.review_s
    )
    return after


def replace_template(
    simulator: Simulator, before: MessageTemplate, after: MessageTemplate, reason: str
) -> MessageTemplate:
    """Store the changed template and send a webhook for each difference."""
    simulator.templates.put(after)
    if before.status is not after.status:
        _publish(
            simulator,
            "message_template_status_update",
            after,
            _render_status(after, reason, simulator.clock.now()),
        )
    if before.category is not after.category:
        categories = {"previous_category": before.category, "new_category": after.category}
        _publish(simulator, "template_category_update", after, categories)
    if before.quality_score != after.quality_score and after.quality_score:
        previous = before.quality_score.score if before.quality_score else "UNKNOWN"
        scores = {
            "previous_quality_score": previous,
            "new_quality_score": after.quality_score.score,
        }
        _publish(simulator, "message_template_quality_update", after, scores)
    if before.components != after.components:
        _publish(simulator, "message_template_components_update", after, _render_texts(after))
    return after


def publish_deletion(simulator: Simulator, template: MessageTemplate) -> None:
    content: dict[str, object] = {"event": "DELETED", "reason": "NONE"}
    _publish(simulator, "message_template_status_update", template, content)


def _finish_review(simulator: Simulator, template_id: str) -> None:
    """End the review of a template; seed and id decide, so that runs are repeatable."""
    before = simulator.templates.find_by_id(template_id)
    if before is None or before.status is not TemplateStatus.PENDING:
        return
    settings = simulator.settings
    rejected = hash_fraction(f"{settings.seed}:review:{template_id}") < settings.review_rejected
    status = TemplateStatus.REJECTED if rejected else TemplateStatus.APPROVED
    reason = _rejection_reason(status, "")
    after = msgspec.structs.replace(before, status=status, rejected_reason=reason)
    replace_template(simulator, before, after, reason)


def _publish(
    simulator: Simulator, field: str, template: MessageTemplate, content: Mapping[str, object]
) -> None:
    value: dict[str, object] = {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
        **content,
    }
    now = simulator.clock.now()
    simulator.webhook_sender.submit(simulator.payloads.render_field(field, value, now))


def _render_status(template: MessageTemplate, reason: str, at: float) -> dict[str, object]:
    value: dict[str, object] = {
        "event": template.status,
        "message_template_category": template.category,
        "reason": reason or "NONE",
    }
    if template.status is TemplateStatus.PAUSED:
        value["other_info"] = {"title": "FIRST_PAUSE", "description": "Low quality."}
    if template.status is TemplateStatus.DISABLED:
        value["disable_info"] = {"disable_date": int(at)}
    if template.status is TemplateStatus.REJECTED:
        advice = {"reason": reason or "INVALID_FORMAT", "recommendation": "Edit and send again."}
        value["rejection_info"] = advice
    return value


def _render_texts(template: MessageTemplate) -> dict[str, object]:
    body, header, footer = (template.component(kind) for kind in ("BODY", "HEADER", "FOOTER"))
    buttons = template.component("BUTTONS")
    return {
        "message_template_element": body.text if body else "",
        "message_template_title": header.text if header else "",
        "message_template_footer": footer.text if footer else "",
        "message_template_buttons": [
            {"message_template_button_type": item.type, "message_template_button_text": item.text}
            for item in (buttons.buttons if buttons else [])
        ],
    }


def _with_changes(
    simulator: Simulator, before: MessageTemplate, change: TemplateChange
) -> MessageTemplate:
    given: dict[str, object] = {
        "status": change.status,
        "category": change.category,
        "parameter_format": change.parameter_format,
        "components": change.components,
    }
    if change.status:
        given["rejected_reason"] = _rejection_reason(change.status, change.reason)
    if change.category and change.category is not before.category:
        given["previous_category"] = before.category
    if change.quality:
        given["quality_score"] = QualityScore(change.quality, int(simulator.clock.now()))
    present = {field: value for field, value in given.items() if value is not None}
    return msgspec.structs.replace(before, **present)


def _new_template(change: TemplateChange) -> MessageTemplate:
    if not change.components:
        raise ValueError("`components` is required for a new template")
    status = change.status or TemplateStatus.APPROVED
    texts = " ".join(part.text for part in change.components)
    named = not all(placeholder.isdigit() for placeholder in find_placeholders(texts))
    guessed = ParameterFormat.NAMED if named else ParameterFormat.POSITIONAL
    return MessageTemplate(
        id=derive_id(change.name, change.language),
        name=change.name,
        language=change.language,
        status=status,
        category=change.category or TemplateCategory.UTILITY,
        parameter_format=change.parameter_format or guessed,
        components=change.components,
        rejected_reason=_rejection_reason(status, change.reason),
    )


def _rejection_reason(status: TemplateStatus, reason: str) -> str:
    return (reason or "INVALID_FORMAT") if status is TemplateStatus.REJECTED else "NONE"

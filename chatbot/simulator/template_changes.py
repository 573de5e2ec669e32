"""The life of a template: created, reviewed, edited, judged; each step told by webhook (7.5)."""

from collections.abc import Mapping

import msgspec

from chatbot.simulator.control_bodies import TemplateChange
from chatbot.simulator.errors import GraphError
from chatbot.simulator.identity import fraction
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.templates import (
    Category,
    ParameterFormat,
    QualityScore,
    Template,
    TemplateStatus,
    blanks_of,
    make_id,
)

CONTENT_EXISTS = 2388024  # subcode: this name has a template in this language already


def apply_change(simulator: Simulator, change: TemplateChange) -> Template:
    """What the control API asks for; ValueError names a lacking field."""
    before = simulator.templates.find(change.name, change.language)
    if before is None:
        template = _new(change)
        simulator.templates.put(template)
        return template
    return replace_template(simulator, before, _changed(simulator, before, change), change.reason)


def create(simulator: Simulator, change: TemplateChange) -> Template:
    """POST of a new template: pending, until its review ends (section 9)."""
    if simulator.templates.find(change.name, change.language):
        text = f"Content in this language already exists: {change.name} ({change.language})."
        raise GraphError(100, text, subcode=CONTENT_EXISTS)
    template = _new(change)
    template.status = TemplateStatus.PENDING
    simulator.templates.put(template)
    simulator.outbox.add(lambda: _review(simulator, template.id), simulator.settings.review_s)
    return template


def edit(simulator: Simulator, before: Template, change: TemplateChange) -> Template:
    """All components are replaced and looked at again; an approved category stays (section 6)."""
    if change.category and before.status is TemplateStatus.APPROVED:
        raise GraphError(100, "The category of an approved template cannot be edited.")
    change.status = TemplateStatus.PENDING
    after = replace_template(simulator, before, _changed(simulator, before, change), "")
    simulator.outbox.add(lambda: _review(simulator, after.id), simulator.settings.review_s)
    return after


def replace_template(
    simulator: Simulator, before: Template, after: Template, reason: str
) -> Template:
    """Store the template as it is now and tell what differs."""
    simulator.templates.put(after)
    if before.status is not after.status:
        _tell(
            simulator,
            "message_template_status_update",
            after,
            _status_of(after, reason, simulator.clock.now()),
        )
    if before.category is not after.category:
        categories = {"previous_category": before.category, "new_category": after.category}
        _tell(simulator, "template_category_update", after, categories)
    if before.quality_score != after.quality_score and after.quality_score:
        previous = before.quality_score.score if before.quality_score else "UNKNOWN"
        scores = {
            "previous_quality_score": previous,
            "new_quality_score": after.quality_score.score,
        }
        _tell(simulator, "message_template_quality_update", after, scores)
    if before.components != after.components:
        _tell(simulator, "message_template_components_update", after, _texts_of(after))
    return after


def tell_deleted(simulator: Simulator, template: Template) -> None:
    content: dict[str, object] = {"event": "DELETED", "reason": "NONE"}
    _tell(simulator, "message_template_status_update", template, content)


def _review(simulator: Simulator, template_id: str) -> None:
    """The end of a review; seed and id decide, so that a run repeats itself."""
    before = simulator.templates.by_id(template_id)
    if before is None or before.status is not TemplateStatus.PENDING:
        return
    settings = simulator.settings
    rejected = fraction(f"{settings.seed}:review:{template_id}") < settings.review_rejected
    status = TemplateStatus.REJECTED if rejected else TemplateStatus.APPROVED
    reason = _reason(status, "")
    after = msgspec.structs.replace(before, status=status, rejected_reason=reason)
    replace_template(simulator, before, after, reason)


def _tell(
    simulator: Simulator, field: str, template: Template, content: Mapping[str, object]
) -> None:
    value: dict[str, object] = {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
        **content,
    }
    now = simulator.clock.now()
    simulator.delivery.submit(simulator.envelopes.management(field, value, now))


def _status_of(template: Template, reason: str, at: float) -> dict[str, object]:
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


def _texts_of(template: Template) -> dict[str, object]:
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


def _changed(simulator: Simulator, before: Template, change: TemplateChange) -> Template:
    given: dict[str, object] = {
        "status": change.status,
        "category": change.category,
        "parameter_format": change.parameter_format,
        "components": change.components,
    }
    if change.status:
        given["rejected_reason"] = _reason(change.status, change.reason)
    if change.category and change.category is not before.category:
        given["previous_category"] = before.category
    if change.quality:
        given["quality_score"] = QualityScore(change.quality, int(simulator.clock.now()))
    present = {field: value for field, value in given.items() if value is not None}
    return msgspec.structs.replace(before, **present)


def _new(change: TemplateChange) -> Template:
    if not change.components:
        raise ValueError("`components` is required for a new template")
    status = change.status or TemplateStatus.APPROVED
    texts = " ".join(part.text for part in change.components)
    named = not all(blank.isdigit() for blank in blanks_of(texts))
    guessed = ParameterFormat.NAMED if named else ParameterFormat.POSITIONAL
    return Template(
        id=make_id(change.name, change.language),
        name=change.name,
        language=change.language,
        status=status,
        category=change.category or Category.UTILITY,
        parameter_format=change.parameter_format or guessed,
        components=change.components,
        rejected_reason=_reason(status, change.reason),
    )


def _reason(status: TemplateStatus, reason: str) -> str:
    return (reason or "INVALID_FORMAT") if status is TemplateStatus.REJECTED else "NONE"

"""Validation of template parameters, and rendering of a template with them."""

import re

import msgspec

from chatbot.simulator.errors import GraphError, invalid, missing
from chatbot.simulator.message_templates.store import (
    PLACEHOLDER,
    MessageTemplate,
    ParameterFormat,
    find_placeholders,
)
from chatbot.simulator.messages.schema import Parameter, TemplateComponent, TemplateSend

MAX_BODY_LENGTH = 1024  # of the body with its parameters
_FORBIDDEN = re.compile(r"[\n\t]| {5,}")  # reported by providers; Meta does not document it
# Field of the parameter that a button requires, by its type; a URL requires one if it has a placeholder.
_BUTTON_PARAMETERS = {
    "COPY_CODE": "coupon_code",
    "OTP": "text",
    "FLOW": "action",
    "CATALOG": "action",
    "MPM": "action",
    "ORDER_DETAILS": "action",
}
_MAX_BUTTON_VALUES = {"COPY_CODE": 20, "OTP": 15, "URL": 2000}
_SPECIAL_COMPONENTS = frozenset({"CAROUSEL", "LIMITED_TIME_OFFER"})
_MEDIA_HEADERS = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})


class RenderedTemplate(msgspec.Struct):
    """Template as the customer reads it on the phone page."""

    header: str
    text: str
    footer: str
    buttons: list[dict[str, str]]


def check_parameters(template: MessageTemplate, template_send: TemplateSend) -> None:
    """Raise GraphError if the parameters do not match the template."""
    body = template.component("BODY")
    values = _checked_values(template, "body", body.text if body else "", template_send)
    if len(_fill(body.text if body else "", values)) > MAX_BODY_LENGTH:
        raise GraphError(132005, "body: the filled text is longer than 1024 characters.")
    _check_header(template, template_send)
    _check_buttons(template, template_send)
    _check_special_components(template, template_send)


def render_template(template: MessageTemplate, template_send: TemplateSend) -> RenderedTemplate:
    named = template.parameter_format is ParameterFormat.NAMED
    body, header, footer = (template.component(kind) for kind in ("BODY", "HEADER", "FOOTER"))
    buttons = template.component("BUTTONS")

    def values(component: str) -> dict[str, str]:
        return _values_by_placeholder(_get_parameters(template_send, component), named)

    return RenderedTemplate(
        header=_fill(header.text, values("header")) if header else "",
        text=_fill(body.text, values("body")) if body else "",
        footer=footer.text if footer else "",
        buttons=[_render_button(template_send, index, item.type, item.text, item.url)
                 for index, item in enumerate(buttons.buttons)] if buttons else [],
    )  # fmt: skip


def _render_button(
    template_send: TemplateSend, index: int, kind: str, text: str, url: str
) -> dict[str, str]:
    parameter = _button_parameter(template_send, index)
    payload = parameter.payload if parameter and parameter.payload else text
    suffix = parameter.text if parameter and parameter.text else ""
    return {
        "type": kind,
        "text": text,
        "payload": payload,
        "url": PLACEHOLDER.sub(lambda _: suffix, url),
    }


def _get_parameters(template_send: TemplateSend, kind: str) -> list[Parameter]:
    return next(
        (part.parameters for part in template_send.components if part.type.lower() == kind), []
    )


def _values_by_placeholder(parameters: list[Parameter], named: bool) -> dict[str, str]:
    return {
        (item.parameter_name or "" if named else str(index)): item.text or ""
        for index, item in enumerate(parameters, start=1)
    }


def _fill(text: str, values: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda placeholder: values.get(placeholder[1], placeholder[0]), text)


def _checked_values(
    template: MessageTemplate, kind: str, text: str, template_send: TemplateSend
) -> dict[str, str]:
    parameters = _get_parameters(template_send, kind)
    expected = find_placeholders(text)
    if len(parameters) != len(expected):
        raise GraphError(
            132000,
            f"{kind}: number of localizable_params ({len(parameters)}) does not match "
            f"the expected number of params ({len(expected)})",
        )
    for index, item in enumerate(parameters):
        _check_text(f"{kind}.parameters[{index}].text", item)
    named = template.parameter_format is ParameterFormat.NAMED
    values = _values_by_placeholder(parameters, named)
    if named and set(values) != set(expected):
        raise GraphError(132012, f"{kind}: expected parameter_name {', '.join(sorted(expected))}.")
    return values


def _check_text(field: str, item: Parameter) -> None:
    if item.type != "text":
        raise GraphError(132012, f"{field}: format mismatch, expected TEXT, got {item.type}.")
    if not item.text:
        raise missing(f"template.components.{field}")
    if _FORBIDDEN.search(item.text):
        raise GraphError(132018, f"{field}: no new-line, tab or more than 4 spaces in a row.")


def _check_header(template: MessageTemplate, template_send: TemplateSend) -> None:
    header = template.component("HEADER")
    wanted = header.format if header else ""
    if wanted in _MEDIA_HEADERS:
        given = [item.type.upper() for item in _get_parameters(template_send, "header")]
        if given != [wanted]:
            got = given[0] if given else "UNKNOWN"
            raise GraphError(132012, f"header: Format mismatch, expected {wanted}, received {got}")
    else:
        _checked_values(template, "header", header.text if header else "", template_send)


def _check_buttons(template: MessageTemplate, template_send: TemplateSend) -> None:
    buttons = template.component("BUTTONS")
    for index, button in enumerate(buttons.buttons if buttons else []):
        needed = "text" if find_placeholders(button.url) else _BUTTON_PARAMETERS.get(button.type)
        if needed is None:
            continue
        parameter = _button_parameter(template_send, index)
        value = getattr(parameter, needed) if parameter else None
        if not value:
            kind = button.type.title()
            raise GraphError(
                131008, f"buttons: Button at index {index} of type {kind} requires a parameter"
            )
        _check_button_value(index, button.type, value)


def _check_button_value(index: int, kind: str, value: object) -> None:
    field = f"template.components.buttons[{index}]"
    most = _MAX_BUTTON_VALUES.get(kind)
    if most is not None and len(str(value)) > most:
        raise invalid(field, f"has more than {most} characters.")
    if kind == "URL" and "://" in str(value):
        raise invalid(field, "must be the end of the button's URL, not a URL of its own.")


def _check_special_components(template: MessageTemplate, template_send: TemplateSend) -> None:
    """Refuse a template whose cards or offer are not filled in."""
    given = {part.type.upper() for part in template_send.components}
    for part in template.components:
        if part.type in _SPECIAL_COMPONENTS and part.type not in given:
            raise missing(f"template.components.{part.type.lower()}")


def _button_parameter(template_send: TemplateSend, index: int) -> Parameter | None:
    def is_it(part: TemplateComponent) -> bool:
        return part.type.lower() == "button" and str(part.index) == str(index)

    part = next(filter(is_it, template_send.components), None)
    return part.parameters[0] if part and part.parameters else None

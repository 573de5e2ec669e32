"""Thread of a customer for the phone page, with templates rendered."""

import time

import msgspec

from chatbot.simulator.message_templates.parameters import RenderedTemplate, render_template
from chatbot.simulator.messages.schema import OutboundKind, TemplateSend
from chatbot.simulator.platform.threads import Direction, StatusChange, ThreadMessage
from chatbot.simulator.simulator import Simulator


class MessageView(msgspec.Struct):
    id: str
    direction: Direction
    at: float
    status: str
    code: int
    statuses: list[StatusChange]
    content: msgspec.Raw
    rendered: RenderedTemplate | None


class ThreadView(msgspec.Struct):
    """Thread; `version` is the `since` of the next request, `typing` is the business typing."""

    wa_id: str
    name: str
    version: int
    typing: bool
    window_open_until: float
    messages: list[MessageView]


class _TemplatePart(msgspec.Struct):
    type: str = ""
    template: TemplateSend | None = None


def render_thread(simulator: Simulator, wa_id: str, since: int) -> ThreadView:
    """Return the messages that changed after version `since`, or all after a reset."""
    thread = simulator.threads.thread(wa_id)
    if since > thread.version:
        since = 0
    last = thread.last_inbound_at
    return ThreadView(
        wa_id=wa_id,
        name=thread.name,
        version=thread.version,
        typing=thread.typing_until > time.time(),
        window_open_until=last + simulator.settings.service_window_s if last else 0.0,
        messages=[
            _render_message(simulator, message)
            for message in thread.messages
            if message.version > since
        ],
    )


def _render_message(simulator: Simulator, message: ThreadMessage) -> MessageView:
    return MessageView(
        id=message.id,
        direction=message.direction,
        at=message.at,
        status=message.status,
        code=message.code,
        statuses=message.statuses,
        content=message.content,
        rendered=_render_template(simulator, message),
    )


def _render_template(simulator: Simulator, message: ThreadMessage) -> RenderedTemplate | None:
    if message.direction is Direction.INBOUND:
        return None
    part = msgspec.json.decode(message.content, type=_TemplatePart)
    if part.type != OutboundKind.TEMPLATE or part.template is None:
        return None
    template = simulator.templates.find(part.template.name, part.template.language.code)
    return render_template(template, part.template) if template else None

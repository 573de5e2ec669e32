"""Template endpoints of the Graph API: list, create, edit, delete, unpause.

Limits: Meta, message templates (template management).
"""

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from chatbot.simulator.control.schemas import TemplateChange
from chatbot.simulator.errors import GraphError, malformed, missing, unknown_object
from chatbot.simulator.message_templates.lifecycle import (
    create_template,
    edit_template,
    publish_deletion,
    replace_template,
)
from chatbot.simulator.message_templates.store import (
    MessageTemplate,
    ParameterFormat,
    TemplateCategory,
    TemplateComponentDefinition,
    TemplateFilter,
    TemplateStatus,
    make_cursor,
)
from chatbot.simulator.responses import json_response, select_fields
from chatbot.simulator.simulator import Simulator

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 25, 1000
MAX_TEMPLATES = 6_000  # of an account in a verified portfolio
MAX_BUTTONS, MAX_BUTTON_LABEL = 10, 25
MAX_LENGTHS = {"HEADER": 60, "BODY": 1024, "FOOTER": 60}
_NAME = re.compile(r"[a-z0-9_]{1,512}")
Body = TypeVar("Body")


class NewTemplate(msgspec.Struct):
    name: str
    language: str
    category: TemplateCategory
    components: list[TemplateComponentDefinition]
    parameter_format: ParameterFormat | None = None


class TemplateEdit(msgspec.Struct):
    components: list[TemplateComponentDefinition] | None = None
    category: TemplateCategory | None = None


class TemplateEndpoints:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def list(self, request: web.Request) -> web.Response:
        query = request.query
        limit = _parse_limit(query.get("limit", str(DEFAULT_PAGE_SIZE)))
        total = len(self._simulator.templates.all())
        summary = _render_summary(total, query.get("summary", ""))
        wanted = TemplateFilter(*(query.get(field, "") for field in TemplateFilter._fields))
        after, before = query.get("after", ""), query.get("before", "")
        page = self._simulator.templates.page(wanted, after=after, before=before, limit=limit)
        if not page.items:
            return json_response({"data": [], **summary})
        data = [select_fields(msgspec.to_builtins(item), request) for item in page.items]
        end = page.start + len(page.items)
        cursors = {"before": make_cursor(page.start), "after": make_cursor(end)}
        paging: dict[str, object] = {"cursors": cursors}
        kept = {key: value for key, value in query.items() if key not in ("after", "before")}
        if page.has_more:
            following = {**kept, "after": cursors["after"]}
            paging["next"] = str(request.url.with_query(following))
        if page.start:
            preceding = {**kept, "before": cursors["before"]}
            paging["previous"] = str(request.url.with_query(preceding))
        return json_response({"data": data, "paging": paging, **summary})

    async def create(self, request: web.Request) -> web.Response:
        params = await _parse_body(request, NewTemplate)
        if not _NAME.fullmatch(params.name):
            raise malformed("name", "may have small letters, digits and underscores only.")
        _check_components(params.components)
        change = TemplateChange(
            params.name,
            params.language,
            category=params.category,
            parameter_format=params.parameter_format,
            components=params.components,
        )
        template = create_template(self._simulator, change)
        return json_response(
            {"id": template.id, "status": template.status, "category": template.category}
        )

    async def edit(self, request: web.Request) -> web.Response:
        before = self._get_template(request)
        params = await _parse_body(request, TemplateEdit)
        if params.components is not None:
            _check_components(params.components)
        change = TemplateChange(
            before.name, before.language, category=params.category, components=params.components
        )
        edit_template(self._simulator, before, change)
        return json_response({"success": True})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete all languages of the template `name`, or the one with the id `hsm_id`."""
        name = request.query.get("name", "")
        if not name:
            raise missing("name")
        deleted = self._simulator.templates.delete(name, request.query.get("hsm_id", ""))
        if not deleted:
            raise GraphError(100, f"Message template {name} was not found.", subcode=2593002)
        for template in deleted:
            publish_deletion(self._simulator, template)
        return json_response({"success": True})

    async def unpause(self, request: web.Request) -> web.Response:
        before = self._get_template(request)
        if before.status is not TemplateStatus.PAUSED:
            raise GraphError(100, "The template is not paused.")
        after = msgspec.structs.replace(before, status=TemplateStatus.APPROVED)
        replace_template(self._simulator, before, after, "")
        return json_response({"success": True})

    def find(self, request: web.Request) -> web.Response | None:
        template = self._simulator.templates.find_by_id(request.match_info["object_id"])
        if template is None:
            return None
        return json_response(select_fields(msgspec.to_builtins(template), request))

    def _get_template(self, request: web.Request) -> MessageTemplate:
        template = self._simulator.templates.find_by_id(request.match_info["object_id"])
        if template is None:
            raise unknown_object(request.match_info["object_id"], request.method)
        return template


def _check_components(components: list[TemplateComponentDefinition]) -> None:
    """Raise GraphError if the body is missing or a component is too long."""
    if not any(part.type == "BODY" for part in components):
        raise missing("components.BODY")
    for part in components:
        most = MAX_LENGTHS.get(part.type, 0)
        if most and len(part.text) > most:
            raise malformed(f"components.{part.type}.text", f"has more than {most} characters.")
        if len(part.buttons) > MAX_BUTTONS:
            raise malformed("components.BUTTONS", f"has more than {MAX_BUTTONS} buttons.")
        if any(len(button.text) > MAX_BUTTON_LABEL for button in part.buttons):
            raise malformed(
                "components.BUTTONS", f"has a text above {MAX_BUTTON_LABEL} characters."
            )


def _render_summary(total: int, params: str) -> dict[str, object]:
    """Return the counts that the query parameter `summary` asks for."""
    counts: dict[str, object] = {
        "total_count": total,
        "message_template_count": total,
        "message_template_limit": MAX_TEMPLATES,
        "are_translations_complete": False,
    }
    wanted = {key: counts[key] for key in params.split(",") if key in counts}
    return {"summary": wanted} if wanted else {}


def _parse_limit(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise malformed("limit", f"must be a number from 1 to {MAX_PAGE_SIZE}.")
    return int(text)


async def _parse_body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GraphError(100, f"Invalid parameter: {error}.") from error

"""Templates on the Graph side: list, create, edit, delete, unpause (section 9)."""

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from chatbot.simulator.control_bodies import TemplateChange
from chatbot.simulator.errors import GraphError, malformed, missing, unknown_object
from chatbot.simulator.replies import as_json_reply, only_fields
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.template_changes import create, edit, replace_template, tell_deleted
from chatbot.simulator.templates import (
    Category,
    Component,
    Filter,
    ParameterFormat,
    Template,
    TemplateStatus,
    make_cursor,
)

DEFAULT_PAGE, LARGEST_PAGE = 25, 1000
MOST_TEMPLATES = 6_000  # of a verified portfolio (section 6)
MOST_BUTTONS, LONGEST_LABEL = 10, 25
LONGEST = {"HEADER": 60, "BODY": 1024, "FOOTER": 60}
_NAME = re.compile(r"[a-z0-9_]{1,512}")
Body = TypeVar("Body")


class NewTemplate(msgspec.Struct):
    name: str
    language: str
    category: Category
    components: list[Component]
    parameter_format: ParameterFormat | None = None


class TemplateEdit(msgspec.Struct):
    components: list[Component] | None = None
    category: Category | None = None


class GraphTemplates:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def list(self, request: web.Request) -> web.Response:
        query = request.query
        limit = _limit_of(query.get("limit", str(DEFAULT_PAGE)))
        total = len(self._simulator.templates.all())
        summary = _summary(total, query.get("summary", ""))
        wanted = Filter(*(query.get(field, "") for field in Filter._fields))
        after, before = query.get("after", ""), query.get("before", "")
        page = self._simulator.templates.page(wanted, after=after, before=before, limit=limit)
        if not page.items:
            return as_json_reply({"data": [], **summary})
        data = [only_fields(msgspec.to_builtins(item), request) for item in page.items]
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
        return as_json_reply({"data": data, "paging": paging, **summary})

    async def create(self, request: web.Request) -> web.Response:
        asked = await _body(request, NewTemplate)
        if not _NAME.fullmatch(asked.name):
            raise malformed("name", "may have small letters, digits and underscores only.")
        _check_components(asked.components)
        change = TemplateChange(
            asked.name,
            asked.language,
            category=asked.category,
            parameter_format=asked.parameter_format,
            components=asked.components,
        )
        template = create(self._simulator, change)
        return as_json_reply(
            {"id": template.id, "status": template.status, "category": template.category}
        )

    async def edit(self, request: web.Request) -> web.Response:
        before = self._required(request)
        asked = await _body(request, TemplateEdit)
        if asked.components is not None:
            _check_components(asked.components)
        change = TemplateChange(
            before.name, before.language, category=asked.category, components=asked.components
        )
        edit(self._simulator, before, change)
        return as_json_reply({"success": True})

    async def delete(self, request: web.Request) -> web.Response:
        """By `name`, and with `hsm_id` one language only."""
        name = request.query.get("name", "")
        if not name:
            raise missing("name")
        gone = self._simulator.templates.delete(name, request.query.get("hsm_id", ""))
        if not gone:
            raise GraphError(100, f"Message template {name} was not found.", subcode=2593002)
        for template in gone:
            tell_deleted(self._simulator, template)
        return as_json_reply({"success": True})

    async def unpause(self, request: web.Request) -> web.Response:
        before = self._required(request)
        if before.status is not TemplateStatus.PAUSED:
            raise GraphError(100, "The template is not paused.")
        after = msgspec.structs.replace(before, status=TemplateStatus.APPROVED)
        replace_template(self._simulator, before, after, "")
        return as_json_reply({"success": True})

    def find(self, request: web.Request) -> web.Response | None:
        template = self._simulator.templates.by_id(request.match_info["object_id"])
        if template is None:
            return None
        return as_json_reply(only_fields(msgspec.to_builtins(template), request))

    def _required(self, request: web.Request) -> Template:
        template = self._simulator.templates.by_id(request.match_info["object_id"])
        if template is None:
            raise unknown_object(request.match_info["object_id"], request.method)
        return template


def _check_components(components: list[Component]) -> None:
    """Lengths of section 6."""
    if not any(part.type == "BODY" for part in components):
        raise missing("components.BODY")
    for part in components:
        most = LONGEST.get(part.type, 0)
        if most and len(part.text) > most:
            raise malformed(f"components.{part.type}.text", f"has more than {most} characters.")
        if len(part.buttons) > MOST_BUTTONS:
            raise malformed("components.BUTTONS", f"has more than {MOST_BUTTONS} buttons.")
        if any(len(button.text) > LONGEST_LABEL for button in part.buttons):
            raise malformed("components.BUTTONS", f"has a text above {LONGEST_LABEL} characters.")


def _summary(total: int, asked: str) -> dict[str, object]:
    """The counts of the account that `summary` asks for."""
    counts: dict[str, object] = {
        "total_count": total,
        "message_template_count": total,
        "message_template_limit": MOST_TEMPLATES,
        "are_translations_complete": False,
    }
    wanted = {key: counts[key] for key in asked.split(",") if key in counts}
    return {"summary": wanted} if wanted else {}


def _limit_of(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise malformed("limit", f"must be a number from 1 to {LARGEST_PAGE}.")
    return int(text)


async def _body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GraphError(100, f"Invalid parameter: {error}.") from error

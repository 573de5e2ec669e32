"""Control API under /_sim/: settings, log, clock, outages, scripts, templates, webhooks.

It has no password, so it answers only requests from this machine. A foreign Host could be DNS
rebinding, a foreign Origin is another site, and a POST that is neither JSON nor
`application/octet-stream` could be a form of another site.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from chatbot.simulator.control.schemas import (
    AdvanceClockRequest,
    OutageRequest,
    ResetRequest,
    ScriptRequest,
    TemplateChange,
    WebhookRequest,
)
from chatbot.simulator.errors import GraphError
from chatbot.simulator.message_templates.lifecycle import apply_change
from chatbot.simulator.platform.request_log import render_entry
from chatbot.simulator.responses import json_response
from chatbot.simulator.settings import Settings, SettingsError, apply_changes
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.webhooks.payloads import encode_json

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
ALLOWED_CONTENT_TYPES = frozenset({"application/json", "application/octet-stream"})
SIGNATURE_CORRUPTIONS: dict[str, Callable[[str], str]] = {
    "wrong": lambda signature: signature[:-4] + ("0000" if signature[-4:] != "0000" else "1111"),
    "missing": lambda _: "",
    "upper": lambda signature: "sha256=" + signature[7:].upper(),
    "truncated": lambda signature: signature[:40],
}

Body = TypeVar("Body")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]


class ControlError(Exception):
    """Refused request to the control API; the text names the field and the reason."""


def local_only(handler: Handler) -> Handler:
    """Wrap a handler so that it answers local requests only.

    A middleware would also run for /messages and slow it down.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        return _reject_foreign_request(request) or await _handle_errors(request, handler)

    return guarded


def _reject_foreign_request(request: web.Request) -> web.Response | None:
    origin = request.headers.get("Origin")
    if not _is_local(f"//{request.host}") or (origin and not _is_local(origin)):
        return json_response({"error": "This API answers local requests only."}, 403)
    if request.method == "POST" and request.content_type not in ALLOWED_CONTENT_TYPES:
        return json_response({"error": "Content-Type must be application/json."}, 415)
    return None


async def _handle_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ControlError, SettingsError) as error:
        return json_response({"error": str(error)}, 400)
    except GraphError as error:
        return json_response({"error": error.details}, 400)


class ControlEndpoints:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self.health),
            web.get("/log", self.log),
            web.get("/log/summary", self.summary),
            web.get("/log/{entry_id:[0-9]+}/body", self.body),
            web.get("/accepted", self.accepted),
            web.get("/calls", self.calls),
            web.get("/settings", self.settings),
            web.post("/settings", self.change_settings),
            web.get("/settings/defaults", self.defaults),
            web.post("/reset", self.reset),
            web.post("/outage", self.outage),
            web.get("/clock", self.clock),
            web.post("/clock", self.advance),
            web.post("/scripts", self.script),
            web.get("/templates", self.templates),
            web.post("/templates", self.change_template),
            web.post("/webhook", self.webhook),
            web.post("/verify", self.verify),
        ]

    async def health(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok", "pending": self._simulator.pending})

    async def log(self, request: web.Request) -> web.Response:
        """Return log entries after `since`; a negative `limit` returns the last ones."""
        since = parse_query(request, "since", int, 0)
        limit = parse_query(request, "limit", int, 10_000)
        to = request.query.get("to", "")
        found = self._simulator.log.list_since(since, to, limit)
        return json_response({"entries": [render_entry(entry) for entry in found]})

    async def body(self, request: web.Request) -> web.Response:
        """Return the raw body of one POST."""
        entry = self._simulator.log.find(int(request.match_info["entry_id"]))
        if entry is None:
            raise ControlError("`entry_id`: the log has no such entry.")
        return web.Response(body=entry.raw, content_type="application/octet-stream")

    async def accepted(self, request: web.Request) -> web.Response:
        """Return accepted messages as JSON lines; `prefix` is the start of their callback data."""
        since = parse_query(request, "since", int, 0)
        found = self._simulator.log.accepted(since, request.query.get("prefix", ""))
        lines = msgspec.json.Encoder().encode_lines(found)
        return web.Response(body=lines, content_type="application/x-ndjson")

    async def calls(self, _: web.Request) -> web.Response:
        return json_response({"calls": list(self._simulator.log.calls)})

    async def summary(self, request: web.Request) -> web.Response:
        simulator = self._simulator
        parts = parse_query(request, "parts", NonNegativeInt, 0)
        counts = simulator.log.summary(parts, request.query.get("sep") or ":")
        webhook_sender = simulator.webhook_sender
        return json_response(
            {
                **msgspec.structs.asdict(counts),
                "people_reached_in_24_h": simulator.limits.users_reached,
                "webhooks_delivered": webhook_sender.delivered,
                "webhooks_pending": simulator.pending,
                "webhooks_held": webhook_sender.is_in_outage,
                "webhook_attempts_failed": webhook_sender.attempts_failed,
                "webhooks_given_up": webhook_sender.given_up,
            }
        )

    async def settings(self, _: web.Request) -> web.Response:
        return json_response(self._simulator.settings)

    async def defaults(self, _: web.Request) -> web.Response:
        return json_response(Settings(seed=self._simulator.config.seed))

    async def change_settings(self, request: web.Request) -> web.Response:
        self._simulator.apply_settings(
            apply_changes(self._simulator.settings, await request.read())
        )
        return json_response(self._simulator.settings)

    async def reset(self, request: web.Request) -> web.Response:
        params = await parse_body(request, ResetRequest)
        self._simulator.reset(keep_settings=params.keep_settings)
        return json_response({"status": "ok"})

    async def outage(self, request: web.Request) -> web.Response:
        params = await parse_body(request, OutageRequest)
        self._simulator.webhook_sender.start_outage(params.seconds)
        return json_response({"webhooks_held": self._simulator.webhook_sender.is_in_outage})

    async def clock(self, _: web.Request) -> web.Response:
        clock = self._simulator.clock
        return json_response({"now": clock.now(), "offset_s": clock.offset_s})

    async def advance(self, request: web.Request) -> web.Response:
        self._simulator.advance((await parse_body(request, AdvanceClockRequest)).advance_s)
        return await self.clock(request)

    async def script(self, request: web.Request) -> web.Response:
        params = await parse_body(request, ScriptRequest)
        user = self._simulator.users.get_by_number_or_id(params.to, self._simulator.settings)
        try:
            self._simulator.scripts.set_outcomes(user.key, params.outcomes)
        except ValueError as error:
            raise ControlError(str(error)) from error
        return json_response({"wa_id": user.key, "outcomes": len(params.outcomes)})

    async def templates(self, _: web.Request) -> web.Response:
        return json_response({"templates": self._simulator.templates.all()})

    async def change_template(self, request: web.Request) -> web.Response:
        change = await parse_body(request, TemplateChange)
        try:
            return json_response(apply_change(self._simulator, change))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def webhook(self, request: web.Request) -> web.Response:
        """Deliver a webhook: an object is encoded like Meta's, a string is sent unchanged."""
        params = await parse_body(request, WebhookRequest)
        raw = params.body.encode() if isinstance(params.body, str) else encode_json(params.body)
        for _ in range(params.copies):
            self._simulator.webhook_sender.submit(
                raw, corrupt_signature=SIGNATURE_CORRUPTIONS.get(params.signature)
            )
        return json_response({"bytes": len(raw)})

    async def verify(self, _: web.Request) -> web.Response:
        return json_response({"verified": await self._simulator.webhook_sender.verify()})


async def parse_body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ControlError(str(error)) from error


def parse_query(request: web.Request, name: str, kind: type[Body], default: Body) -> Body:
    try:
        return msgspec.convert(request.query.get(name, default), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise ControlError(f"`{name}`: {error}") from error


def _is_local(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOCAL_NAMES
    except ValueError:
        return False

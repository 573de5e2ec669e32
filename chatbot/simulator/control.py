"""The control API under /_sim/: settings, log, clock, outages, scripts, templates, webhooks.

It has no password, so it answers this machine's own programs only: a foreign Host is a rebound
name, a foreign Origin is another site's page, and a POST that is not JSON could be a form (the
bytes of a file come as `application/octet-stream`, which no form can send either).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from chatbot.simulator.control_bodies import (
    Advance,
    Outage,
    Reset,
    Script,
    TemplateChange,
    WebhookBody,
)
from chatbot.simulator.errors import GraphError
from chatbot.simulator.log import view
from chatbot.simulator.payloads import encode
from chatbot.simulator.replies import as_json_reply
from chatbot.simulator.settings import Settings, SettingsError, changed
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.template_changes import apply_change

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
POSTED = frozenset({"application/json", "application/octet-stream"})
SPOILS: dict[str, Callable[[str], str]] = {
    "wrong": lambda signature: signature[:-4] + ("0000" if signature[-4:] != "0000" else "1111"),
    "missing": lambda _: "",
    "upper": lambda signature: "sha256=" + signature[7:].upper(),
    "truncated": lambda signature: signature[:40],
}

Body = TypeVar("Body")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Number = Annotated[int, msgspec.Meta(ge=0)]


class ControlError(Exception):
    """A request to the control API that was refused; the text says which field and why."""


def local_only(handler: Handler) -> Handler:
    """The handler behind the door. A wrapper and not a middleware, which /messages would pay for."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        return _turned_away(request) or await _answered(request, handler)

    return guarded


def _turned_away(request: web.Request) -> web.Response | None:
    origin = request.headers.get("Origin")
    if not _is_local(f"//{request.host}") or (origin and not _is_local(origin)):
        return as_json_reply({"error": "This API answers local requests only."}, 403)
    if request.method == "POST" and request.content_type not in POSTED:
        return as_json_reply({"error": "Content-Type must be application/json."}, 415)
    return None


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ControlError, SettingsError) as error:
        return as_json_reply({"error": str(error)}, 400)
    except GraphError as error:
        return as_json_reply({"error": error.details}, 400)


class Control:
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
        return as_json_reply({"status": "ok", "pending": self._simulator.pending})

    async def log(self, request: web.Request) -> web.Response:
        """`limit` below 0 takes the last ones."""
        since = query_of(request, "since", int, 0)
        limit = query_of(request, "limit", int, 10_000)
        to = request.query.get("to", "")
        found = self._simulator.log.since(since, to, limit)
        return as_json_reply({"entries": [view(entry) for entry in found]})

    async def body(self, request: web.Request) -> web.Response:
        """The body of one POST, byte for byte."""
        entry = self._simulator.log.find(int(request.match_info["entry_id"]))
        if entry is None:
            raise ControlError("`entry_id`: the log has no such entry.")
        return web.Response(body=entry.raw, content_type="application/octet-stream")

    async def accepted(self, request: web.Request) -> web.Response:
        """Every accepted message as JSON lines; `prefix` is the start of its callback data."""
        since = query_of(request, "since", int, 0)
        found = self._simulator.log.accepted(since, request.query.get("prefix", ""))
        lines = msgspec.json.Encoder().encode_lines(found)
        return web.Response(body=lines, content_type="application/x-ndjson")

    async def calls(self, _: web.Request) -> web.Response:
        return as_json_reply({"calls": list(self._simulator.log.calls)})

    async def summary(self, request: web.Request) -> web.Response:
        simulator = self._simulator
        parts = query_of(request, "parts", Number, 0)
        counts = simulator.log.summary(parts, request.query.get("sep") or ":")
        delivery = simulator.delivery
        return as_json_reply(
            {
                **msgspec.structs.asdict(counts),
                "people_reached_in_24_h": simulator.limits.people_reached,
                "webhooks_delivered": delivery.delivered,
                "webhooks_pending": simulator.pending,
                "webhooks_held": delivery.is_held,
                "webhook_attempts_failed": delivery.attempts_failed,
                "webhooks_given_up": delivery.given_up,
            }
        )

    async def settings(self, _: web.Request) -> web.Response:
        return as_json_reply(self._simulator.settings)

    async def defaults(self, _: web.Request) -> web.Response:
        return as_json_reply(Settings(seed=self._simulator.config.seed))

    async def change_settings(self, request: web.Request) -> web.Response:
        self._simulator.apply(changed(self._simulator.settings, await request.read()))
        return as_json_reply(self._simulator.settings)

    async def reset(self, request: web.Request) -> web.Response:
        asked = await body_of(request, Reset)
        self._simulator.reset(keep_settings=asked.keep_settings)
        return as_json_reply({"status": "ok"})

    async def outage(self, request: web.Request) -> web.Response:
        asked = await body_of(request, Outage)
        self._simulator.delivery.hold(asked.seconds)
        return as_json_reply({"webhooks_held": self._simulator.delivery.is_held})

    async def clock(self, _: web.Request) -> web.Response:
        clock = self._simulator.clock
        return as_json_reply({"now": clock.now(), "offset_s": clock.offset_s})

    async def advance(self, request: web.Request) -> web.Response:
        self._simulator.advance((await body_of(request, Advance)).advance_s)
        return await self.clock(request)

    async def script(self, request: web.Request) -> web.Response:
        asked = await body_of(request, Script)
        person = self._simulator.people.dialled(asked.to, self._simulator.settings)
        try:
            self._simulator.scripts.put(person.key, asked.fates)
        except ValueError as error:
            raise ControlError(str(error)) from error
        return as_json_reply({"wa_id": person.key, "fates": len(asked.fates)})

    async def templates(self, _: web.Request) -> web.Response:
        return as_json_reply({"templates": self._simulator.templates.all()})

    async def change_template(self, request: web.Request) -> web.Response:
        change = await body_of(request, TemplateChange)
        try:
            return as_json_reply(apply_change(self._simulator, change))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def webhook(self, request: web.Request) -> web.Response:
        """Any body at all, signed: an object is written as Meta writes, a string goes as it is."""
        asked = await body_of(request, WebhookBody)
        raw = asked.body.encode() if isinstance(asked.body, str) else encode(asked.body)
        for _ in range(asked.copies):
            self._simulator.delivery.submit(raw, spoil=SPOILS.get(asked.signature))
        return as_json_reply({"bytes": len(raw)})

    async def verify(self, _: web.Request) -> web.Response:
        return as_json_reply({"verified": await self._simulator.delivery.verify()})


async def body_of(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ControlError(str(error)) from error


def query_of(request: web.Request, name: str, kind: type[Body], default: Body) -> Body:
    try:
        return msgspec.convert(request.query.get(name, default), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise ControlError(f"`{name}`: {error}") from error


def _is_local(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOCAL_NAMES
    except ValueError:
        return False

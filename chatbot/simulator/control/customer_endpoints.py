"""Endpoints of the control API that act as a customer: inbound messages, reading, events."""

from aiohttp import web

from chatbot.simulator.control.endpoints import ControlError, parse_body, parse_query
from chatbot.simulator.control.events import ACCOUNT_EVENTS, Event, apply_event
from chatbot.simulator.control.inbound_content import render_content
from chatbot.simulator.control.schemas import InboundRequest, MarkReadRequest
from chatbot.simulator.control.thread_view import render_thread
from chatbot.simulator.media.store import INBOUND_EXPIRES_S, MAX_FILE_BYTES, is_mime_type
from chatbot.simulator.responses import json_response
from chatbot.simulator.simulator import Simulator

MAX_WAIT_S = 25.0
MAX_BURST = 1_000
FILE_HEADERS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


class CustomerEndpoints:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/inbound", self.inbound),
            web.post("/inbound/burst", self.burst),
            web.post("/read", self.read),
            web.post("/media", self.upload),
            web.get("/media/{media_id}", self.file),
            web.get("/events", self.event_names),
            web.post("/events", self.event),
            web.get("/customers", self.customers),
            web.get("/chat/{wa_id}", self.chat),
        ]

    async def inbound(self, request: web.Request) -> web.Response:
        params = await parse_body(request, InboundRequest)
        return json_response(self._send(params, self._parse_content(params)))

    async def burst(self, request: web.Request) -> web.Response:
        """Send many messages of many customers; with `mix_inbound` they share POSTs."""
        params = await parse_body(request, list[InboundRequest])
        if len(params) > MAX_BURST:
            raise ControlError(f"At most {MAX_BURST} messages at once.")
        contents = [self._parse_content(item) for item in params]  # refuse all before sending any
        return json_response([self._send(*pair) for pair in zip(params, contents, strict=True)])

    async def read(self, request: web.Request) -> web.Response:
        params = await parse_body(request, MarkReadRequest)
        user = self._simulator.users.get_by_number_or_id(params.wa_id, self._simulator.settings)
        return json_response({"read": self._simulator.mark_read_by_customer(user)})

    async def upload(self, request: web.Request) -> web.Response:
        """Store a customer's file: the body is its bytes, the query has `mime` and `name`."""
        mime_type = request.query.get("mime", "")
        if not is_mime_type(mime_type):
            raise ControlError("`mime` must be a MIME type such as image/jpeg.")
        content = bytearray()
        async for chunk in request.content.iter_any():
            content += chunk
            if len(content) > MAX_FILE_BYTES:
                raise ControlError(f"The file has more than {MAX_FILE_BYTES} bytes.")
        stored = self._simulator.files.put(
            bytes(content), mime_type, ttl_s=INBOUND_EXPIRES_S,
            filename=request.query.get("name", ""),
        )  # fmt: skip
        return json_response({"media_id": stored.id, "kind": stored.kind})

    async def file(self, request: web.Request) -> web.Response:
        """Return a file to the phone page, which has no token.

        The headers keep the file from running as a page of this origin.
        """
        stored = self._simulator.files.find(request.match_info["media_id"])
        if stored is None:
            raise web.HTTPNotFound
        headers = {**FILE_HEADERS, "Content-Type": stored.mime_type}
        return web.Response(body=stored.content, headers=headers)

    async def event_names(self, _: web.Request) -> web.Response:
        return json_response({"account": list(ACCOUNT_EVENTS)})

    async def event(self, request: web.Request) -> web.Response:
        params: Event = await parse_body(request, Event)  # type: ignore[arg-type]  # a union is no class
        try:
            return json_response(apply_event(self._simulator, params))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def customers(self, _: web.Request) -> web.Response:
        return json_response(self._simulator.config.customers)

    async def chat(self, request: web.Request) -> web.Response:
        since = parse_query(request, "since", int, 0)
        wait = min(parse_query(request, "wait", float, 0.0), MAX_WAIT_S)
        simulator = self._simulator
        user = simulator.users.get_by_number_or_id(request.match_info["wa_id"], simulator.settings)
        await simulator.threads.wait(user.key, since, wait)
        return json_response(render_thread(simulator, user.key, since))

    def _parse_content(self, params: InboundRequest) -> dict[str, object]:
        self._simulator.users.get_by_number_or_id(params.number, self._simulator.settings)
        try:
            return render_content(self._simulator, params)
        except ValueError as error:
            raise ControlError(str(error)) from error

    def _send(self, params: InboundRequest, content: dict[str, object]) -> dict[str, str]:
        at = params.timestamp or self._simulator.clock.now()
        wamid, wa_id = self._simulator.send_as_customer(
            params.number, params.name, content, wamid=params.id, at=at
        )
        return {"id": wamid, "wa_id": wa_id}

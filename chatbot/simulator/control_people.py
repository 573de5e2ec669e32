"""The people's side of the control API: what they write, read, send and change."""

from aiohttp import web

from chatbot.simulator.control import ControlError, body_of, query_of
from chatbot.simulator.control_bodies import Inbound, ReadBy
from chatbot.simulator.events import ACCOUNT_EVENTS, Event, happen
from chatbot.simulator.inbound import content_of
from chatbot.simulator.media import INBOUND_EXPIRES_S, LARGEST_FILE, is_mime_type
from chatbot.simulator.replies import as_json_reply
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.thread_view import view_thread

LONGEST_WAIT_S = 25.0
LONGEST_BURST = 1_000
FILE_HEADERS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


class ControlPeople:
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
        asked = await body_of(request, Inbound)
        return as_json_reply(self._write(asked, self._checked(asked)))

    async def burst(self, request: web.Request) -> web.Response:
        """Many messages of many people at once; with `mix_inbound` they share POSTs."""
        asked = await body_of(request, list[Inbound])
        if len(asked) > LONGEST_BURST:
            raise ControlError(f"At most {LONGEST_BURST} messages at once.")
        contents = [self._checked(item) for item in asked]  # all of them are written, or none
        return as_json_reply([self._write(*pair) for pair in zip(asked, contents, strict=True)])

    async def read(self, request: web.Request) -> web.Response:
        asked = await body_of(request, ReadBy)
        person = self._simulator.people.dialled(asked.wa_id, self._simulator.settings)
        return as_json_reply({"read": self._simulator.read_as_customer(person)})

    async def upload(self, request: web.Request) -> web.Response:
        """The bytes of a person's file; `mime` and `name` stand in the query."""
        mime_type = request.query.get("mime", "")
        if not is_mime_type(mime_type):
            raise ControlError("`mime` must be a MIME type such as image/jpeg.")
        content = bytearray()
        async for chunk in request.content.iter_any():
            content += chunk
            if len(content) > LARGEST_FILE:
                raise ControlError(f"The file has more than {LARGEST_FILE} bytes.")
        stored = self._simulator.files.put(
            bytes(content), mime_type, lives_s=INBOUND_EXPIRES_S,
            filename=request.query.get("name", ""),
        )  # fmt: skip
        return as_json_reply({"media_id": stored.id, "kind": stored.kind})

    async def file(self, request: web.Request) -> web.Response:
        """For the phone page, which has no token; never as a page of this origin."""
        stored = self._simulator.files.find(request.match_info["media_id"])
        if stored is None:
            raise web.HTTPNotFound
        headers = {**FILE_HEADERS, "Content-Type": stored.mime_type}
        return web.Response(body=stored.content, headers=headers)

    async def event_names(self, _: web.Request) -> web.Response:
        return as_json_reply({"account": list(ACCOUNT_EVENTS)})

    async def event(self, request: web.Request) -> web.Response:
        asked: Event = await body_of(request, Event)  # type: ignore[arg-type]  # a union is no class
        try:
            return as_json_reply(happen(self._simulator, asked))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def customers(self, _: web.Request) -> web.Response:
        return as_json_reply(self._simulator.config.customers)

    async def chat(self, request: web.Request) -> web.Response:
        since = query_of(request, "since", int, 0)
        wait = min(query_of(request, "wait", float, 0.0), LONGEST_WAIT_S)
        simulator = self._simulator
        person = simulator.people.dialled(request.match_info["wa_id"], simulator.settings)
        await simulator.chats.wait(person.key, since, wait)
        return as_json_reply(view_thread(simulator, person.key, since))

    def _checked(self, asked: Inbound) -> dict[str, object]:
        self._simulator.people.dialled(asked.number, self._simulator.settings)
        try:
            return content_of(self._simulator, asked)
        except ValueError as error:
            raise ControlError(str(error)) from error

    def _write(self, asked: Inbound, content: dict[str, object]) -> dict[str, str]:
        at = asked.timestamp or self._simulator.clock.now()
        wamid, wa_id = self._simulator.write_as_customer(
            asked.number, asked.name, content, wamid=asked.id, at=at
        )
        return {"id": wamid, "wa_id": wa_id}

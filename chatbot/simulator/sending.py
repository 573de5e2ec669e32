"""POST /{phone_number_id}/messages: from the request to the answer, with all that can go wrong."""

import asyncio
import socket
import struct
import time

import msgspec
from aiohttp import web

from chatbot.simulator.errors import GraphError, details_of
from chatbot.simulator.fates import NO_DRAWS, Draws, draw
from chatbot.simulator.faults import BEFORE_ACCEPT, Fate, Fault, choose_fate
from chatbot.simulator.identity import normalise
from chatbot.simulator.log import Entry, fields_of
from chatbot.simulator.messages import Message
from chatbot.simulator.payloads import DISPLAY_PHONE_NUMBER
from chatbot.simulator.people import Person
from chatbot.simulator.replies import html_502, json_reply, too_many_requests, unreadable
from chatbot.simulator.simulator import Simulator, Taken
from chatbot.simulator.template_use import check_use
from chatbot.simulator.templates import Category, Template
from chatbot.simulator.validation import parse_message

HANG_CHECK_S = 0.25
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST and not FIN


class Sending:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answer one POST; the caller has checked the token and the number's id."""
        raw = await request.read()
        entry = self._open(request, raw)
        draws = NO_DRAWS
        try:
            answer, draws = self._handle(raw, entry)
        except GraphError as error:
            self._log_refusal(entry, error)
            answer = json_reply(error.body(), error.status)
        settings = self._simulator.settings
        if wait_ms := settings.latency_ms + settings.latency_jitter_ms * draws.latency:
            await asyncio.sleep(wait_ms / 1000)
        if entry.answer in ("ok", "graph_error"):
            return answer
        return await self._with_fault(request, entry, answer, draws.variant)

    async def refuse(self, request: web.Request, error: GraphError) -> None:
        """Log a POST that was turned away before it was looked at."""
        self._log_refusal(self._open(request, await request.read()), error)

    def _open(self, request: web.Request, raw: bytes) -> Entry:
        simulator = self._simulator
        limit = simulator.settings.log_limit
        return simulator.log.open(simulator.clock.now(), raw, request.raw_headers, limit)

    def _log_refusal(self, entry: Entry, error: GraphError) -> None:
        """The reader of the log wants to know whom it was for, even where nothing was valid."""
        content = fields_of(entry.raw)
        entry.to = entry.to or str(content.get("to", ""))
        entry.type = entry.type or str(content.get("type", ""))
        entry.callback_data = str(content.get("biz_opaque_callback_data", ""))
        entry.code = error.code
        if entry.answer == "ok":
            entry.answer = "graph_error"
        self._simulator.log.close(entry)

    def _handle(self, raw: bytes, entry: Entry) -> tuple[web.Response, Draws]:
        """(the answer, what decides on its latency and form)."""
        message = parse_message(raw)
        if message.status:
            return self._read_receipt(message, entry), NO_DRAWS
        simulator, settings, log = self._simulator, self._simulator.settings, self._simulator.log
        entry.type = message.type.value
        entry.callback_data = message.biz_opaque_callback_data or ""
        entry.to = message.to or message.recipient or ""
        person = simulator.people.dialled(entry.to, settings)
        entry.wa_id = person.key
        draws = draw(settings.seed, person.key, log.attempt(person.key))
        fate = choose_fate(settings, person.key, draws, simulator.scripts)
        if fate.fault:
            entry.answer = fate.fault.value
        if fate.fault in BEFORE_ACCEPT:
            return self._unaccepted(fate, entry, draws.variant), draws
        template = self._checked(message, person, entry)
        taken = simulator.accept(message, raw, person, template, failure=fate.failure, draws=draws)
        entry.wamid, entry.accepted = taken.wamid, True
        log.close(entry)
        return json_reply(_accepted_body(message, entry, taken)), draws

    def _checked(self, message: Message, person: Person, entry: Entry) -> Template | None:
        """The rules that need the state of the platform; the template if one is used."""
        simulator, use, template = self._simulator, message.template, None
        try:
            if use:
                template = simulator.templates.usable(use.name, use.language.code)
                check_use(template, use)
            _check_recipient(message, template)
            simulator.check_standing(template)
            simulator.check_window_and_limits(person, template)
        except GraphError:
            entry.answer = "graph_error"  # a refused message meets no fault after acceptance
            raise
        return template

    def _read_receipt(self, message: Message, entry: Entry) -> web.Response:
        entry.type, entry.accepted, entry.wamid = "read", True, message.message_id or ""
        self._simulator.chats.mark_read_by_business(
            entry.wamid, typing=message.typing_indicator is not None
        )
        self._simulator.log.close_receipt()
        return json_reply(b'{"success":true}')

    def _unaccepted(self, fate: Fate, entry: Entry, variant: float) -> web.Response:
        if fate.fault is Fault.GRAPH_500_BEFORE:
            raise GraphError(131000, "An unknown error occurred.")
        if fate.fault is Fault.REFUSED:
            raise GraphError(fate.code, details_of(fate.code))
        self._simulator.log.close(entry)
        return too_many_requests(variant) if fate.fault is Fault.PLAIN_429 else html_502()

    async def _with_fault(
        self, request: web.Request, entry: Entry, answer: web.Response, variant: float
    ) -> web.StreamResponse:
        """What a fault makes of the answer."""
        match entry.answer:
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                reset_connection(request)
            case Fault.HANG_BEFORE | Fault.HANG_AFTER:
                await self._hang(request)
            case Fault.HTML_502_AFTER:
                return html_502()
            case Fault.UNREADABLE_200 if isinstance(answer.body, bytes):
                return unreadable(answer.body, variant)
        return answer

    async def _hang(self, request: web.Request) -> None:
        """Say nothing until the caller leaves or `hang_s` is over; then the line goes dead."""
        until = time.monotonic() + self._simulator.settings.hang_s
        while time.monotonic() < until and request.transport and not request.transport.is_closing():
            await asyncio.sleep(HANG_CHECK_S)
        reset_connection(request)


def _check_recipient(message: Message, template: Template | None) -> None:
    if message.to is not None:
        if normalise(message.to) == DISPLAY_PHONE_NUMBER:
            raise GraphError(131021, "Recipient phone number cannot be the sender's.")
    elif template and template.category is Category.AUTHENTICATION:
        raise GraphError(131062, "Authentication templates need a phone number.")


def reset_connection(request: web.Request) -> None:
    """A real TCP RST: the other side sees "connection reset by peer"."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _accepted_body(message: Message, entry: Entry, taken: Taken) -> bytes:
    """Section 4.4; `message_status` is told for templates only."""
    contact = {"input": entry.to}
    if message.to is None:
        contact["user_id"] = entry.to
    else:
        contact["wa_id"] = entry.wa_id
    answer = {"id": taken.wamid}
    if message.template:
        answer["message_status"] = "held_for_quality_assessment" if taken.is_held else "accepted"
    return msgspec.json.encode(
        {"messaging_product": "whatsapp", "contacts": [contact], "messages": [answer]}
    )

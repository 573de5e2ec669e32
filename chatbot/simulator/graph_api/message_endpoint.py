"""Endpoint POST /{phone_number_id}/messages, with the simulated faults."""

import asyncio
import socket
import struct
import time

import msgspec
from aiohttp import web

from chatbot.simulator.errors import GraphError, get_error_details
from chatbot.simulator.faults.outcomes import (
    FAULTS_BEFORE_ACCEPT,
    Fault,
    SimulatedOutcome,
    choose_outcome,
)
from chatbot.simulator.faults.random_draws import NO_DRAWS, RandomDraws, draw_numbers
from chatbot.simulator.identifiers import normalize_number
from chatbot.simulator.message_templates.parameters import check_parameters
from chatbot.simulator.message_templates.store import MessageTemplate, TemplateCategory
from chatbot.simulator.messages.schema import Message
from chatbot.simulator.messages.validation import parse_message
from chatbot.simulator.platform.request_log import LogEntry, parse_fields
from chatbot.simulator.platform.whatsapp_users import WhatsAppUser
from chatbot.simulator.responses import (
    html_502_response,
    raw_json_response,
    too_many_requests_response,
    unreadable_response,
)
from chatbot.simulator.simulator import Acceptance, Simulator
from chatbot.simulator.webhooks.payloads import DISPLAY_PHONE_NUMBER

HANG_CHECK_S = 0.25
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST and not FIN


class MessageEndpoint:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Handle one POST; the caller has checked the token and the number's id."""
        raw = await request.read()
        entry = self._log_request(request, raw)
        draws = NO_DRAWS
        try:
            answer, draws = self._handle(raw, entry)
        except GraphError as error:
            self._log_refusal(entry, error)
            answer = raw_json_response(error.body(), error.status)
        settings = self._simulator.settings
        if wait_ms := settings.latency_ms + settings.latency_jitter_ms * draws.latency:
            await asyncio.sleep(wait_ms / 1000)
        if entry.answer in ("ok", "graph_error"):
            return answer
        return await self._apply_fault(request, entry, answer, draws.variant)

    async def reject(self, request: web.Request, error: GraphError) -> None:
        """Log a POST that was refused before it was parsed."""
        self._log_refusal(self._log_request(request, await request.read()), error)

    def _log_request(self, request: web.Request, raw: bytes) -> LogEntry:
        simulator = self._simulator
        limit = simulator.settings.log_limit
        return simulator.log.add_entry(simulator.clock.now(), raw, request.raw_headers, limit)

    def _log_refusal(self, entry: LogEntry, error: GraphError) -> None:
        """Log a refusal with recipient and type as far as the invalid body shows them."""
        content = parse_fields(entry.raw)
        entry.to = entry.to or str(content.get("to", ""))
        entry.type = entry.type or str(content.get("type", ""))
        entry.callback_data = str(content.get("biz_opaque_callback_data", ""))
        entry.code = error.code
        if entry.answer == "ok":
            entry.answer = "graph_error"
        self._simulator.log.record_outcome(entry)

    def _handle(self, raw: bytes, entry: LogEntry) -> tuple[web.Response, RandomDraws]:
        """Return the response, and the draws that decide on its latency and form."""
        message = parse_message(raw)
        if message.status:
            return self._handle_read_receipt(message, entry), NO_DRAWS
        simulator, settings, log = self._simulator, self._simulator.settings, self._simulator.log
        entry.type = message.type.value
        entry.callback_data = message.biz_opaque_callback_data or ""
        entry.to = message.to or message.recipient or ""
        user = simulator.users.get_by_number_or_id(entry.to, settings)
        entry.wa_id = user.key
        draws = draw_numbers(settings.seed, user.key, log.next_attempt(user.key))
        outcome = choose_outcome(settings, user.key, draws, simulator.scripts)
        if outcome.fault:
            entry.answer = outcome.fault.value
        if outcome.fault in FAULTS_BEFORE_ACCEPT:
            return self._respond_unaccepted(outcome, entry, draws.variant), draws
        template = self._check_platform_rules(message, user, entry)
        acceptance = simulator.accept_message(
            message, raw, user, template, failure=outcome.failure, draws=draws
        )
        entry.wamid, entry.accepted = acceptance.wamid, True
        log.record_outcome(entry)
        return raw_json_response(_render_acceptance(message, entry, acceptance)), draws

    def _check_platform_rules(
        self, message: Message, user: WhatsAppUser, entry: LogEntry
    ) -> MessageTemplate | None:
        """Check the rules that need state; return the template if one is sent.

        Raise GraphError.
        """
        simulator, template_send, template = self._simulator, message.template, None
        try:
            if template_send:
                template = simulator.templates.get_sendable(
                    template_send.name, template_send.language.code
                )
                check_parameters(template, template_send)
            _check_recipient(message, template)
            simulator.check_restriction(template)
            simulator.check_window_and_limits(user, template)
        except GraphError:
            entry.answer = "graph_error"  # replaces a fault that would follow acceptance
            raise
        return template

    def _handle_read_receipt(self, message: Message, entry: LogEntry) -> web.Response:
        entry.type, entry.accepted, entry.wamid = "read", True, message.message_id or ""
        self._simulator.threads.mark_read_by_business(
            entry.wamid, typing=message.typing_indicator is not None
        )
        self._simulator.log.record_receipt()
        return raw_json_response(b'{"success":true}')

    def _respond_unaccepted(
        self, outcome: SimulatedOutcome, entry: LogEntry, variant: float
    ) -> web.Response:
        if outcome.fault is Fault.GRAPH_500_BEFORE:
            raise GraphError(131000, "An unknown error occurred.")
        if outcome.fault is Fault.REFUSED:
            raise GraphError(outcome.code, get_error_details(outcome.code))
        self._simulator.log.record_outcome(entry)
        return (
            too_many_requests_response(variant)
            if outcome.fault is Fault.PLAIN_429
            else html_502_response()
        )

    async def _apply_fault(
        self, request: web.Request, entry: LogEntry, answer: web.Response, variant: float
    ) -> web.StreamResponse:
        """Replace the response as the fault demands."""
        match entry.answer:
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                reset_connection(request)
            case Fault.HANG_BEFORE | Fault.HANG_AFTER:
                await self._hang(request)
            case Fault.HTML_502_AFTER:
                return html_502_response()
            case Fault.UNREADABLE_200 if isinstance(answer.body, bytes):
                return unreadable_response(answer.body, variant)
        return answer

    async def _hang(self, request: web.Request) -> None:
        """Send nothing until the client disconnects or `hang_s` is over, then reset."""
        until = time.monotonic() + self._simulator.settings.hang_s
        while time.monotonic() < until and request.transport and not request.transport.is_closing():
            await asyncio.sleep(HANG_CHECK_S)
        reset_connection(request)


def _check_recipient(message: Message, template: MessageTemplate | None) -> None:
    if message.to is not None:
        if normalize_number(message.to) == DISPLAY_PHONE_NUMBER:
            raise GraphError(131021, "Recipient phone number cannot be the sender's.")
    elif template and template.category is TemplateCategory.AUTHENTICATION:
        raise GraphError(131062, "Authentication templates need a phone number.")


def reset_connection(request: web.Request) -> None:
    """Send a TCP RST: the client sees "connection reset by peer"."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _render_acceptance(message: Message, entry: LogEntry, acceptance: Acceptance) -> bytes:
    """Return the body of a 200; only templates have `message_status`."""
    contact = {"input": entry.to}
    if message.to is None:
        contact["user_id"] = entry.to
    else:
        contact["wa_id"] = entry.wa_id
    answer = {"id": acceptance.wamid}
    if message.template:
        answer["message_status"] = (
            "held_for_quality_assessment" if acceptance.is_held else "accepted"
        )
    return msgspec.json.encode(
        {"messaging_product": "whatsapp", "contacts": [contact], "messages": [answer]}
    )

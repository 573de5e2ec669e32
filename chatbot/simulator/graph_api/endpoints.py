"""Endpoints of the Graph API: access token, rate limit, log, and the routes of each object."""

import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from chatbot.simulator.errors import GraphError, unknown_object
from chatbot.simulator.graph_api.media_endpoints import MediaEndpoints
from chatbot.simulator.graph_api.message_endpoint import MessageEndpoint
from chatbot.simulator.graph_api.template_endpoints import TemplateEndpoints
from chatbot.simulator.message_templates.store import make_cursor
from chatbot.simulator.platform.rate_limits import get_tier_name
from chatbot.simulator.platform.request_log import ApiCall, decode_headers
from chatbot.simulator.responses import json_response, raw_json_response, select_fields
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.webhooks.payloads import DISPLAY_PHONE_NUMBER

VERSION = r"/{version:v\d+\.\d+}"
ID_SEGMENT = "/{object_id}"
ACCOUNT_NAME = "Prosa Simulada"
Handler = Callable[[web.Request], Awaitable[web.Response]]


class GraphEndpoints:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._config = simulator.config
        self._messages = MessageEndpoint(simulator)
        self._media = MediaEndpoints(simulator)
        self._templates = TemplateEndpoints(simulator)
        self._bearer = f"Bearer {simulator.config.token}".encode()
        self._profile: dict[str, object] = {"messaging_product": "whatsapp", "about": ACCOUNT_NAME}

    def routes(self) -> list[web.RouteDef]:
        node_path = VERSION + ID_SEGMENT
        number, account = self._config.phone_number_id, self._config.business_account_id
        media, templates = self._media, self._templates
        return [
            web.post(f"{node_path}/messages", self.messages),
            web.post(f"{node_path}/media", self._guard(media.upload, number)),
            web.get(media.path, self._guard(media.download)),
            web.get(f"{node_path}/message_templates", self._guard(templates.list, account)),
            web.post(f"{node_path}/message_templates", self._guard(templates.create, account)),
            web.delete(f"{node_path}/message_templates", self._guard(templates.delete, account)),
            web.post(f"{node_path}/unpause", self._guard(templates.unpause)),
            web.get(f"{node_path}/phone_numbers", self._guard(self.phone_numbers, account)),
            web.get(f"{node_path}/subscribed_apps", self._guard(self.subscribed_apps, account)),
            web.post(f"{node_path}/subscribed_apps", self._guard(self.succeed, account)),
            web.get(f"{node_path}/whatsapp_business_profile", self._guard(self.profile, number)),
            web.post(
                f"{node_path}/whatsapp_business_profile", self._guard(self.change_profile, number)
            ),
            web.get(node_path, self._guard(self.node)),
            web.post(node_path, self._guard(self.change_node)),
            web.delete(node_path, self._guard(self.delete_node)),
        ]

    async def messages(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check_token(request)
            _check_object_id(request, self._config.phone_number_id)
        except GraphError as error:
            await self._messages.reject(request, error)
            return raw_json_response(error.body(), error.status)
        return await self._messages.receive(request)

    async def phone_numbers(self, _: web.Request) -> web.Response:
        cursors = {"before": make_cursor(0), "after": make_cursor(1)}
        return json_response(
            {"data": [self._render_phone_number()], "paging": {"cursors": cursors}}
        )

    async def subscribed_apps(self, _: web.Request) -> web.Response:
        app = {"whatsapp_business_api_data": {"id": "1", "name": ACCOUNT_NAME, "link": ""}}
        return json_response({"data": [app]})

    async def succeed(self, _: web.Request) -> web.Response:
        return json_response({"success": True})

    async def profile(self, request: web.Request) -> web.Response:
        return json_response({"data": [select_fields(self._profile, request)]})

    async def change_profile(self, request: web.Request) -> web.Response:
        try:
            self._profile |= msgspec.json.decode(await request.read(), type=dict[str, object])
        except msgspec.DecodeError as error:
            raise GraphError(100, f"Invalid parameter: {error}") from error
        return json_response({"success": True})

    async def node(self, request: web.Request) -> web.Response:
        """GET of the number, the account, a template or a file, with `fields`."""
        object_id = request.match_info["object_id"]
        if object_id == self._config.phone_number_id:
            return json_response(select_fields(self._render_phone_number(), request))
        if object_id == self._config.business_account_id:
            account = {"id": object_id, "name": ACCOUNT_NAME, "currency": "BRL"}
            return json_response(select_fields(account, request))
        found = self._templates.find(request) or self._media.find(request)
        if found is None:
            raise unknown_object(object_id, request.method)
        return found

    async def change_node(self, request: web.Request) -> web.Response:
        """Handle a POST to a template, or to the number, whose settings are accepted but ignored."""
        if request.match_info["object_id"] == self._config.phone_number_id:
            return json_response({"success": True})
        return await self._templates.edit(request)

    async def delete_node(self, request: web.Request) -> web.Response:
        return self._media.delete(request)

    def _guard(self, handler: Handler, object_id: str = "") -> Handler:
        """Wrap a handler of any path but /messages: check token and limit, log, render errors."""

        async def guarded(request: web.Request) -> web.Response:
            simulator = self._simulator
            try:
                self._check_token(request)
                simulator.limits.check_management(simulator.settings, simulator.clock.now())
                if object_id:
                    _check_object_id(request, object_id)
                answer = await handler(request)
            except GraphError as error:
                answer = raw_json_response(error.body(), error.status)
            answer.headers.update(self._usage_headers())
            headers = decode_headers(request.raw_headers)
            call = ApiCall(
                simulator.clock.now(), request.method, request.path_qs, answer.status, headers
            )
            simulator.log.calls.append(call)
            return answer

        return guarded

    def _usage_headers(self) -> dict[str, str]:
        """Return Meta's usage headers: the percentage of the hourly calls that is used."""
        allowed = self._simulator.settings.management_calls_per_h
        used = 100 * self._simulator.limits.management_calls // allowed if allowed else 0
        shares = {"call_count": min(used, 100), "total_cputime": 0, "total_time": 0}
        account = {"type": "whatsapp", **shares, "estimated_time_to_regain_access": 0}
        usage = {self._config.business_account_id: [account]}
        return {
            "X-App-Usage": msgspec.json.encode(shares).decode(),
            "X-Business-Use-Case-Usage": msgspec.json.encode(usage).decode(),
        }

    def _check_token(self, request: web.Request) -> None:
        """Raise GraphError 190 unless the token is right, as Bearer or as query `access_token`."""
        given = request.headers.get("Authorization", "")
        if not given and "access_token" in request.query:
            given = f"Bearer {request.query['access_token']}"
        if not hmac.compare_digest(given.encode(), self._bearer):
            raise GraphError(190, "Cannot parse access token")

    def _render_phone_number(self) -> dict[str, object]:
        return {
            "verified_name": ACCOUNT_NAME,
            "display_phone_number": f"+{DISPLAY_PHONE_NUMBER}",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "status": "CONNECTED",
            "platform_type": "CLOUD_API",
            "throughput": {"level": "STANDARD"},
            "whatsapp_business_manager_messaging_limit": get_tier_name(
                self._simulator.settings.tier_limit
            ),
            "webhook_configuration": {"application": self._config.callback_url},
            "health_status": {"can_send_message": self._health_status()},
            "id": self._config.phone_number_id,
        }

    def _health_status(self) -> str:
        return "BLOCKED" if self._simulator.restriction_code else "AVAILABLE"


async def unknown_path(request: web.Request) -> web.Response:
    error = GraphError(2500, f"Unknown path components: {request.path}")
    return raw_json_response(error.body(), error.status)


def _check_object_id(request: web.Request, object_id: str) -> None:
    requested_id = request.match_info["object_id"]
    if requested_id != object_id:
        raise unknown_object(requested_id, request.method)

"""The Graph API side: who may call, what is counted, and which object answers (4, 9, 10.1)."""

import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from chatbot.simulator.errors import GraphError, unknown_object
from chatbot.simulator.graph_media import GraphMedia
from chatbot.simulator.graph_templates import GraphTemplates
from chatbot.simulator.limits import tier_of
from chatbot.simulator.log import Call, readable_headers
from chatbot.simulator.payloads import DISPLAY_PHONE_NUMBER
from chatbot.simulator.replies import as_json_reply, json_reply, only_fields
from chatbot.simulator.sending import Sending
from chatbot.simulator.simulator import Simulator
from chatbot.simulator.templates import make_cursor

VERSION = r"/{version:v\d+\.\d+}"
ID_SEGMENT = "/{object_id}"
ACCOUNT_NAME = "Prosa Simulada"
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Graph:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._config = simulator.config
        self._sending = Sending(simulator)
        self._media = GraphMedia(simulator)
        self._templates = GraphTemplates(simulator)
        self._bearer = f"Bearer {simulator.config.token}".encode()
        self._profile: dict[str, object] = {"messaging_product": "whatsapp", "about": ACCOUNT_NAME}

    def routes(self) -> list[web.RouteDef]:
        thing = VERSION + ID_SEGMENT
        number, account = self._config.phone_number_id, self._config.business_account_id
        media, templates = self._media, self._templates
        return [
            web.post(f"{thing}/messages", self.messages),
            web.post(f"{thing}/media", self._managed(media.upload, number)),
            web.get(media.path, self._managed(media.download)),
            web.get(f"{thing}/message_templates", self._managed(templates.list, account)),
            web.post(f"{thing}/message_templates", self._managed(templates.create, account)),
            web.delete(f"{thing}/message_templates", self._managed(templates.delete, account)),
            web.post(f"{thing}/unpause", self._managed(templates.unpause)),
            web.get(f"{thing}/phone_numbers", self._managed(self.phone_numbers, account)),
            web.get(f"{thing}/subscribed_apps", self._managed(self.subscribed_apps, account)),
            web.post(f"{thing}/subscribed_apps", self._managed(self.succeed, account)),
            web.get(f"{thing}/whatsapp_business_profile", self._managed(self.profile, number)),
            web.post(
                f"{thing}/whatsapp_business_profile", self._managed(self.change_profile, number)
            ),
            web.get(thing, self._managed(self.node)),
            web.post(thing, self._managed(self.change_node)),
            web.delete(thing, self._managed(self.delete_node)),
        ]

    async def messages(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authorise(request)
            _require(request, self._config.phone_number_id)
        except GraphError as error:
            await self._sending.refuse(request, error)
            return json_reply(error.body(), error.status)
        return await self._sending.receive(request)

    async def phone_numbers(self, _: web.Request) -> web.Response:
        cursors = {"before": make_cursor(0), "after": make_cursor(1)}
        return as_json_reply({"data": [self._phone()], "paging": {"cursors": cursors}})

    async def subscribed_apps(self, _: web.Request) -> web.Response:
        app = {"whatsapp_business_api_data": {"id": "1", "name": ACCOUNT_NAME, "link": ""}}
        return as_json_reply({"data": [app]})

    async def succeed(self, _: web.Request) -> web.Response:
        return as_json_reply({"success": True})

    async def profile(self, request: web.Request) -> web.Response:
        return as_json_reply({"data": [only_fields(self._profile, request)]})

    async def change_profile(self, request: web.Request) -> web.Response:
        try:
            self._profile |= msgspec.json.decode(await request.read(), type=dict[str, object])
        except msgspec.DecodeError as error:
            raise GraphError(100, f"Invalid parameter: {error}") from error
        return as_json_reply({"success": True})

    async def node(self, request: web.Request) -> web.Response:
        """GET of the number, the account, a template or a file, with `fields`."""
        object_id = request.match_info["object_id"]
        if object_id == self._config.phone_number_id:
            return as_json_reply(only_fields(self._phone(), request))
        if object_id == self._config.business_account_id:
            account = {"id": object_id, "name": ACCOUNT_NAME, "currency": "BRL"}
            return as_json_reply(only_fields(account, request))
        found = self._templates.find(request) or self._media.find(request)
        if found is None:
            raise unknown_object(object_id, request.method)
        return found

    async def change_node(self, request: web.Request) -> web.Response:
        """POST to the number (its settings are taken and not kept) or to a template."""
        if request.match_info["object_id"] == self._config.phone_number_id:
            return as_json_reply({"success": True})
        return await self._templates.edit(request)

    async def delete_node(self, request: web.Request) -> web.Response:
        return self._media.delete(request)

    def _managed(self, handler: Handler, object_id: str = "") -> Handler:
        """Everything but /messages: authorised, counted by the hour, logged, refused as Graph."""

        async def guarded(request: web.Request) -> web.Response:
            simulator = self._simulator
            try:
                self._authorise(request)
                simulator.limits.check_management(simulator.settings, simulator.clock.now())
                if object_id:
                    _require(request, object_id)
                answer = await handler(request)
            except GraphError as error:
                answer = json_reply(error.body(), error.status)
            answer.headers.update(self._usage())
            headers = readable_headers(request.raw_headers)
            call = Call(
                simulator.clock.now(), request.method, request.path_qs, answer.status, headers
            )
            simulator.log.calls.append(call)
            return answer

        return guarded

    def _usage(self) -> dict[str, str]:
        """Per cent of the hour's calls used so far (section 6)."""
        allowed = self._simulator.settings.management_calls_per_h
        used = 100 * self._simulator.limits.management_calls // allowed if allowed else 0
        shares = {"call_count": min(used, 100), "total_cputime": 0, "total_time": 0}
        account = {"type": "whatsapp", **shares, "estimated_time_to_regain_access": 0}
        usage = {self._config.business_account_id: [account]}
        return {
            "X-App-Usage": msgspec.json.encode(shares).decode(),
            "X-Business-Use-Case-Usage": msgspec.json.encode(usage).decode(),
        }

    def _authorise(self, request: web.Request) -> None:
        """Bearer token, or `access_token` in the query, which Graph takes too (4.1)."""
        given = request.headers.get("Authorization", "")
        if not given and "access_token" in request.query:
            given = f"Bearer {request.query['access_token']}"
        if not hmac.compare_digest(given.encode(), self._bearer):
            raise GraphError(190, "Cannot parse access token")

    def _phone(self) -> dict[str, object]:
        return {
            "verified_name": ACCOUNT_NAME,
            "display_phone_number": f"+{DISPLAY_PHONE_NUMBER}",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "status": "CONNECTED",
            "platform_type": "CLOUD_API",
            "throughput": {"level": "STANDARD"},
            "whatsapp_business_manager_messaging_limit": tier_of(
                self._simulator.settings.tier_limit
            ),
            "webhook_configuration": {"application": self._config.callback_url},
            "health_status": {"can_send_message": self._health()},
            "id": self._config.phone_number_id,
        }

    def _health(self) -> str:
        return "BLOCKED" if self._simulator.standing else "AVAILABLE"


async def unknown_path(request: web.Request) -> web.Response:
    error = GraphError(2500, f"Unknown path components: {request.path}")
    return json_reply(error.body(), error.status)


def _require(request: web.Request, object_id: str) -> None:
    asked = request.match_info["object_id"]
    if asked != object_id:
        raise unknown_object(asked, request.method)

"""HTTP application with the Graph API paths, the control API and the pages."""

from collections.abc import AsyncIterator

from aiohttp import web

from chatbot.simulator.control.customer_endpoints import CustomerEndpoints
from chatbot.simulator.control.endpoints import ControlEndpoints, local_only
from chatbot.simulator.graph_api.endpoints import GraphEndpoints, unknown_path
from chatbot.simulator.pages import page_routes
from chatbot.simulator.simulator import Simulator

MAX_BODY_BYTES = 4 * 1024 * 1024  # bytes; a raw webhook of more than Meta's 3 MB must fit


def create_app(simulator: Simulator) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(GraphEndpoints(simulator).routes())
    for route in (*ControlEndpoints(simulator).routes(), *CustomerEndpoints(simulator).routes()):
        app.router.add_route(route.method, f"/_sim{route.path}", local_only(route.handler))
    app.add_routes(page_routes())
    app.router.add_route("*", "/{path:.*}", unknown_path)

    async def close_delivery(_: web.Application) -> AsyncIterator[None]:
        yield
        await simulator.webhook_sender.aclose()

    app.cleanup_ctx.append(close_delivery)
    return app

"""The HTTP application: Graph paths, control API and pages side by side."""

from collections.abc import AsyncIterator

from aiohttp import web

from chatbot.simulator.control import Control, local_only
from chatbot.simulator.control_people import ControlPeople
from chatbot.simulator.graph import Graph, unknown_path
from chatbot.simulator.pages import page_routes
from chatbot.simulator.simulator import Simulator

LARGEST_BODY = 4 * 1024 * 1024  # bytes; a raw webhook of more than Meta's 3 MB must fit


def create_app(simulator: Simulator) -> web.Application:
    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes(Graph(simulator).routes())
    for route in (*Control(simulator).routes(), *ControlPeople(simulator).routes()):
        app.router.add_route(route.method, f"/_sim{route.path}", local_only(route.handler))
    app.add_routes(page_routes())
    app.router.add_route("*", "/{path:.*}", unknown_path)

    async def close_delivery(_: web.Application) -> AsyncIterator[None]:
        yield
        await simulator.delivery.aclose()

    app.cleanup_ctx.append(close_delivery)
    return app

"""Builders of HTTP responses, valid and broken ones."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from chatbot.simulator.errors import GraphError

_BAD_GATEWAY = (
    "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    "<body><h1>502 Bad Gateway</h1></body></html>"
)


def raw_json_response(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def json_response(content: object, status: int = 200) -> web.Response:
    return raw_json_response(msgspec.json.encode(content), status)


def html_502_response() -> web.Response:
    """Return the HTML answer of an edge proxy in front of the Graph API."""
    return web.Response(text=_BAD_GATEWAY, status=502, content_type="text/html")


def unreadable_response(body: bytes, number: float) -> web.Response:
    """Return a 200 without usable content, in one of three forms chosen by a number in [0, 1)."""
    if number < 1 / 3:
        return raw_json_response(body[: len(body) // 2])
    if number < 2 / 3:
        return web.Response(text=_BAD_GATEWAY.replace("502 Bad Gateway", "OK"),
                            content_type="text/html")  # fmt: skip
    return raw_json_response(b"")


def too_many_requests_response(number: float) -> web.Response:
    """Return a 429 of an edge proxy, in one of six forms chosen by a number in [0, 1)."""
    form = int(number * 6)
    headers = {"Retry-After": "1"} if form % 2 else {}
    if form < 2:
        return web.Response(status=429, headers=headers)
    if form < 4:
        text = _BAD_GATEWAY.replace("502 Bad Gateway", "429 Too Many Requests")
        return web.Response(text=text, status=429, content_type="text/html", headers=headers)
    error = GraphError(130429, "Rate limit hit.")
    answer = raw_json_response(error.body(), 429)
    answer.headers.update(headers)
    return answer


def select_fields(resource: Mapping[str, object], request: web.Request) -> dict[str, object]:
    """Return the requested `fields` of the resource and always its id, or all without `fields`."""
    fields = request.query.get("fields", "")
    if not fields:
        return dict(resource)
    wanted = {*fields.split(","), "id"}
    return {key: value for key, value in resource.items() if key in wanted}

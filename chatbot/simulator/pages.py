"""Phone page (`/`), control page (`/controle`) and their static files. No other host is used."""

from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
PAGES = {"/": "phone.html", "/controle": "control.html"}
# A fixed list: no path of a request ever reaches the file system.
STATIC_FILES = {
    "theme.css": "text/css",
    "phone.css": "text/css",
    "control.css": "text/css",
    "api.js": "text/javascript",
    "format.js": "text/javascript",
    "i18n.js": "text/javascript",
    "attach.js": "text/javascript",
    "actions.js": "text/javascript",
    "bubbles.js": "text/javascript",
    "phone.js": "text/javascript",
    "control.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> list[web.RouteDef]:
    return [*(web.get(path, page) for path in PAGES), web.get("/static/{name}", static_file)]


async def page(request: web.Request) -> web.Response:
    return _file_response(PAGES[request.path], "text/html")


async def static_file(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in STATIC_FILES:
        raise web.HTTPNotFound
    return _file_response(name, STATIC_FILES[name])


def _file_response(name: str, content_type: str) -> web.Response:
    body = (STATIC / name).read_bytes()
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)

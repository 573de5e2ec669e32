"""Bodies arrive whole, chunked and not, on both kinds of web process and behind nginx."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import nginx
from tests.support.ports import is_responding, wait_for
from tests.support.settings import SECRETS
from tests.support.stack import Stack, web_command

BODY = b'{"object": "whatsapp_business_account", "entry": []}'
SERVERS = {"asgi": web_command(), "gthread": "gunicorn wsgi:app"}

GetPort = Callable[[bool], int]


@pytest.fixture(scope="module", params=SERVERS)
def get_port(
    request: pytest.FixtureRequest, _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GetPort]:
    """Return `get_port(behind_nginx)` of a running web process, and of an nginx in front of it."""
    home = tmp_path_factory.mktemp(request.param)
    (home / "prosa.db").write_bytes(_migrated_sqlite.read_bytes())
    stack = Stack(home, f"sqlite:///{home / 'prosa.db'}", None)
    stack.web = SERVERS[request.param]
    stack.spawn("web")
    fronts: list[nginx.Nginx] = []

    def find(behind_nginx: bool) -> int:
        if not behind_nginx:
            return stack.port
        if nginx.PROGRAM is None:
            pytest.skip("no nginx here; .ci/run installs it")
        if not fronts:
            fronts.append(nginx.Nginx(home, stack.port, buffers_requests=False))
        wait_for(lambda: is_responding(f"http://127.0.0.1:{fronts[0].port}/health/live"))
        return fronts[0].port

    try:
        wait_for(lambda: is_responding(f"{stack.address}/health/live"), 60)
        yield find
    finally:
        for front in fronts:
            front.stop()
        stack.stop()


def send(
    port: int, method: str, path: str, body: bytes = b"", *, chunked: bool = False, **headers: str
) -> tuple[int, str, str]:
    """Send a request, its body in two chunks if asked; return status, text and cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    half = len(body) // 2
    content = iter((body[:half], body[half:])) if chunked else body
    connection.request(method, path, content, named, encode_chunked=chunked)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, (answer.headers.get("Set-Cookie") or "").partition(";")[0]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("behind_nginx", [False, True], ids=["direct", "nginx"])
def test_a_webhook_is_checked_by_what_was_sent(
    get_port: GetPort, behind_nginx: bool, chunked: bool
) -> None:
    def post(signed: bytes) -> int:
        key = SECRETS["WHATSAPP_APP_SECRET"].encode()
        return send(
            get_port(behind_nginx),
            "POST",
            "/webhooks/whatsapp",
            BODY,
            chunked=chunked,
            Content_Type="application/json",
            X_Hub_Signature_256=f"sha256={hmac.new(key, signed, hashlib.sha256).hexdigest()}",
            **({"Transfer_Encoding": "chunked"} if chunked else {}),
        )[0]

    assert post(signed=BODY) == 200
    assert post(signed=b"") == 403


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("behind_nginx", [False, True], ids=["direct", "nginx"])
def test_a_form_is_read_whole(get_port: GetPort, behind_nginx: bool, chunked: bool) -> None:
    port = get_port(behind_nginx)
    _, page, cookie = send(port, "GET", "/login")
    (token,) = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page)[:1]
    form = {"csrf_token": token, "email": "ninguem@example.com", "password": "não é esta senha"}
    status, page, _ = send(
        port,
        "POST",
        "/login",
        urllib.parse.urlencode(form).encode(),
        chunked=chunked,
        Cookie=cookie,
        Content_Type="application/x-www-form-urlencoded",
        **({"Transfer_Encoding": "chunked"} if chunked else {}),
    )
    assert (status, "ninguem@example.com" in page) == (401, True)

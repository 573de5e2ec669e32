"""Simulator process and receiver of its webhooks, both on free ports."""

import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOKEN, PHONE, ACCOUNT, SECRET, VERIFY = "token-1", "1001", "2002", "secret-3", "verify-4"
MARIA = "5511987651234"
INSTANT = {
    **dict.fromkeys(("sent_min_s", "sent_max_s", "delivered_min_s", "delivered_max_s"), 0),
    **dict.fromkeys(("read_min_s", "read_max_s"), 0),
    "read_share": 1,
    "batch_window_ms": 5,
}


@dataclass
class Received:
    body: bytes
    signature: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def values(self) -> list[dict[str, Any]]:
        return [change["value"] for entry in self.json["entry"] for change in entry["changes"]]


@dataclass
class Receiver:
    """Webhook endpoint of an application: records every POST and answers what the test wants."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """HTTP statuses of the next answers; 200 if the list is empty."""
    refuses_verification: bool = False

    def statuses(self) -> list[dict[str, Any]]:
        posts = list(self.received)
        return [s for post in posts for value in post.values() for s in value.get("statuses", [])]

    def messages(self) -> list[dict[str, Any]]:
        posts = list(self.received)
        return [m for post in posts for value in post.values() for m in value.get("messages", [])]


@dataclass
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """HTTP client of the simulator."""

    port: int

    def request(
        self, method: str, path: str, body: Any = None, *, timeout: float = 10, **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(
                method, path, raw, {k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def graph(self, path: str) -> Answer:
        return self.request("GET", f"/v25.0{path}", Authorization=f"Bearer {TOKEN}")

    def post_message(self, body: Any, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}
        return self.request("POST", f"/v25.0/{PHONE}/messages", body, **headers, **options)

    def send(self, to: str = MARIA, *, timeout: float = 10, **message: Any) -> Answer:
        """Send a text or another message."""
        content = message if "type" in message else {"type": "text", "text": {"body": "Oi"}}
        return self.post_message(
            {"messaging_product": "whatsapp", "to": to, **content, **message}, timeout=timeout
        )

    def control(self, path: str, body: Any = None) -> Answer:
        if body is None:
            return self.request("GET", f"/_sim{path}")
        return self.request("POST", f"/_sim{path}", body, Content_Type="application/json")

    def settings(self, **changes: Any) -> None:
        answer = self.control("/settings", changes)
        assert answer.status == 200, answer.body

    def write(self, number: str = MARIA, text: str = "Oi", **message: Any) -> str:
        answer = self.control("/inbound", {"from": number, "text": text, **message})
        assert answer.status == 200, answer.body
        return answer.json["id"]

    def upload_file(self, content: bytes, mime_type: str, name: str) -> str:
        """Upload a customer's file; return its id."""
        query = urllib.parse.urlencode({"mime": mime_type, "name": name})
        headers = {"Content_Type": "application/octet-stream"}
        answer = self.request("POST", f"/_sim/media?{query}", content, **headers)
        assert answer.status == 200, answer.body
        return str(answer.json["media_id"])

    def summary(self) -> dict[str, Any]:
        return self.control("/log/summary").json

    def wait_until_idle(self) -> None:
        wait_for(lambda: self.summary()["webhooks_pending"] == 0)


def wait_for(condition: Callable[[], object], seconds: float = 8) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def signature_of(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "WHATSAPP_TOKEN": TOKEN,
        "WHATSAPP_PHONE_NUMBER_ID": PHONE,
        "WHATSAPP_BUSINESS_ACCOUNT_ID": ACCOUNT,
        "WHATSAPP_APP_SECRET": SECRET,
        "WHATSAPP_VERIFY_TOKEN": VERIFY,
        "SIMULATOR_CALLBACK_URL": "http://127.0.0.1:9/hook",
        **changes,
    }


def start(**changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chatbot.simulator"],
        cwd=ROOT,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class _WebhookHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_GET(self) -> None:
        _, _, query = self.path.partition("?")
        fields = dict(pair.split("=") for pair in query.split("&"))
        is_accepted = (
            fields["hub.verify_token"] == VERIFY and not self.receiver.refuses_verification
        )
        self._reply(200 if is_accepted else 403, fields["hub.challenge"].encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.received.append(Received(body, self.headers["X-Hub-Signature-256"]))
        self._reply(self.receiver.answers.pop(0) if self.receiver.answers else 200, b"")

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Ignore webhooks that a reset of the simulator cut off."""


@pytest.fixture(scope="session")
def _webhook_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    server = _Server(
        ("127.0.0.1", 0), type("WebhookHandler", (_WebhookHandler,), {"receiver": receiver})
    )
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def _process(_webhook_receiver: Receiver) -> Iterator[Client]:
    port = free_port()
    process = start(SIMULATOR_PORT=str(port), SIMULATOR_CALLBACK_URL=_webhook_receiver.url)
    assert process.stdout
    assert "Simulador" in process.stdout.readline()
    yield Client(port)
    process.terminate()
    _, errors = process.communicate(timeout=5)
    assert errors == "", "the simulator printed errors"


@pytest.fixture
def receiver(_webhook_receiver: Receiver) -> Receiver:
    return _webhook_receiver


@pytest.fixture
def simulator(_process: Client, _webhook_receiver: Receiver) -> Client:
    """Return the simulator after a reset, with statuses that come at once."""
    assert _process.control("/reset", {}).status == 200
    _process.settings(**INSTANT)
    _webhook_receiver.answers.clear()
    _webhook_receiver.refuses_verification = False
    _webhook_receiver.received.clear()
    return _process

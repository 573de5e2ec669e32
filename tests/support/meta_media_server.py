"""Small server with Meta's media endpoints (look-up, download, upload) and their errors."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.settings import SECRETS

TOKEN = f"Bearer {SECRETS['WHATSAPP_TOKEN']}"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
JPEG = b"\xff\xd8\xff\xe0" + b"j" * 64
OGG = b"OggS\0\2" + b"o" * 5000
PDF = b"%PDF-1.7\n" + b"p" * 64
HTML = b"<!doctype html><script>alert(1)</script>"


@dataclass
class MetaMediaServer:
    """Media server. `files` are keyed by media id; `says` overrides fields of the look-up answer.

    The next `expired_urls` downloads answer 404, as an expired URL does. `upload_answers` are
    (status, body) of the next uploads.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    says: dict[str, Any] = field(default_factory=dict)
    expired_urls: int = 0
    upload_answers: list[tuple[int, Any]] = field(default_factory=list)
    uploads: list[dict[str, bytes]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    lookup_count: int = 0
    downloads: list[str | None] = field(default_factory=list)
    """Authorization header of each download."""
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> MetaMediaServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v25.0"

    def look_up(self, media_id: str) -> tuple[int, Any]:
        self.lookup_count += 1
        content = self.files.get(media_id)
        if content is None:
            error = {
                "code": 100,
                "message": "Unsupported get request",
                "type": "GraphMethodException",
            }
            return 400, {"error": error}
        answer = {"url": f"{self.origin}/file/{media_id}", "file_size": str(len(content)),
                  "messaging_product": "whatsapp", "id": media_id}  # fmt: skip
        return 200, answer | self.says

    def download(self, media_id: str, authorization: str | None) -> tuple[int, bytes]:
        self.downloads.append(authorization)
        if self.expired_urls:
            self.expired_urls -= 1
            return 404, b""
        return (200, self.files[media_id]) if authorization == TOKEN else (401, b"")

    def receive_upload(self, content_type: str, body: bytes) -> tuple[int, Any]:
        whole = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
        parts: dict[str, bytes] = {}
        for part in BytesParser(policy=HTTP).parsebytes(whole).iter_parts():  # type: ignore[attr-defined]
            name = part.get_param("name", header="content-disposition")
            parts[str(name)] = part.get_payload(decode=True)
        self.uploads.append(parts)
        if self.upload_answers:
            return self.upload_answers.pop(0)
        return 200, {"id": f"{9000 + len(self.uploads)}"}


def _handler(meta: MetaMediaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, _, media_id = self.path.split("?")[0].strip("/").partition("/")
            if kind == "file":
                self._send(*meta.download(media_id, self.headers["Authorization"]))
            else:
                self._send(*meta.look_up(media_id))

        def do_POST(self) -> None:
            body = self._body()
            if self.path.endswith("/media"):
                self._send(*meta.receive_upload(self.headers["Content-Type"], body))
            else:
                meta.messages.append(json.loads(body))
                self._send(200, {"success": True})

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers["Content-Length"]))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _send(self, status: int, body: Any) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    return Handler

"""Static files: versioned addresses, compressed, kept for ever by browsers."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chatbot.web.static_files import StaticFiles
from config import ROOT
from tests.support.panel import sign_in

ASSET = re.compile(r'(?:href|src)="(/(?:static|bootstrap)/[^"#]+)')


def test_every_address_of_a_page_is_immutable_and_compressed(app: Flask) -> None:
    client = sign_in(app)
    addresses = set(ASSET.findall(client.get("/").text))
    assert len(addresses) >= 8
    first_view = 0
    for address in addresses:
        answer = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", address
        if len(answer.data) > 500:
            assert answer.headers["Content-Encoding"] == "gzip", address
        first_view += len(answer.data)
    assert first_view < 80_000


def test_a_client_that_takes_no_gzip_gets_the_same_file(client: FlaskClient) -> None:
    packed = client.get("/static/prosa.js", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/static/prosa.js", headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(packed.data) == plain.data
    assert plain.data == (ROOT / "chatbot/static/prosa.js").read_bytes()
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert packed.headers["ETag"] != plain.headers["ETag"]


def test_without_the_present_version_a_browser_asks_again(client: FlaskClient) -> None:
    for address in ("/static/prosa.css", "/static/prosa.css?v=000000000000"):
        answer = client.get(address)
        assert answer.headers["Cache-Control"] == "no-cache"
        again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "../__init__.py", "%2e%2e/__init__.py", ""])
def test_nothing_outside_of_the_folder_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_a_changed_file_gets_another_address(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "a.js"
    path.write_text("1")
    files = StaticFiles({"static": tmp_path}, check_changes=True)
    with app.test_request_context():
        first = files.get_url("a.js")
        path.write_text("22")
        assert files.get_url("a.js") != first
        with pytest.raises(FileNotFoundError):
            files.get_url("b.js")

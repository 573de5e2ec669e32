"""Files: upload, download URLs that expire, and refusals as at Meta."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import MARIA, PHONE, TOKEN, Answer, Client, Receiver

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def upload(simulator: Client, content: bytes, mime_type: str, **fields: str) -> Answer:
    edge = "edge-of-a-part"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"messaging_product": "whatsapp", **fields}.items()
        if value
    ]
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
        f"Content-Type: {mime_type}\r\n\r\n"
    )
    body = "".join(parts).encode() + head.encode() + content + f"\r\n--{edge}--\r\n".encode()
    kind = f"multipart/form-data; boundary={edge}"
    path = f"/v25.0/{PHONE}/media"
    return simulator.request("POST", path, body, Content_Type=kind, **BEARER)


def look_up(simulator: Client, media_id: str) -> dict[str, Any]:
    found: dict[str, Any] = simulator.graph(f"/{media_id}").json
    return found


def download(simulator: Client, url: str, **headers: str) -> Answer:
    parts = urlsplit(url)
    assert parts.netloc == f"127.0.0.1:{simulator.port}"
    return simulator.request("GET", f"{parts.path}?{parts.query}", **headers)


def test_a_download_url_is_valid_for_five_minutes_and_needs_the_token(simulator: Client) -> None:
    media_id = upload(simulator, PNG, "image/png").json["id"]
    url = look_up(simulator, media_id)["url"]
    assert download(simulator, url).status == 401
    answer = download(simulator, url, **BEARER)
    assert (answer.status, answer.body) == (200, PNG)
    assert download(simulator, url.replace("mid=", "mid=9"), **BEARER).status == 404
    simulator.control("/clock", {"advance_s": 301})
    assert download(simulator, url, **BEARER).status == 404
    fresh = look_up(simulator, media_id)["url"]
    assert download(simulator, fresh, **BEARER).status == 200


def test_a_file_ends_after_30_days_or_by_deletion(simulator: Client) -> None:
    first, second = (upload(simulator, PNG, "image/png").json["id"] for _ in range(2))
    assert first != second
    path = f"/v25.0/{first}"
    assert simulator.request("DELETE", path, **BEARER).json == {"success": True}
    assert look_up(simulator, first)["error"]["error_subcode"] == 33
    simulator.control("/clock", {"advance_s": 31 * 86_400})
    assert look_up(simulator, second)["error"]["error_subcode"] == 33


@pytest.mark.parametrize(
    ("content", "mime_type", "fields", "code"),
    [
        (b"a" * 10, "application/zip", {}, 100),
        (PNG + b"\0" * (5 * 1024 * 1024), "image/png", {}, 131053),
        (b"RIFF" + b"\0" * (500 * 1024), "image/webp", {}, 131053),
        (b"", "image/png", {}, 131053),
        (PNG, "image/png", {"messaging_product": ""}, 131008),
    ],
)
def test_a_file_of_the_wrong_type_or_size_is_refused(
    simulator: Client, content: bytes, mime_type: str, fields: dict[str, str], code: int
) -> None:
    answer = upload(simulator, content, mime_type, **fields)
    assert (answer.status, answer.json["error"]["code"]) == (400, code)


def test_an_upload_without_a_form_is_refused(simulator: Client) -> None:
    answer = simulator.request("POST", f"/v25.0/{PHONE}/media", {}, **BEARER)
    assert answer.json["error"]["code"] == 131008


def test_bad_media_is_accepted_and_fails_with_131053(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(service_window=False)
    photo = upload(simulator, PNG, "image/png").json["id"]
    liar = upload(simulator, b"not a picture", "image/png").json["id"]
    good = [{"id": photo}, {"link": "https://exemplo.com.br/a.png"}]
    bad = [{"id": liar}, {"id": "77"}, {"link": "https://nada.invalid/a.png"}]
    for image in good + bad:
        assert simulator.send(type="image", image=image).status == 200
    assert simulator.send(type="audio", audio={"id": photo}).status == 200
    simulator.wait_until_idle()
    failed = [s["errors"][0]["code"] for s in receiver.statuses() if s["status"] == "failed"]
    assert failed == [131053] * 4


def test_a_customers_file_can_be_downloaded_by_id_and_by_url(
    simulator: Client, receiver: Receiver
) -> None:
    media_id = simulator.upload_file(PNG, "image/png", "foto.png")
    simulator.write(type="image", media_id=media_id, text="Veja")
    simulator.wait_until_idle()
    [message] = receiver.messages()
    image = message["image"]
    assert (image["id"], image["mime_type"], image["caption"]) == (media_id, "image/png", "Veja")
    assert download(simulator, image["url"], **BEARER).body == PNG
    assert look_up(simulator, media_id)["file_size"] == len(PNG)
    simulator.settings(wrong_sha256=True)
    assert len(look_up(simulator, media_id)["sha256"]) == 64


def test_a_file_may_be_larger_than_any_message(simulator: Client) -> None:
    content = b"%PDF" + b"\0" * (6 * 1024 * 1024)
    media_id = upload(simulator, content, "application/pdf").json["id"]
    assert look_up(simulator, media_id)["file_size"] == len(content)
    assert simulator.upload_file(content, "application/pdf", "a.pdf")
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    connection.request("GET", f"/_sim/media/{media_id}")
    answer = connection.getresponse()
    assert len(answer.read()) == len(content)
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    connection.close()


def test_a_mime_type_that_is_invalid_in_a_header_is_refused(simulator: Client) -> None:
    assert upload(simulator, PNG, "image/png", type="image/png; a\u00e7=b").status == 400
    path = "/_sim/media?mime=image/png%0d%0aSet-Cookie:a"
    answer = simulator.request("POST", path, PNG, Content_Type="application/octet-stream")
    assert (answer.status, "mime" in answer.json["error"]) == (400, True)


def test_a_customer_cannot_send_an_unknown_file(simulator: Client) -> None:
    answer = simulator.control("/inbound", {"from": MARIA, "type": "image", "media_id": "1"})
    assert (answer.status, "media_id" in json.loads(answer.body)["error"]) == (400, True)

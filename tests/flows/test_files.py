"""Files both ways, through a real web process, workers and simulator, on an agent's open page."""

from __future__ import annotations

import json
import struct
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.flows.conftest import StackMaker
from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.meta_media_server import PDF
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.stack_users import create_users, sign_in

pytestmark = [pytest.mark.flow, pytest.mark.browser, pytest.mark.timeout(240)]

MARIA = "5511987650001"
PATIENCE_MS = 30_000


@pytest.fixture
def served(make_stack: StackMaker, own_redis: RedisServer) -> Stack:
    stack = make_stack(own_redis.url)
    stack.flask("demo", "load")
    create_users(stack)
    return stack.start("simulator", "web", "inbound", "replies", "media")


@pytest.fixture
def page(served: Stack) -> Iterator[Page]:
    with launch_chromium() as browser:
        page = browser.new_page(locale="pt-BR")
        complaints = collect_console_errors(page)
        sign_in(page, served, "agent")
        yield page
        assert complaints == []


def picture() -> bytes:
    """A PNG of one dot, which a browser can draw."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    dots = zlib.compress(b"\0\x80")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", dots) + chunk(b"IEND", b"")


def sends_picture(stack: Stack, wa_id: str, words: str) -> None:
    request = urllib.request.Request(
        f"{stack.simulator_address}/_sim/media?mime=image/png&name=foto.png",
        data=picture(),
        headers={"Content-Type": "application/octet-stream"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        media_id = json.load(answer)["media_id"]
    message = {"from": wa_id, "name": "Maria", "type": "image", "media_id": media_id}
    stack.simulator("inbound", message | {"text": words})


def documents_to(stack: Stack, wa_id: str) -> list[dict[str, Any]]:
    thread = stack.simulator(f"chat/{wa_id}")["messages"]
    contents = [m["content"] for m in thread if m["direction"] == "outbound"]
    return [content["document"] for content in contents if content.get("type") == "document"]


def test_a_picture_appears_on_the_open_page_and_a_document_reaches_the_phone(
    served: Stack, page: Page
) -> None:
    served.send_as_customer(MARIA, "oi")
    wait_for(lambda: served.replies_to(MARIA), 60)
    page.goto(f"{served.address}/conversations/")
    page.get_by_role("link", name="Maria").first.click()
    sends_picture(served, MARIA, "olha a conta")
    shown = page.locator("#messages .bubble-picture img")
    expect(shown).to_be_visible(timeout=PATIENCE_MS)
    wait_for(lambda: shown.evaluate("image => image.naturalWidth") == 1, 30)

    page.locator("#file").set_input_files(
        {"name": "fatura.pdf", "mimeType": "application/pdf", "buffer": PDF}
    )
    page.locator("#text").fill("segue a fatura")
    page.locator("#send").click()
    document = wait_for(lambda: documents_to(served, MARIA), 60)[0]  # type: ignore[index]
    assert (document["caption"], document["filename"]) == ("segue a fatura", "fatura.pdf")
    address = f"{served.simulator_address}/_sim/media/{document['id']}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read() == PDF
    # Once it is there, the page no longer says that it is being uploaded.
    sent = page.locator("#messages .bubble", has_text="segue a fatura")
    expect(sent.locator(".bubble-file")).to_contain_text("fatura.pdf", timeout=PATIENCE_MS)
    expect(sent).not_to_contain_text("sendo enviado", timeout=PATIENCE_MS)

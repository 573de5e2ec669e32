"""A customer writes on the phone page and gets the right answer within three seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.flows.conftest import StackMaker
from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack

pytestmark = pytest.mark.flow

MARIA = "5511987650001"  # the first of the demo customers; she has an open invoice
PATIENCE_S = 10  # on a busy machine


@pytest.fixture
def chatting(stack: Stack) -> Stack:
    stack.flask("demo", "load")
    return stack


def ask(stack: Stack, text: str, wa_id: str = MARIA) -> list[str]:
    """What is answered to `text`."""
    before = len(stack.replies_to(wa_id))
    stack.send_as_customer(wa_id, text)
    wait_for(lambda: len(stack.replies_to(wa_id)) > before, PATIENCE_S)
    time.sleep(0.5)  # several messages may belong to one answer
    return stack.replies_to(wa_id)[before:]


def test_the_four_questions_of_a_first_day(chatting: Stack) -> None:
    assert "assistente virtual" in ask(chatting, "oi")[0]
    boleto, hint, pix = ask(chatting, "quero meu boleto")
    assert "R$ " in boleto
    assert "75690" in boleto
    assert "Pix" in hint
    assert pix.startswith("000201")
    assert "atendente" in ask(chatting, "falar com atendente")[0]
    # Honoured although a person has the conversation by now.
    assert "não recebe mais mensagens" in ask(chatting, "SAIR")[0]


def test_a_chat_goes_on_through_an_emptied_and_a_dead_redis(
    chatting: Stack, own_redis: RedisServer
) -> None:
    ask(chatting, "oi")
    own_redis.flush()
    assert "R$ " in ask(chatting, "qual o valor da minha conta?")[0]
    own_redis.kill()
    assert ask(chatting, "me manda o pix")[-1].startswith("000201")
    own_redis.start()
    assert ask(chatting, "obrigada")


def test_a_burst_is_answered_once(chatting: Stack) -> None:
    for text in ("oi", "bom dia", "queria a segunda via", "do boleto"):
        chatting.send_as_customer(MARIA, text)
    wait_for(lambda: chatting.replies_to(MARIA), PATIENCE_S)
    time.sleep(2.5)
    replies = chatting.replies_to(MARIA)
    assert len([text for text in replies if "75690" in text]) == 1
    assert not [text for text in replies if "assistente virtual" in text]


def test_a_worker_killed_in_a_chat_neither_loses_nor_doubles(
    make_stack: StackMaker, own_redis: RedisServer
) -> None:
    stack = make_stack(own_redis.url).start()
    stack.flask("demo", "load")
    people = [f"55119876{n:05d}" for n in range(20)]
    for person in people:
        stack.send_as_customer(person, "oi")
    stack.kill("inbound")
    stack.kill("replies")
    stack.spawn("inbound")
    stack.spawn("replies")
    wait_for(lambda: all(stack.replies_to(person) for person in people), 60)
    time.sleep(2)
    assert {person: len(stack.replies_to(person)) for person in people} == dict.fromkeys(people, 1)


@pytest.fixture
def phone(chatting: Stack) -> Iterator[Page]:
    with launch_chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844}, locale="pt-BR")
        complaints = collect_console_errors(page)
        page.goto(f"{chatting.simulator_address}/?numero={MARIA}&nome=Maria")
        yield page
        assert complaints == []


@pytest.mark.browser
def test_on_the_phone_page_in_a_real_browser(phone: Page) -> None:
    for text, answer in (
        ("oi", "assistente virtual"),
        ("quero meu boleto", "Linha digitável"),
        ("falar com atendente", "chamando um atendente"),
        ("SAIR", "não recebe mais mensagens"),
    ):
        phone.get_by_role("textbox", name="Mensagem").fill(text)
        phone.keyboard.press("Enter")
        expect(phone.get_by_text(answer).last).to_be_visible(timeout=PATIENCE_S * 1000)

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.conversations.models import Author, ConversationState, Message
from chatbot.conversations.service import assign, hand_off
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from tests.support.panel import (
    find_user,
    make_contact,
    make_conversation,
    make_message,
    make_user,
    reload_conversation,
    sign_in,
)

XSS = "<script>alert(1)</script>"


@pytest.fixture
def app(any_app: Flask) -> Flask:
    """Run each test on every configured database."""
    return any_app


@pytest.fixture
def ana(app: Flask) -> FlaskClient:
    return sign_in(app, "Ana")


def replies() -> list[Message]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Message).where(Message.author == Author.AGENT)))


def test_waiting_starts_with_the_first_handoff_and_ends_with_any_other_state(app: Flask) -> None:
    user, conversation = make_user("Ana"), make_conversation(make_contact("Maria"))
    assert conversation.waiting_since is None
    hand_off(conversation, "complaint")
    began = conversation.waiting_since
    hand_off(conversation, "bot_failed")
    assert began is not None
    assert conversation.waiting_since == began
    assign(conversation, user.id)
    assert conversation.waiting_since is None


class TestList:
    def test_an_empty_inbox_shows_help(self, ana: FlaskClient) -> None:
        assert "empty" in ana.get("/conversations/").text

    def test_each_filter_shows_its_conversations(self, ana: FlaskClient) -> None:
        me = find_user("Ana").id
        states = {
            "bot": ("Bia", ConversationState.BOT, None),
            "waiting": ("Wanda", ConversationState.WAITING, None),
            "mine": ("Mila", ConversationState.ASSIGNED, me),
            "closed": ("Clara", ConversationState.CLOSED, None),
        }
        for number, (name, state, owner) in enumerate(states.values()):
            contact = make_contact(name, f"551198765000{number}")
            make_conversation(contact, state=state, assigned_user_id=owner)
        for inbox, (name, _, _) in states.items():
            page = ana.get(f"/conversations/?inbox={inbox}").text
            shown = [other for other, _, _ in states.values() if f"<strong>{other}<" in page]
            assert shown == [name]
        assert all(name in ana.get("/conversations/").text for name, _, _ in states.values())

    @pytest.mark.parametrize(
        "typed", ["conceicao", "CONCEIÇÃO", "josé c", "(11) 98765-0001", "11 8765-0001", "65-0001"]
    )
    def test_search_ignores_accents_and_spellings_of_a_phone(
        self, ana: FlaskClient, typed: str
    ) -> None:
        make_conversation(make_contact("José Conceição", "5511987650001"))
        make_conversation(make_contact("Outra Pessoa", "5511912340002"))
        page = ana.get("/conversations/", query_string={"q": typed}).text
        assert "José Conceição" in page
        assert "Outra Pessoa" not in page

    def test_search_treats_wildcards_as_text(self, ana: FlaskClient) -> None:
        make_conversation(make_contact("Maria"))
        assert "Maria" not in ana.get("/conversations/?q=%25").text
        assert "Maria" not in ana.get("/conversations/?q=M_ria").text

    def test_names_and_messages_are_escaped(self, ana: FlaskClient) -> None:
        make_conversation(make_contact(f"Eva {XSS}"), last_message_text=XSS)
        page = ana.get("/conversations/", query_string={"q": "Eva"}).text
        assert "&lt;script&gt;alert" in page
        assert XSS not in page
        assert XSS not in ana.get("/conversations/", query_string={"q": XSS}).text

    def test_pages_neither_lose_nor_repeat_rows_with_equal_times(self, ana: FlaskClient) -> None:
        same = clock.now()
        for number in range(65):
            contact = make_contact(f"Pessoa {number:02d}", f"55119876501{number:02d}")
            make_conversation(contact, last_message_at=same)
        seen: list[str] = []
        address = "/conversations/"
        for _ in range(5):
            page = ana.get(address).text
            seen += [part[:2] for part in page.split("<strong>Pessoa ")[1:]]
            if 'rel="next"' not in page:
                break
            address = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            assert "OFFSET" not in address.upper()
        assert seen == [f"{number:02d}" for number in reversed(range(65))]

    def test_waiting_conversations_show_the_longest_wait_first_with_reason_and_last_words(
        self, ana: FlaskClient
    ) -> None:
        for number in range(40):
            conversation = make_conversation(
                make_contact(f"Pessoa {number:02d}", f"55119876501{number:02d}"),
                last_message_text="Estou chamando um atendente.",
                last_inbound_text=f"preciso de ajuda {number}",
            )
            hand_off(conversation, "complaint")
            conversation.waiting_since = clock.now() - timedelta(hours=number)
        db.session.commit()
        page = ana.get("/conversations/?inbox=waiting").text
        shown = [part[:2] for part in page.split("<strong>Pessoa ")[1:]]
        assert shown == [f"{number:02d}" for number in range(39, 9, -1)]
        assert "preciso de ajuda 39" in page
        assert "reclama" in page
        assert "chamando um atendente" not in page
        address = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        rest = ana.get(address).text
        shown = [part[:2] for part in rest.split("<strong>Pessoa ")[1:]]
        assert shown == [f"{number:02d}" for number in range(9, -1, -1)]

    def test_a_broken_cursor_is_refused_with_a_message(self, ana: FlaskClient) -> None:
        for after in ("x", "2026-01-01~1", "~", "2026-01-01T00:00:00+00:00~-1"):
            answer = ana.get("/conversations/", query_string={"after": after})
            assert answer.status_code == 422, after

    def test_the_refreshed_part_shows_unread_counts(self, ana: FlaskClient) -> None:
        make_conversation(make_contact("Maria"), unread_count=3)
        page = ana.get("/conversations/rows").text
        assert "<html" not in page
        assert 'class="unread"><span aria-hidden="true">3<' in page


class TestThread:
    def test_a_thread_shows_messages_ticks_and_failures(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        make_message(conversation, "oi")
        make_message(conversation, "*oi*", author=Author.BOT, state=MessageState.READ)
        make_message(conversation, "aqui", author=Author.BOT, state=MessageState.QUEUED)
        make_message(
            conversation, "não vai", author=Author.BOT, state=MessageState.FAILED, error_code=131026
        )
        make_message(conversation, "", kind="image")
        page = ana.get(f"/conversations/{conversation.id}").text
        assert "bubble-contact" in page
        assert "<strong>oi</strong>" in page
        assert "tick-read" in page
        assert "#clock" in page
        assert "bubble-error" in page
        assert "131026" not in page.split("bubble-error")[1]
        assert "#image" in page

    def test_text_is_escaped_and_only_formatting_becomes_html(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact(f"Eva {XSS}"))
        make_message(
            conversation, f'*{XSS}* https://x.example/?a=1&b="onmouseover=alert(1) javascript:x'
        )
        page = ana.get(f"/conversations/{conversation.id}").text
        assert XSS not in page
        assert "<strong>&lt;script&gt;" in page
        assert 'href="https://x.example/?a=1&amp;b="' in page
        assert 'href="javascript' not in page

    def test_older_pages_repeat_no_message(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        same = clock.now()
        ids = [make_message(conversation, f"m{number}", same).id for number in range(120)]
        seen: list[int] = []
        address = f"/conversations/{conversation.id}"
        for expected in (50, 50, 20):
            page = ana.get(address).text
            found = [
                int(part.split('"')[0]) for part in page.split('" id="m')[1:] if part[0].isdigit()
            ]
            assert len(found) == expected
            seen = found + seen
            if 'id="older"' in page:
                address = page.split('id="older" href="')[1].split('"')[0].replace("&amp;", "&")
        assert seen == ids

    def test_an_unknown_conversation_is_a_404_with_a_message(self, ana: FlaskClient) -> None:
        for path in ("/conversations/999", "/conversations/999/live"):
            assert ana.get(path).status_code == 404
        for act in ("reply", "take", "close", "hand-off", "hand-back", "read"):
            assert ana.post(f"/conversations/999/{act}", data={"text": "x"}).status_code == 404

    def test_live_returns_messages_newer_than_the_page(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        first = make_message(conversation, "primeira", author=Author.BOT, state=MessageState.QUEUED)
        page = ana.get(f"/conversations/{conversation.id}").text
        address = page.split('data-refresh-url="')[1].split('"')[0].replace("&amp;", "&")
        before = ana.get(address).json
        first.state = MessageState.DELIVERED
        make_message(conversation, "segunda")
        after = ana.get(address).json
        assert "segunda" not in before["messages"]
        assert "segunda" in after["messages"]
        assert "primeira" in after["messages"]
        assert 'data-version="delivered' in after["messages"]


class TestReply:
    def test_a_reply_is_queued_and_assigns_the_conversation(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact(), state=ConversationState.WAITING)
        answer = ana.post(
            f"/conversations/{conversation.id}/reply", data={"text": "Já vejo.\r\nAna"}
        )
        assert answer.status_code == 303
        (sent,) = replies()
        assert (sent.text, sent.state, sent.user_id) == (
            "Já vejo.\nAna",
            MessageState.QUEUED,
            find_user("Ana").id,
        )
        assert reload_conversation(conversation).assigned_user_id == find_user("Ana").id

    def test_a_form_submitted_twice_queues_one_message(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        form = {"text": "uma vez", "client_token": "t1"}
        for _ in range(2):
            assert ana.post(f"/conversations/{conversation.id}/reply", data=form).status_code == 303
        assert len(replies()) == 1
        ana.post(f"/conversations/{conversation.id}/reply", data=form | {"client_token": "t2"})
        assert len(replies()) == 2

    def test_a_client_token_applies_to_one_conversation(self, ana: FlaskClient) -> None:
        one = make_conversation(make_contact("Um", "5511987650001"))
        two = make_conversation(make_contact("Dois", "5511987650002"))
        for conversation in (one, two):
            form = {"text": "oi", "client_token": "same"}
            assert ana.post(f"/conversations/{conversation.id}/reply", data=form).status_code == 303
        assert len(replies()) == 2

    @pytest.mark.parametrize("text", ["", "   ", "x" * 4097])
    def test_a_refused_text_stays_in_the_form_with_the_reason(
        self, ana: FlaskClient, text: str
    ) -> None:
        conversation = make_conversation(make_contact())
        answer = ana.post(
            f"/conversations/{conversation.id}/reply",
            data={"text": text, "client_token": "keep-me"},
        )
        assert answer.status_code == 422
        assert "field-error" in answer.text
        assert "keep-me" in answer.text
        if text.strip():
            assert text in answer.text
        assert replies() == []

    def test_a_closed_window_keeps_the_typed_text(self, ana: FlaskClient) -> None:
        late = clock.now() - timedelta(hours=25)
        conversation = make_conversation(make_contact(), last_inbound_at=late)
        answer = ana.post(f"/conversations/{conversation.id}/reply", data={"text": "meu texto"})
        assert answer.status_code == 409
        assert "meu texto" in answer.text
        assert "24" in answer.text.split('class="field-error"')[1][:400]
        assert replies() == []
        assert reload_conversation(conversation).assigned_user_id is None

    def test_4096_characters_are_sent_with_a_line_break_counted_as_one(
        self, ana: FlaskClient
    ) -> None:
        conversation = make_conversation(make_contact())
        text = "a\r\n" * 2047 + "bb"
        answer = ana.post(f"/conversations/{conversation.id}/reply", data={"text": text})
        assert answer.status_code == 303
        assert len(replies()[0].text) == 4096

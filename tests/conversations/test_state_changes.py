from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chatbot.conversations import service
from chatbot.conversations.models import ConversationState
from tests.support.panel import (
    find_user,
    make_contact,
    make_conversation,
    make_user,
    reload_conversation,
    sign_in,
)


@pytest.fixture
def app(any_app: Flask) -> Flask:
    """Run each test on every configured database."""
    return any_app


@pytest.fixture
def ana(app: Flask) -> FlaskClient:
    return sign_in(app, "Ana")


class TestStateChanges:
    def test_the_second_agent_to_take_a_conversation_sees_who_has_it(
        self, app: Flask, ana: FlaskClient
    ) -> None:
        bruno = sign_in(app, "Bruno")
        conversation = make_conversation(make_contact(), state=ConversationState.WAITING)
        assert ana.post(f"/conversations/{conversation.id}/take").status_code == 303
        answer = bruno.post(f"/conversations/{conversation.id}/take")
        assert answer.status_code == 409
        assert "Ana" in answer.text.split('role="alert"')[1][:500]
        assert reload_conversation(conversation).assigned_user_id == find_user("Ana").id

    def test_taking_a_conversation_twice_changes_nothing(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        for _ in range(2):
            assert ana.post(f"/conversations/{conversation.id}/take").status_code == 303

    @pytest.mark.parametrize(
        ("act", "becomes"),
        [
            ("hand-off", ConversationState.WAITING),
            ("hand-back", ConversationState.BOT),
            ("close", ConversationState.CLOSED),
        ],
    )
    def test_each_state_change_frees_the_conversation(
        self, ana: FlaskClient, act: str, becomes: ConversationState
    ) -> None:
        me = find_user("Ana").id
        conversation = make_conversation(
            make_contact(), state=ConversationState.ASSIGNED, assigned_user_id=me, unread_count=2
        )
        seen = service.get_state_token(conversation)
        answer = ana.post(f"/conversations/{conversation.id}/{act}", data={"seen": seen})
        assert answer.status_code == 303
        moved = reload_conversation(conversation)
        assert (moved.state, moved.assigned_user_id) == (becomes, None)
        bruno = make_user("Bruno").id
        service.assign(moved, bruno)  # another agent may take it now

    def test_a_state_change_from_an_outdated_page_is_refused(
        self, app: Flask, ana: FlaskClient
    ) -> None:
        conversation = make_conversation(make_contact())
        seen = service.get_state_token(conversation)
        sign_in(app, "Bruno").post(f"/conversations/{conversation.id}/take")
        answer = ana.post(f"/conversations/{conversation.id}/close", data={"seen": seen})
        assert answer.status_code == 409
        assert reload_conversation(conversation).state == ConversationState.ASSIGNED

    def test_only_the_assignee_marks_as_read(self, app: Flask, ana: FlaskClient) -> None:
        me = find_user("Ana").id
        conversation = make_conversation(
            make_contact(), state=ConversationState.ASSIGNED, assigned_user_id=me, unread_count=2
        )
        bruno = sign_in(app, "Bruno")
        bruno.post(f"/conversations/{conversation.id}/read")
        assert reload_conversation(conversation).unread_count == 2
        ana.post(f"/conversations/{conversation.id}/read")
        assert reload_conversation(conversation).unread_count == 0

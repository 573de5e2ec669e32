"""Sockets are closed when their session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role, User
from chatbot.core.db import db
from chatbot.realtime import websocket
from tests.support.asgi import LiveSocketClient, get_session_cookie, run_async, run_live_app
from tests.support.clients import PanelClient, make_signed_in_client


def sign_out(client: PanelClient, _user_id: int) -> None:
    client.post("/logout")


def close_account(_client: PanelClient, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(is_active=False))
    db.session.commit()


def change_role(_client: PanelClient, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(role=Role.MANAGER))
    db.session.commit()


def change_password(_client: PanelClient, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(session_epoch=99))
    db.session.commit()


@pytest.mark.parametrize("end", [sign_out, close_account, change_role, change_password])
def test_the_socket_of_an_ended_session_is_closed(
    any_app: Flask, end: Callable[[PanelClient, int], None]
) -> None:
    client, user = make_signed_in_client(any_app)
    user_id = user.id
    other = get_session_cookie(make_signed_in_client(any_app, name="Bia")[0])
    cookie = get_session_cookie(client)

    async def story() -> None:
        async with run_live_app(any_app) as live:
            page, stays = (
                LiveSocketClient(live, "health", cookie),
                LiveSocketClient(live, "health", other),
            )
            await page.wait_for_event("hello")
            await stays.wait_for_event("hello")
            assert await live.check_sessions()
            assert page.is_open
            await asyncio.to_thread(with_context, any_app, end, client, user_id)
            assert await live.check_sessions()
            await page.wait_closed()
            assert page.close_code == websocket.CLOSE_UNAUTHENTICATED
            assert stays.is_open

    run_async(story())
    # Sessions are checked at least once a minute.
    assert websocket.SESSION_CHECK_S < 60
    assert websocket.MAX_UNCHECKED_S < 60


def with_context(app: Flask, end: Callable[[PanelClient, int], None], *arguments: Any) -> None:
    with app.app_context():
        end(*arguments)

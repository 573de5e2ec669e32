"""A socket lives no longer than the session that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role, User
from chatbot.core.db import db
from chatbot.realtime import door
from tests.support.asgi import Page, cookie_of, run, running
from tests.support.visitors import Visitor, signed_in


def sign_out(client: Visitor, _user_id: int) -> None:
    client.post("/logout")


def close_account(_client: Visitor, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(is_active=False))
    db.session.commit()


def change_role(_client: Visitor, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(role=Role.MANAGER))
    db.session.commit()


def change_password(_client: Visitor, user_id: int) -> None:
    db.session.execute(sa.update(User).where(User.id == user_id).values(session_epoch=99))
    db.session.commit()


@pytest.mark.parametrize("end", [sign_out, close_account, change_role, change_password])
def test_the_socket_of_a_session_that_ended_is_closed(
    any_app: Flask, end: Callable[[Visitor, int], None]
) -> None:
    client, user = signed_in(any_app)
    user_id = user.id
    other = cookie_of(signed_in(any_app, name="Bia")[0])
    cookie = cookie_of(client)

    async def story() -> None:
        async with running(any_app) as live:
            page, stays = Page(live, "health", cookie), Page(live, "health", other)
            await page.hears("hello")
            await stays.hears("hello")
            assert await live.check()
            assert page.is_open
            await asyncio.to_thread(with_context, any_app, end, client, user_id)
            assert await live.check()
            await page.ends()
            assert page.close_code == door.STRANGER
            assert stays.is_open

    run(story())
    # Looked at often enough that a minute is not over before.
    assert door.CHECK_S < 60
    assert door.UNCHECKED_S < 60


def with_context(app: Flask, end: Callable[[Visitor, int], None], *arguments: Any) -> None:
    with app.app_context():
        end(*arguments)

"""Hashing of passwords: few at a time, however many people and guessers come at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts import passwords
from chatbot.accounts.models import FailedSignIn, PasswordLink, Role
from chatbot.accounts.passwords import MAX_CONCURRENT_HASHES, HashingBusy, verify_password
from chatbot.core.db import db
from tests.accounts.test_users import invite
from tests.conftest import PRODUCTION_HASHER
from tests.support.clients import make_client, make_signed_in_client
from tests.support.panel import PASSWORD, make_user
from tests.support.ports import wait_for

CALLERS = 6


class SlowHasher:
    """Hasher that waits until it is let go, and records how many waited at once."""

    def __init__(self) -> None:
        self.inside = self.most_inside = 0
        self.lock, self.go = threading.Lock(), threading.Event()

    def verify(self, _stored: str, _password: str) -> bool:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        assert self.go.wait(30)
        with self.lock:
            self.inside -= 1
        return True


@pytest.fixture
def slow_hasher(monkeypatch: pytest.MonkeyPatch) -> SlowHasher:
    found = SlowHasher()
    monkeypatch.setattr(passwords, "_hasher", found)
    return found


def test_two_passwords_are_checked_at_once_and_others_wait(slow_hasher: SlowHasher) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        found = [pool.submit(verify_password, "hash", "x") for _ in range(CALLERS)]
        wait_for(lambda: slow_hasher.inside == MAX_CONCURRENT_HASHES)
        slow_hasher.go.set()
        assert all(future.result() for future in found)
    assert slow_hasher.most_inside == MAX_CONCURRENT_HASHES == 2


def test_who_waits_too_long_gets_an_error_and_the_turns_are_free_again(
    slow_hasher: SlowHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    with ThreadPoolExecutor(MAX_CONCURRENT_HASHES) as pool:
        found = [pool.submit(verify_password, "hash", "x") for _ in range(MAX_CONCURRENT_HASHES)]
        wait_for(lambda: slow_hasher.inside == MAX_CONCURRENT_HASHES)
        with pytest.raises(HashingBusy):
            verify_password("hash", "x")
        slow_hasher.go.set()
        assert all(future.result() for future in found)
    assert verify_password("hash", "x")


def test_all_hashes_of_a_process_take_at_most_128_mib() -> None:
    assert MAX_CONCURRENT_HASHES * PRODUCTION_HASHER.memory_cost <= 128 * 1024


@pytest.fixture
def _all_turns_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    monkeypatch.setattr(passwords, "_turns", threading.BoundedSemaphore(1))
    assert passwords._turns.acquire(timeout=0)


def test_a_sign_in_without_a_turn_is_a_503_and_no_failure(
    app: Flask, request: pytest.FixtureRequest
) -> None:
    user = make_user("Ana")
    client, _ = make_signed_in_client(app, Role.ADMIN, "Bia")
    link = invite(client, "caio@prosa.example")
    request.getfixturevalue("_all_turns_taken")
    forms = {
        "/login": {"email": user.email, "password": PASSWORD},
        link: {"password": "a new long password", "repeated": "a new long password"},
    }
    for path, form in forms.items():
        answer = make_client(app).post(path, data=form)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "Tente de novo em alguns segundos" in answer.text
    change = {"present": PASSWORD, "password": "another password", "repeated": "another password"}
    answer = client.post("/account/password", data=change)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(FailedSignIn)) == 0
    assert db.session.scalars(sa.select(PasswordLink.used_at)).all() == [None]

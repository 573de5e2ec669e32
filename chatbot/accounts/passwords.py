"""Hashing of passwords, few at a time: each hash takes 64 MiB of memory while it is computed."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chatbot.core.errors import InvalidInput, Unavailable
from chatbot.core.i18n import N_

MIN_PASSWORD = 10
# At once in a process, so hashing takes at most 128 MiB of it. A hash takes about a tenth of a second.
MAX_CONCURRENT_HASHES = 2
WAIT_S = 1.0  # for a turn; the thread serves no page meanwhile

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(MAX_CONCURRENT_HASHES)


class HashingBusy(Unavailable):
    """Too many passwords are being checked at once in this process."""

    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__(N_("Too many people are signing in just now. Try again in a few seconds."))


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_S):
        raise HashingBusy
    try:
        yield
    finally:
        _turns.release()


def hash_password(password: str) -> str:
    """Return the hash to store. Call it outside a transaction: it takes long.

    White space around a password, which a paste often adds, is never part of it.

    Raises:
        InvalidInput: the password is too short.
        HashingBusy: others are being hashed.
    """
    password = password.strip()
    if len(password) < MIN_PASSWORD:
        raise InvalidInput(
            "A password needs at least %(least)s characters.", field="password", least=MIN_PASSWORD
        )
    with _turn():
        return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Return whether the password is right; without a stored hash it takes as long and returns False.

    Raises:
        HashingBusy: others are being checked.
    """
    with _turn():
        try:
            return _hasher.verify(stored or _dummy_hash(), password.strip()) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _dummy_hash() -> str:
    """Return a hash to verify for unknown accounts, so that timing does not reveal which exist."""
    return _hasher.hash(secrets.token_hex(16))


def generate_password() -> str:
    return secrets.token_urlsafe(12)

"""Secrets at rest: encrypted in the database, found by a hash, re-made when the key changes."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.core import secrets
from chatbot.core.db import db
from chatbot.core.secrets import EncryptedText, LookupHash, UnreadableSecret

METADATA = sa.MetaData()
KEYS = sa.Table(
    "test_keys",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", EncryptedText),
    sa.Column("token_hash", LookupHash("token")),
    sa.Column("note", EncryptedText),
)
NEW_KEY = "n" * 40


@pytest.fixture
def connection(app: Flask):
    """A connection to a table with encrypted columns and two rows."""
    with db.engine.begin() as found:
        METADATA.create_all(found)
        found.execute(KEYS.insert(), [_row(1, "EAAG-é1", "ação"), _row(2, "EAAG-2", None)])
        yield found


def _row(row_id: int, token: str, note: str | None) -> dict[str, object]:
    return {"id": row_id, "token": token, "token_hash": secrets.lookup_hash(token), "note": note}


def _use_keys(app: Flask, newest: str, *older: str) -> None:
    app.config.update(SECRET_KEY=newest, SECRET_KEY_FALLBACKS=list(older))


def _find(connection: sa.Connection, token: str) -> int | None:
    where = KEYS.c.token_hash.in_(secrets.lookup_hashes(token))
    found: int | None = connection.scalar(sa.select(KEYS.c.id).where(where))
    return found


def test_the_database_holds_neither_the_text_nor_a_plain_hash(connection: sa.Connection) -> None:
    raw = str(connection.execute(sa.text("SELECT * FROM test_keys")).all())
    assert "EAAG" not in raw
    assert "ação" not in raw
    assert secrets.lookup_hash("EAAG-2") in raw
    assert connection.execute(sa.select(KEYS.c.token, KEYS.c.note)).all() == [
        ("EAAG-é1", "ação"),
        ("EAAG-2", None),
    ]


def test_the_same_text_is_stored_differently_each_time(app: Flask) -> None:
    assert secrets.encrypt("x") != secrets.encrypt("x")
    assert secrets.lookup_hash("x") == secrets.lookup_hash("x")


def test_a_rotation_keeps_old_secrets_readable_and_makes_the_old_key_unneeded(
    app: Flask, connection: sa.Connection
) -> None:
    old_key = app.config["SECRET_KEY"]
    try:
        _use_keys(app, NEW_KEY, old_key)
        assert _find(connection, "EAAG-2") == 2, "found by the old key's hash"
        assert connection.scalar(sa.select(KEYS.c.token).where(KEYS.c.id == 1)) == "EAAG-é1"
        assert secrets.rotate(connection, METADATA) == 2
        _use_keys(app, NEW_KEY)
        assert _find(connection, "EAAG-2") == 2
        assert connection.scalars(sa.select(KEYS.c.note).order_by(KEYS.c.id)).all() == [
            "ação",
            None,
        ]
    finally:
        _use_keys(app, old_key)


def test_a_wrong_key_is_told_in_one_sentence(app: Flask, connection: sa.Connection) -> None:
    old_key = app.config["SECRET_KEY"]
    try:
        _use_keys(app, NEW_KEY)
        with pytest.raises(UnreadableSecret, match="SECRET_KEY_FALLBACKS"):
            connection.scalar(sa.select(KEYS.c.token))
        with pytest.raises(UnreadableSecret):
            secrets.rotate(connection, METADATA)
    finally:
        _use_keys(app, old_key)


def test_a_changed_text_is_not_believed(app: Flask) -> None:
    stored = secrets.encrypt("pix-key")
    with pytest.raises(UnreadableSecret):
        secrets.decrypt(stored[:-4] + "AAAA")


def test_white_space_around_a_secret_is_not_stored_and_not_searched(
    app: Flask, connection: sa.Connection
) -> None:
    connection.execute(KEYS.insert(), [_row(3, " EAAG-3\r\n", "\tnote\n")])
    is_third = KEYS.c.token_hash.in_(secrets.lookup_hashes("EAAG-3\n"))
    row = connection.execute(sa.select(KEYS).where(is_third)).one()
    assert (row.id, row.token, row.note) == (3, "EAAG-3", "note")

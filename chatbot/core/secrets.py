"""Secrets at rest: text that the database holds encrypted, and keyed hashes to look it up by.

The keys are derived from SECRET_KEY. What an older key wrote stays readable while that key stands in
SECRET_KEY_FALLBACKS, as Flask calls it; `rotate` writes everything again with the newest. This module knows
no table: it finds the columns by their type.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from chatbot.core.db import Base
from chatbot.core.errors import AppError

KEY_BYTES = 32


class UnreadableSecret(AppError):
    """A stored secret that none of the present keys can read."""

    status = 500

    def __init__(self) -> None:
        super().__init__(
            "A stored secret can't be read with the present SECRET_KEY: add the key it was stored with to "
            "SECRET_KEY_FALLBACKS."
        )


def encrypt(text: str) -> str:
    """Return `text`, without white space around it, encrypted with the newest key, as printable ASCII.

    A pasted token often ends in a line break, with which it is wrong in a header.
    """
    return _cipher().encrypt(text.strip().encode()).decode()


def decrypt(token: str) -> str:
    """Return the text that `encrypt` was given.

    Raises:
        UnreadableSecret: no present key wrote it, or it was changed.
    """
    try:
        return _cipher().decrypt(token.encode()).decode()
    except InvalidToken:
        raise UnreadableSecret from None


def lookup_hash(text: str) -> str:
    """Return the hash under which `text` is stored: 64 hex digits, useless without the key."""
    return lookup_hashes(text)[0]


def lookup_hashes(text: str) -> list[str]:
    """Return the hashes that `text` may be stored under, the newest key's first."""
    keys = [_derive(key, b"prosa lookup") for key in _secret_keys()]
    return [hmac.new(key, text.strip().encode(), hashlib.sha256).hexdigest() for key in keys]


def _cipher() -> MultiFernet:
    keys = [_derive(key, b"prosa secrets") for key in _secret_keys()]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def _secret_keys() -> list[str]:
    return [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]


def _derive(secret_key: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(secret_key.encode())


class EncryptedText(sa.TypeDecorator[str]):
    """Column of text that is encrypted in the database and plain in Python."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else encrypt(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else decrypt(value)


class LookupHash(sa.TypeDecorator[str]):
    """Column of the `lookup_hash` of the encrypted column `of` in the same row."""

    impl = sa.String(64)
    cache_ok = True

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of


def rotate(connection: sa.Connection, metadata: sa.MetaData = Base.metadata) -> int:
    """Encrypt every stored secret, and make its hash, with the newest key. Return the number of rows.

    Rows that change meanwhile are left: whoever changes them writes with the newest key.

    Raises:
        UnreadableSecret: at the first row that no key can read; the caller rolls back.
    """
    return sum(
        _rotate_row(connection, table, columns, row)
        for table, columns in _encrypted_tables(metadata)
        for row in _stored_rows(connection, table, columns)
    )


def _encrypted_tables(metadata: sa.MetaData) -> Iterator[tuple[sa.Table, list[sa.Column[Any]]]]:
    for table in metadata.sorted_tables:
        columns = [column for column in table.columns if isinstance(column.type, EncryptedText)]
        if columns:
            yield table, columns


def _stored_rows(
    connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]]
) -> list[Any]:
    keys = list(table.primary_key.columns)
    stored = [sa.type_coerce(column, sa.Text).label(column.name) for column in columns]
    return list(connection.execute(sa.select(*keys, *stored)).mappings())


def _rotate_row(
    connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]], row: Any
) -> int:
    stored = [column for column in columns if row[column.name] is not None]
    if not stored:
        return 0
    texts = {column.name: decrypt(row[column.name]) for column in stored}
    hashes = {
        column.name: lookup_hash(texts[column.type.of])
        for column in table.columns
        if isinstance(column.type, LookupHash) and column.type.of in texts
    }
    is_unchanged = [sa.type_coerce(column, sa.Text) == row[column.name] for column in stored]
    is_this_row = [column == row[column.name] for column in table.primary_key.columns]
    update = sa.update(table).where(*is_this_row, *is_unchanged).values({**texts, **hashes})
    return connection.execute(update).rowcount

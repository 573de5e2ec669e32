"""Id of this installation, by which Prosa knows its own callback ids.

Rows are numbered from 1 in every installation, and two of them may share an app at Meta. The id is kept in
SQL, so that a restored database still recognises the statuses of what it sent.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, upsert

_ID_BYTES = 5
_ids: dict[sa.URL, str] = {}  # committed ids, by database


class Installation(Base):
    """The one row of this database."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(20))


def get_installation_id(connection: sa.Connection) -> str:
    """Return the id. The first call creates it, in the transaction of the connection."""
    address = connection.engine.url
    if address in _ids:
        return _ids[address]
    query = sa.select(Installation.public_id).where(Installation.id == 1)
    known: str | None = connection.scalar(query)
    if known is not None:
        _ids[address] = known
        return known
    connection.execute(
        upsert(connection, Installation)
        .values(id=1, public_id=secrets.token_hex(_ID_BYTES))
        .on_conflict_do_nothing()
    )
    return str(connection.scalar(query))

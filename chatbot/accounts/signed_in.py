"""Who is signed in: read with every request, so cached for a minute at most, together with the answer
to whether the session was ended.

Every change of a user's row and the end of a session make it stale at once (`User.makes_stale`,
`core.session`), and it is read in the round trip that reads the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import sqlalchemy as sa

from chatbot.accounts.models import USERS, User
from chatbot.core.cache import Entry, Kind
from chatbot.core.db import db
from chatbot.core.session import StoredSession, topic_of


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a request may know of its user: a copy of the row, to be read only."""

    id: int
    email: str
    name: str
    role: str
    session_epoch: int

    # What Flask-Login asks of a user; one whose account is closed is not signed in at all.
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def get_id(self) -> str:
        return f"{self.id}:{self.session_epoch}"


Actor = User | SignedIn  # whoever does something that is put on record

SIGNED_IN: Kind[SignedIn | None] = Kind("user", SignedIn | None, fresh_s=50, stale_s=10)


def signed_in(user_key: str, copy_id: str) -> Entry[SignedIn | None]:
    """The user of a session: None when it was ended, voided by a newer epoch, or the account closed.

    `user_key` is `id:epoch` as the session has it, `copy_id` names the session's row in SQL. A session
    gets a new id whenever its user changes, so the id alone names the entry.
    """
    compute = partial(find_signed_in, user_key, copy_id)
    return Entry(SIGNED_IN, copy_id, compute, (USERS, topic_of(copy_id)))


def find_signed_in(user_key: str, copy_id: str) -> SignedIn | None:
    user_id, _, epoch = user_key.partition(":")
    if not user_id.isdecimal() or not epoch.isdecimal():
        return None
    was_ended = sa.exists().where(StoredSession.id == copy_id, StoredSession.ended_at.is_not(None))
    row = db.session.execute(
        sa.select(User.id, User.email, User.name, User.role, User.session_epoch).where(
            User.id == int(user_id), User.session_epoch == int(epoch), User.is_active, ~was_ended
        )
    ).one_or_none()
    return None if row is None else SignedIn(*row)

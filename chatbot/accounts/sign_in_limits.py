"""Limits on failed sign-ins, in SQL, so that they hold for all processes and during outages of Redis.

Five failures in fifteen minutes stop a network, whichever accounts it tries. All strangers together have
twenty for one account: then only a device or network on which its user has signed in before may try. A known
device has a count of its own, so that neither a stranger in its network nor a botnet can lock its user out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from chatbot.accounts.models import FailedSignIn, KnownNetwork, User
from chatbot.core import clock
from chatbot.core.db import advisory_lock, db, upsert
from chatbot.core.errors import AppError
from chatbot.core.i18n import N_

MAX_FAILURES = 5  # of a network, or of a known device at one account
MAX_FAILURES_OF_STRANGERS = 20  # at one account, from all networks together
FAILURE_WINDOW = timedelta(minutes=15)
KNOWN_FOR = timedelta(days=90)  # since the last sign-in of the user there


class TooManyFailures(AppError):
    """Raised after too many failed sign-ins; `retry_after_s` is the time to wait in seconds."""

    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            N_("Too many failed attempts. Try again in %(minutes)s min."),
            minutes=max(1, -(-retry_after_s // 60)),
        )
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """Sign-in attempt. `network` is the rate-limit key of the address; `device` that of a known device."""

    account: str
    network: str
    device: str | None = None

    def check(self) -> None:
        """Raise TooManyFailures if this attempt is not allowed now."""
        waits = [_seconds_to_wait(where, limit) for where, limit in self._list_limits()]
        if any(waits):
            db.session.rollback()
            raise TooManyFailures(max(waits))

    def _list_limits(self) -> list[tuple[sa.ColumnElement[bool], int]]:
        at_account = FailedSignIn.account == self.account
        if self.device is not None:
            return [(sa.and_(at_account, FailedSignIn.device == self.device), MAX_FAILURES)]
        by_stranger = FailedSignIn.device.is_(None)
        limits = [
            (sa.and_(FailedSignIn.network == self.network, by_stranger), MAX_FAILURES),
            (sa.and_(at_account, by_stranger), MAX_FAILURES_OF_STRANGERS),
        ]
        return limits[:1] if _is_known_network(self.account, self.network) else limits

    def lock(self) -> None:
        """Let no other attempt be counted by the same limits until the transaction ends."""
        subjects = (
            [f"device:{self.device}"]
            if self.device
            else [f"account:{self.account}", f"network:{self.network}"]
        )
        for subject in sorted(subjects):
            advisory_lock(db.session.connection(), f"accounts.sign_in:{subject}")

    def record_failure(self) -> None:
        db.session.add(
            FailedSignIn(
                account=self.account,
                network=self.network,
                device=self.device,
                failed_at=clock.now(),
            )
        )

    def remember_network(self, user: User) -> None:
        values = {"seen_at": clock.now()}
        db.session.execute(
            upsert(db.session.connection(), KnownNetwork)
            .values(user_id=user.id, network=self.network, **values)
            .on_conflict_do_update(index_elements=["user_id", "network"], set_=values)
        )


def _seconds_to_wait(where: sa.ColumnElement[bool], limit: int) -> int:
    """Return 0 if the limit is not reached, else the seconds until the oldest failure counts no more."""
    now = clock.now()
    query = sa.select(sa.func.count(), sa.func.min(FailedSignIn.failed_at)).where(
        where, FailedSignIn.failed_at > now - FAILURE_WINDOW
    )
    count, first = db.session.execute(query).one()
    return max(1, round((first + FAILURE_WINDOW - now).total_seconds())) if count >= limit else 0


def _is_known_network(account: str, network: str) -> bool:
    query = (
        sa.select(sa.literal(1))
        .select_from(KnownNetwork)
        .join(User, User.id == KnownNetwork.user_id)
        .where(
            User.email == account,
            KnownNetwork.network == network,
            KnownNetwork.seen_at > clock.now() - KNOWN_FOR,
        )
    )
    return db.session.scalar(query) is not None


def unlock(account: str) -> int:
    """Forget the failures at this account; return their number."""
    statement = sa.delete(FailedSignIn).where(FailedSignIn.account == account)
    return db.session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]

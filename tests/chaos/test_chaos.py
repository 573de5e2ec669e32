from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.chaos import SMALL_PLAN, Plan, run
from tests.support.postgresql_server import find_postgresql

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


def test_a_small_chaos_writes_to_nobody_twice_and_shows_whom_it_did_not_reach(
    tmp_path: Path,
) -> None:
    run(SMALL_PLAN, "show", 7, tmp_path)


@pytest.mark.skipif(find_postgresql() is None, reason="no PostgreSQL here (Debian: postgresql)")
def test_9_a_database_that_restarts_every_few_seconds_delays_and_loses_nobody(
    tmp_path: Path,
) -> None:
    """Fault 9 of reliability.md: each restart cuts every connection, also between a call and its
    result. What was sent is held until it can be written, so nobody is in doubt for long."""
    run(Plan(people=400, per_second=20, database_restarts=3), "resend", 9, tmp_path)

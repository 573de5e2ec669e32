from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.chaos import SMALL_PLAN, Plan, run
from tests.support.postgresql_server import find_postgresql

pytestmark = [pytest.mark.slow, pytest.mark.flow, pytest.mark.timeout(400)]


def test_a_small_chaos_run_sends_nothing_twice_and_shows_the_unreached(
    tmp_path: Path,
) -> None:
    run(SMALL_PLAN, "show", 7, tmp_path)


@pytest.mark.skipif(
    find_postgresql() is None, reason="PostgreSQL is not installed (Debian: postgresql)"
)
def test_9_database_restarts_delay_messages_but_lose_none(
    tmp_path: Path,
) -> None:
    """Restart the database repeatedly, which cuts every connection, also between call and result.

    Results are kept in memory until they can be written, so that no message stays in doubt.
    """
    run(Plan(people=400, per_second=20, database_restarts=3), "resend", 9, tmp_path)

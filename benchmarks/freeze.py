"""Measure the freezing of an audience: `python -m benchmarks.freeze [DATABASE_URL] [CONTACTS]`.

The floor is a bare `INSERT ... SELECT` of the same rows into the same table. Both run alternately, each
into an empty table. All tables of the database are dropped. Without a URL it is SQLite in a new folder.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from chatbot import create_app
from chatbot.campaigns.audience import freeze_audience
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.core.db import Base, db, db_now
from chatbot.extensions import alembic
from tests.support.factories import make_campaign
from tests.support.settings import make_settings

ROUNDS = 3
PHONES = 11_900_000_000
OPTED_OUT = 20  # one of 20 contacts


def fill(contacts: int) -> int:
    """Create contacts, some of them opted out, and a draft to all; return the draft's id."""
    campaign = make_campaign("draft")
    numbers = sa.text(
        "INSERT INTO contacts (name, search_name, phone, attributes, opted_out_at, created_at)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most)"
        " SELECT 'P' || i, 'p' || i, '+55' || (:phones + i), '{}',"
        f" CASE WHEN i % {OPTED_OUT} = 0 THEN CURRENT_TIMESTAMP END, CURRENT_TIMESTAMP FROM n"
    )
    with db.engine.begin() as connection:
        connection.execute(numbers, {"most": contacts, "phones": PHONES})
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE contacts")
    return campaign.id


def insert_bare(connection: sa.Connection, campaign: Campaign) -> int:
    contacts = sa.table("contacts", sa.column("id"))
    rows = sa.select(
        sa.literal(campaign.id), contacts.c.id, sa.literal("queued"), sa.literal(0), db_now()
    )
    columns = ["campaign_id", "contact_id", "state", "attempt", "due_at"]
    statement = sa.insert(Recipient).from_select(columns, rows, include_defaults=False)
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


@dataclass(frozen=True, slots=True)
class InsertTiming:
    """Times from the first statement to the end of the commit.

    `cpu_s` is that of this process, which includes SQLite but not PostgreSQL.
    """

    wall_s: float
    cpu_s: float
    written: int


def time_insert(work: Callable[[sa.Connection, Campaign], int], campaign: Campaign) -> InsertTiming:
    with db.engine.begin() as connection:
        is_postgresql = connection.dialect.name == "postgresql"
        connection.exec_driver_sql(
            "TRUNCATE recipients CASCADE" if is_postgresql else "DELETE FROM recipients"
        )
    begun, cpu = time.perf_counter(), time.process_time()
    with db.engine.begin() as connection:
        written = work(connection, campaign)
    return InsertTiming(time.perf_counter() - begun, time.process_time() - cpu, written)


def measure(url: str, contacts: int) -> None:
    app = create_app(
        make_settings(Path(tempfile.mkdtemp(prefix="prosa-freeze-")), DATABASE_URL=url)
    )
    with app.app_context():
        with db.engine.begin() as connection:
            found = sa.MetaData()
            found.reflect(connection)
            found.drop_all(connection)
        alembic.upgrade()
        campaign = db.session.get_one(Campaign, fill(contacts))
        db.session.expunge_all()
        db.session.rollback()
        runs: dict[str, list[InsertTiming]] = {"bare": [], "freeze": []}
        for _ in range(ROUNDS):
            for name, work in (("bare", insert_bare), ("freeze", freeze_audience)):
                run = time_insert(work, campaign)
                assert run.written == contacts, (name, run)
                runs[name].append(run)
        _print_table(db.engine.dialect.name, contacts, runs)
        with db.engine.begin() as connection:
            Base.metadata.drop_all(connection)


def _print_table(database: str, contacts: int, runs: dict[str, list[InsertTiming]]) -> None:
    print(
        f"Freezing an audience of {contacts:,} recipients on {database}, {ROUNDS} alternating rounds;"
    )
    print("floor (bare): INSERT ... SELECT of the same rows")
    print("|        | median s | best s | CPU s | rows/s |\n|---|---|---|---|---|")
    figures = {}
    for name, of in runs.items():
        walls = [run.wall_s for run in of]
        figures[name] = statistics.median(walls), min(walls), min(run.cpu_s for run in of)
        median, best, cpu = figures[name]
        print(f"| {name} | {median:.2f} | {best:.2f} | {cpu:.2f} | {contacts / median:,.0f} |")
    names = ("medians", "bests", "CPU")
    ratios = zip(names, figures["freeze"], figures["bare"], strict=True)
    print("freeze ÷ bare by", ", ".join(f"{n} {f / b:.2f}" for n, f, b in ratios), flush=True)


def main() -> None:
    folder = tempfile.mkdtemp(prefix="prosa-freeze-")
    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/prosa.db"
    measure(url, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)


if __name__ == "__main__":
    main()

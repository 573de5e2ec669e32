"""Faults 6 and 10 of docs/engine.md: many claimants, and a row that kills its workers."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, OnDoubt, Recipient
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.campaigns.tasks import reconcile_campaigns
from chatbot.core.db import db, read_only
from chatbot.core.errors import Conflict
from chatbot.delivery.models import MessageState
from chatbot.delivery.receipts import advance_watermark
from tests.support.campaigns import get_campaign_counts, get_campaign_state, make_draft
from tests.support.factories import ago, make_campaign, make_contact, make_recipients
from tests.support.scale import scaled

CLAIMANTS = 16
ROWS = scaled(2_000, 10_000)
fork = multiprocessing.get_context("fork")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_6_sixteen_processes_claim_all_rows_and_each_has_one_owner(any_app: Flask) -> None:
    campaign = make_campaign()
    make_recipients(campaign, ROWS)
    barrier, channel_id = fork.Barrier(CLAIMANTS), campaign.channel_id
    _run_all(
        [fork.Process(target=_claim_all, args=(barrier, channel_id, n)) for n in range(CLAIMANTS)]
    )
    rows = db.session.execute(sa.select(Recipient.attempt, Recipient.claim_token)).all()
    assert len(rows) == ROWS
    assert {row.attempt for row in rows} == {1}, "no row was claimed a second time"
    batches = Counter(row.claim_token for row in rows)
    assert max(batches.values()) <= 64


def _claim_all(barrier: Barrier, channel_id: int, number: int) -> None:
    source = CampaignSource(db.engine, channel_id)
    barrier.wait(60)
    for turn in range(100_000):
        # Retry a locked database, as the sender does.
        with suppress(sa.exc.OperationalError):
            if not source.claim(f"{number}:{turn}", 64, 45) and not _has_more():
                return


def _has_more() -> bool:
    """Return whether rows are left, since an empty claim may mean that others have them locked."""
    with read_only(), db.engine.connect() as connection:
        query = sa.select(Recipient.id).where(Recipient.state == MessageState.QUEUED).limit(1)
        return connection.scalar(query) is not None


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_6_a_campaign_that_is_started_twice_at_once_has_one_row_a_person(any_app: Flask) -> None:
    for _ in range(20):
        make_contact()
    number = make_draft("Olá!", ())
    barrier, results = fork.Barrier(4), fork.Queue()
    _run_all([fork.Process(target=_start, args=(barrier, number, results)) for _ in range(4)])
    assert sorted(results.get(timeout=10) for _ in range(4)) == ["conflict"] * 3 + ["started"]
    assert get_campaign_counts(number) == {"pending": 20}


def _start(barrier: Barrier, number: int, results: Any) -> None:
    barrier.wait(60)
    try:
        service.start_campaign(number, "ana")
        db.session.commit()
        results.put("started")
    except Conflict:
        db.session.rollback()
        results.put("conflict")


def _run_all(processes: list[Any]) -> None:
    db.session.rollback()
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_10_a_row_that_always_kills_its_worker_stays_in_doubt_after_three_tries(
    any_app: Flask,
) -> None:
    campaign = make_campaign(on_doubt=OnDoubt.RESEND)
    killer, *others = make_recipients(campaign, 20)
    source = CampaignSource(db.engine, campaign.channel_id)
    tries, together = 0, []
    for turn in range(20):
        token = f"t{turn}"
        if not source.claim(token, 20, -1):
            break
        claimed = {queue[0].row_id for queue in source.load(token)}
        if killer in claimed:
            tries += 1
            together.append(len(claimed))
        else:
            _answer(claimed)
        _prove_silence(campaign.channel_id)
        reconcile_campaigns()
    assert tries == 3
    assert together == [20, 8, 1], "fewer rows each time share its fate"
    found = {row.id: row for row in db.session.scalars(sa.select(Recipient))}
    assert (found[killer].state, found[killer].times_lost) == ("unknown", 3)
    assert {found[row_id].state for row_id in others} == {"sent"}
    db.session.rollback()
    db.session.execute(sa.update(Recipient).values(doubt_until=ago(60)))
    db.session.commit()
    reconcile_campaigns()
    assert get_campaign_state(campaign.id) == "finished", "it does not delay the campaign's end"


def _answer(row_ids: set[int]) -> None:
    """Record that they were sent and have a status."""
    db.session.execute(
        sa.update(Recipient)
        .where(Recipient.id.in_(row_ids))
        .values(state=MessageState.SENT, accepted_at=ago(-1), sent_at=ago(-1))
    )
    db.session.commit()


def _prove_silence(channel_id: int) -> None:
    """End the lease and the doubt window, and apply statuses of other rows."""
    reconcile_campaigns()
    db.session.execute(
        sa.update(Recipient)
        .where(Recipient.state == MessageState.UNKNOWN)
        .values(doubt_until=ago(1))
    )
    if (
        db.session.scalar(sa.select(Recipient.id).where(Recipient.state == MessageState.SENT))
        is None
    ):
        other = make_recipients(db.session.scalars(sa.select(Campaign)).one(), 1)
        db.session.execute(
            sa.update(Recipient)
            .where(Recipient.id == other[0])
            .values(state="sent", attempt=1, accepted_at=ago(-1), sent_at=ago(-1))
        )
    db.session.commit()
    with db.engine.begin() as connection:
        advance_watermark(connection, [channel_id], 0)

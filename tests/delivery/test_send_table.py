from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.core.db import db, db_now
from chatbot.delivery.models import DoubleAcceptance, MessageState
from chatbot.delivery.receipts import record_double_acceptances
from chatbot.delivery.results import ResultKind, SendResult, record_results
from chatbot.delivery.send_table import claim_rows, claim_statement, expire_leases, requeue_unsent
from tests.support.factories import ago, commit_and_detach, make_campaign, make_recipients

T = SEND_TABLE.table
ALWAYS = sa.true()
LEASE_S = 45.0


def select_queued(limit: int = 100) -> sa.Select[tuple[int]]:
    return sa.select(T.c.id).where(T.c.state == MessageState.QUEUED).order_by(T.c.id).limit(limit)


def claim(token: str = "me", limit: int = 100, fence: sa.ColumnElement[bool] = ALWAYS) -> int:
    with db.engine.begin() as connection:
        return claim_rows(
            connection,
            SEND_TABLE,
            claim_statement(db.engine, SEND_TABLE, select_queued(limit), fence),
            token,
            LEASE_S,
        )


def record(*results: SendResult, window_s: float = 60) -> int:
    """Record as the sender does; return the number of alarms."""
    with db.engine.begin() as connection:
        doubles = record_results(connection, SEND_TABLE, results, window_s)
        record_double_acceptances(connection, SEND_TABLE, doubles)
        return len(doubles)


def make_result(row_id: int, result: ResultKind, attempt: int = 1, **more: object) -> SendResult:
    return SendResult(row_id=row_id, attempt=attempt, kind=result, **more)  # type: ignore[arg-type]


def get_row(row_id: int) -> Recipient:
    return commit_and_detach(db.session.get_one(Recipient, row_id, populate_existing=True))


def test_a_claim_takes_no_more_than_its_limit_and_raises_the_attempt(any_app: Flask) -> None:
    ids = make_recipients(make_campaign(), 10)
    assert [claim("a", 4), claim("b", 100)] == [4, 6]
    owners = [get_row(row_id).claim_token for row_id in ids]
    assert owners == ["a"] * 4 + ["b"] * 6
    assert {(get_row(i).attempt, get_row(i).state) for i in ids} == {(1, "sending")}


def test_a_claim_with_a_join_takes_no_more_than_its_limit_on_an_analysed_table(
    any_app: Flask,
) -> None:
    """PostgreSQL may run a subquery once per row of an outer loop, each time with other rows."""
    campaign = make_campaign()
    make_recipients(campaign, 40)
    with db.engine.begin() as connection:
        connection.execute(sa.text("ANALYZE"))
    source = CampaignSource(db.engine, campaign.channel_id)
    assert [source.claim(f"t{n}", 7, LEASE_S) for n in range(7)] == [7, 7, 7, 7, 7, 5, 0]


def test_the_fence_is_part_of_the_claim(any_app: Flask) -> None:
    campaign = make_campaign()
    make_recipients(campaign, 3)
    running = sa.exists().where(Campaign.id == T.c.campaign_id, Campaign.state == "running")
    db.session.execute(sa.update(Campaign).values(state=CampaignState.PAUSED))
    db.session.commit()
    assert claim(fence=running) == 0


def test_the_lease_runs_by_the_databases_clock(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1)
    claim()
    with db.engine.begin() as connection:
        left = sa.select(T.c.id).where(
            T.c.claimed_until > db_now(44), T.c.claimed_until <= db_now(45)
        )
        assert connection.scalar(left) == row_id


@pytest.mark.parametrize(
    ("result", "state", "attempt"),
    [
        (ResultKind.ACCEPTED, "accepted", 1),
        (ResultKind.FAILED, "failed", 1),
        (ResultKind.RETRY, "queued", 1),
        (ResultKind.UNSENT, "queued", 0),
        (ResultKind.DOUBT, "unknown", 1),
    ],
)
def test_each_result_leads_to_its_state(
    any_app: Flask, result: ResultKind, state: str, attempt: int
) -> None:
    (row_id,) = make_recipients(make_campaign(), 1)
    claim()
    record(make_result(row_id, result, retry_in_s=30.0))
    found = get_row(row_id)
    assert (found.state, found.attempt) == (state, attempt)
    assert (found.doubt_until is not None) == (state == "unknown")
    if state == "queued":
        assert -32 < (ago(0) - found.due_at).total_seconds() < -27


@pytest.mark.parametrize(
    "state", sorted(set(MessageState) - {MessageState.SENDING, MessageState.UNKNOWN})
)
@pytest.mark.parametrize("result", list(ResultKind))
def test_a_result_moves_only_rows_in_flight(
    app: Flask, state: MessageState, result: ResultKind
) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=state, attempt=1)
    record(make_result(row_id, result, wamid="w" if result is ResultKind.ACCEPTED else None))
    assert (get_row(row_id).state, get_row(row_id).attempt) == (state, 1)


@pytest.mark.parametrize("result", list(ResultKind))
def test_a_result_counts_only_for_the_attempt_at_which_the_row_stands(
    any_app: Flask, result: ResultKind
) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=MessageState.SENDING, attempt=2)
    record(make_result(row_id, result, attempt=1, wamid="old"))
    assert (get_row(row_id).state, get_row(row_id).attempt) == ("sending", 2)


def test_a_late_acceptance_of_an_earlier_attempt_keeps_its_id_and_raises_the_alarm(
    any_app: Flask,
) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=MessageState.SENDING, attempt=2)
    assert record(make_result(row_id, ResultKind.ACCEPTED, attempt=1, wamid="first")) == 0
    assert get_row(row_id).wamid == "first"
    assert record(make_result(row_id, ResultKind.ACCEPTED, attempt=2, wamid="second")) == 1
    alarm = db.session.scalars(sa.select(DoubleAcceptance)).one()
    assert (alarm.row_id, alarm.attempt, alarm.wamid) == (row_id, 2, "second")
    assert get_row(row_id).state == "accepted"


def test_the_same_alarm_is_raised_once(any_app: Flask) -> None:
    (row_id,) = make_recipients(
        make_campaign(), 1, state=MessageState.ACCEPTED, attempt=2, wamid="a"
    )
    for _ in range(2):
        record(make_result(row_id, ResultKind.ACCEPTED, attempt=1, wamid="b"))
    assert db.session.scalar(sa.select(sa.func.count()).select_from(DoubleAcceptance)) == 1


def test_unsent_written_twice_does_not_touch_the_next_owners_claim(any_app: Flask) -> None:
    """A write that commits and then raises is repeated; meanwhile another worker may claim the row.

    It has the same attempt then, since an unsent one is not counted.
    """
    (row_id,) = make_recipients(make_campaign(), 1)
    claim("first")
    result = make_result(row_id, ResultKind.UNSENT, token="first")
    record(result)
    claim("second")
    record(result)
    assert (get_row(row_id).state, get_row(row_id).attempt) == ("sending", 1)
    assert get_row(row_id).claim_token == "second"


def test_texts_are_sanitized_before_they_are_stored(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1)
    claim()
    record(
        make_result(
            row_id, ResultKind.FAILED, error_code=1, error_detail="a\x00b\ud800" + "x" * 900
        )
    )
    detail = get_row(row_id).error_detail
    assert detail is not None
    assert detail.startswith("ab?x")
    assert len(detail) == 500


def test_rows_of_a_dead_worker_are_in_doubt_when_their_lease_ends(any_app: Flask) -> None:
    alive, dead = make_recipients(make_campaign(), 2)
    claim()
    db.session.execute(
        sa.update(Recipient).where(Recipient.id == dead).values(claimed_until=ago(1))
    )
    db.session.commit()
    with db.engine.begin() as connection:
        assert expire_leases(connection, SEND_TABLE, 60) == 1
    assert (get_row(alive).state, get_row(dead).state) == ("sending", "unknown")
    assert -62 < (ago(0) - (get_row(dead).doubt_until or ago(0))).total_seconds() < -57


@pytest.mark.parametrize(("window_over", "proven"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_doubt_ends_only_after_its_window_and_with_proof(
    any_app: Flask, window_over: int, proven: int
) -> None:
    until = ago(1 if window_over else -60)
    (row_id,) = make_recipients(
        make_campaign(),
        1,
        state=MessageState.UNKNOWN,
        attempt=1,
        doubt_until=until,
        claim_token="x",
    )
    with db.engine.begin() as connection:
        requeue_unsent(connection, SEND_TABLE, sa.true() if proven else sa.false())
    assert get_row(row_id).state == ("queued" if window_over and proven else "unknown")


def test_an_acceptance_clears_the_error_of_an_earlier_attempt(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, error_code=130429, error_detail="too fast")
    claim()
    record(SendResult(row_id=row_id, attempt=1, kind=ResultKind.ACCEPTED, wamid="w1", token="me"))
    found = get_row(row_id)
    assert (found.state, found.error_code, found.error_detail) == ("accepted", None, None)


def test_two_thousand_rows_claimed_from_a_barrier_have_one_owner_each(any_app: Flask) -> None:
    make_recipients(make_campaign(), 2000)
    barrier = threading.Barrier(16)
    claimed: Counter[str] = Counter()
    loaded: list[Sequence[int]] = []
    engine = db.engine
    statement = claim_statement(engine, SEND_TABLE, select_queued(64), ALWAYS)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(1000):
            token = f"{number}:{turn}"
            with engine.begin() as connection:
                taken = claim_rows(connection, SEND_TABLE, statement, token, LEASE_S)
                ids = connection.scalars(sa.select(T.c.id).where(T.c.claim_token == token)).all()
            assert taken == len(ids) <= 64
            claimed[token] = taken
            loaded.append(ids)
            with engine.connect() as connection:
                if connection.scalar(select_queued(1)) is None:
                    return

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [row_id for ids in loaded for row_id in ids]
    assert len(every) == len(set(every)) == sum(claimed.values()) == 2000
    assert db.session.scalars(sa.select(T.c.attempt).distinct()).all() == [1]

from __future__ import annotations

import random
from bisect import bisect_left

import pytest
import redis
from flask import Flask

from chatbot.core import redis as prosa_redis
from chatbot.core.redis import key, make_pool
from chatbot.delivery.local_pace import Booking
from chatbot.delivery.pacer import Guest, Line, Pacer, People
from tests.support.redis_server import RedisServer
from tests.support.wire import RedisWire


class Clock:
    """Injected time, in seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_pacer(clock: Clock, per_second: float = 80, **more: object) -> Pacer:
    day = more.pop("day", tuple)
    line = Line(1, per_second, "portfolio", **more)  # type: ignore[arg-type]
    return Pacer(prosa_redis.client(), line, day=day, clock=clock)  # type: ignore[arg-type]


def moments_of(booking: Booking, asked_at: float) -> list[float]:
    first = asked_at + booking.wait_s
    return [first + n * booking.interval_s for n in range(booking.count)]


def most_in_a_second(moments: list[float]) -> int:
    """In any half-open second; a microsecond is the clock's own grain."""
    ordered = sorted(moments)
    return max(bisect_left(ordered, m + 1.0 - 1e-5) - i for i, m in enumerate(ordered))


@pytest.mark.parametrize("rate", [1, 10, 33, 80])
def test_two_hours_of_grants_never_exceed_the_limit_in_any_second(
    app: Flask, clock: Clock, rate: int
) -> None:
    """Two campaign workers without end, and replies that come in bursts as they like."""
    workers, chance = [make_pacer(clock, rate), make_pacer(clock, rate)], random.Random(rate)
    begin, moments, replies = clock.now, [], 0
    while clock.now < begin + 7200:
        moments += moments_of(chance.choice(workers).book(64), clock.now)
        if chance.random() < 0.2:
            reply = workers[0].book(chance.choice([1, 3, 40]), is_reply=True)
            moments += moments_of(reply, clock.now)
            replies += reply.count
        clock.now += chance.uniform(0.05, 2.5)
    assert most_in_a_second(moments) <= rate
    assert replies > 0
    assert len(moments) > 0.5 * rate * 7200, "and the pace is used"


def test_two_numbers_have_a_pace_each(app: Flask) -> None:
    client = prosa_redis.client()
    Pacer(client, Line(1, 10)).book(10)
    assert Pacer(client, Line(2, 10)).book(10).wait_s == 0


def test_campaigns_leave_a_tenth_to_replies_which_pass_them_by(app: Flask, clock: Clock) -> None:
    pacer = make_pacer(clock, 80)
    assert pacer.book(64) == Booking(64, 0.0, pytest.approx(1 / 72))
    assert pacer.book(3, is_reply=True) == Booking(3, 0.0, 0.0)
    behind = pacer.book(3, is_reply=True)
    assert (behind.count, behind.wait_s) == (3, pytest.approx(64 / 72)), "the share is used up"
    assert pacer.book(10).wait_s == pytest.approx(67 / 72), "and a campaign waits for the reply"


def test_nothing_is_booked_beyond_the_horizon(app: Flask, clock: Clock) -> None:
    pacer = make_pacer(clock, 10)
    assert pacer.book(30).count == 10, "a second's worth at most"
    refused = pacer.book(30)
    assert refused.count == 0
    assert 0.5 < refused.wait_s < 1
    clock.now += refused.wait_s
    assert pacer.book(30).count == 10


def test_too_fast_halves_the_pace_once_a_second_and_it_creeps_up(app: Flask, clock: Clock) -> None:
    first, second = make_pacer(clock, 80), make_pacer(clock, 80)

    def rate() -> float:
        clock.now += 10
        return 1 / second.book(1).interval_s / 0.9

    for _ in range(5):
        first.slow_down()
    assert rate() == pytest.approx(40 + 8)
    first.slow_down()
    assert rate() == pytest.approx(24 + 8)
    clock.now += 60
    assert rate() == pytest.approx(80), "never above the full pace"
    for _ in range(20):
        first.slow_down()
        clock.now += 1.1
    assert rate() > 1


def test_one_person_gets_45_replies_at_once_and_then_one_in_six_seconds(
    app: Flask, clock: Clock
) -> None:
    pacer = make_pacer(clock)
    (admitted,) = pacer.admit([Guest("5511", 50)], is_reply=True)
    assert (admitted.count, admitted.wait_s) == (45, pytest.approx(6))
    assert pacer.admit([Guest("5511")], is_reply=True)[0].count == 0
    clock.now += 6
    assert [a.count for a in pacer.admit([Guest("5511", 2), Guest("5522")], is_reply=True)] == [
        1,
        1,
    ]
    clock.now += 300
    assert pacer.admit([Guest("5511", 50)], is_reply=True)[0].count == 45


def test_a_campaign_does_not_burst_at_one_person(app: Flask, clock: Clock) -> None:
    pacer = make_pacer(clock)
    assert [a.count for a in pacer.admit([Guest("5511", 2), Guest("5522")])] == [1, 1]
    (again,) = pacer.admit([Guest("5511")])
    assert (again.count, again.wait_s) == (0, pytest.approx(6))
    clock.now += 6
    assert pacer.admit([Guest("5511")])[0].count == 1


def test_the_portfolio_reaches_so_many_people_a_day_over_all_workers(
    app: Flask, clock: Clock
) -> None:
    pacers = [make_pacer(clock, daily_limit=100, day=lambda: ()) for _ in range(2)]
    assert pacers[0].book(64).count == 64
    people = [Guest(f"55{n}", counts_as=n) for n in range(130)]
    assert sum(a.count for a in pacers[0].admit(people[:90])) == 90
    clock.now += 10
    assert pacers[1].book(64).count == 10, "no more than are left"
    waits = [a.wait_s for a in pacers[1].admit(people[80:]) if not a.count]
    assert len(waits) == 30, "those of before count once; 20 are new, 10 of them too many"
    assert max(waits) == 600
    clock.now += 10
    assert pacers[0].book(64).count == 0
    free = Guest("5599", counts_as=None)
    assert pacers[0].admit([free])[0].count == 1, "whose window is open doesn't count"
    clock.now += 86_400
    assert pacers[0].book(64).count == 64


def test_the_day_is_counted_in_sql_before_the_first_grant_and_after_a_flush(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    counted = []

    def day() -> People:
        counted.append(1)
        return [(n, clock.now - 100) for n in range(95)]

    pacer = make_pacer(clock, daily_limit=100, day=day)
    assert [pacer.book(64).count for _ in range(2)] == [5, 5]
    assert len(counted) == 1
    redis_server.flush()
    assert pacer.book(64).count == 5
    assert len(counted) == 2


def test_a_booking_and_an_admission_are_a_round_trip_each_and_their_keys_expire(
    app: Flask, redis_server: RedisServer
) -> None:
    wire = RedisWire(redis_server.url)
    pool = make_pool(wire.url, max_connections=2)
    pacer = Pacer(redis.Redis(connection_pool=pool), Line(7, 80, "p", daily_limit=5000))
    slice_ = [Guest(f"55{n}", counts_as=n) for n in range(64)]
    pacer.book(1)
    pacer.admit(slice_)
    with wire.counted() as trips:
        pacer.book(64)
        pacer.admit(slice_)
    assert trips.number == 2
    assert 0 < redis_server.admin.ttl(key("pacer", 7)) <= 120
    assert 0 < redis_server.admin.ttl(key("pair", 7, "550")) <= 8
    assert 0 < redis_server.admin.ttl(key("people", "p")) <= 86_400
    pool.disconnect()
    wire.close()


def test_without_redis_each_worker_keeps_to_its_share(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.kill()
    workers = [make_pacer(clock, 80, workers=4) for _ in range(4)]
    moments: list[list[float]] = [[] for _ in workers]
    for _ in range(200):
        for own, worker in zip(moments, workers, strict=True):
            own += moments_of(worker.book(5), clock.now)
        clock.now += 0.1
    assert most_in_a_second(moments[0]) <= 20
    assert most_in_a_second([moment for own in moments for moment in own]) <= 80
    workers[0].slow_down()
    clock.now += 5
    assert workers[0].book(5).interval_s == pytest.approx(1 / (11 * 0.9))


def test_without_redis_the_day_is_what_sql_says(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.kill()
    pacer = make_pacer(clock, daily_limit=100, workers=2, day=lambda: [(n, 0.0) for n in range(90)])
    counts = [pacer.book(3).count for _ in range(3)]
    assert counts == [3, 2, 0]


def test_when_redis_goes_away_what_it_had_granted_still_counts(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    pacer = make_pacer(clock, 10)
    assert pacer.book(10).count == 10
    redis_server.kill()
    assert pacer.book(10).count == 0


@pytest.mark.parametrize("garbage", [b"not a number", b"99999999999", b"-5", b""])
def test_a_strange_value_does_not_stop_the_line(
    app: Flask, redis_server: RedisServer, garbage: bytes
) -> None:
    fields = ("free", "tokens", "filled", "slow", "slow_at")
    redis_server.admin.hset(key("pacer", 1), mapping=dict.fromkeys(fields, garbage))
    booking = Pacer(prosa_redis.client(), Line(1, 10)).book(1)
    assert booking.count or booking.wait_s < 61


def test_another_type_under_the_keys_means_the_local_pace(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.admin.lpush(key("pacer", 1), "x")
    redis_server.admin.lpush(key("pair", 1, "55"), "x")
    pacer = make_pacer(clock, 10, workers=2)
    assert pacer.book(3) == Booking(3, 0.0, pytest.approx(1 / 4.5))
    assert pacer.admit([Guest("55")])[0].count == 1

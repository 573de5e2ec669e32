from __future__ import annotations

import random
from bisect import bisect_left

import pytest
import redis
from flask import Flask

from chatbot.core import redis as prosa_redis
from chatbot.core.redis import create_pool, key
from chatbot.delivery.throttle import (
    QuotaRequest,
    RecentContacts,
    Reservation,
    Throttle,
    ThrottleLimits,
)
from tests.support.call_counts import RedisProxy
from tests.support.redis_server import RedisServer


class Clock:
    """Injected time, in seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_throttle(clock: Clock, per_second: float = 80, **more: object) -> Throttle:
    load_recent_contacts = more.pop("load_recent_contacts", tuple)
    limits = ThrottleLimits(1, per_second, "portfolio", **more)  # type: ignore[arg-type]
    return Throttle(
        prosa_redis.client(), limits, load_recent_contacts=load_recent_contacts, clock=clock
    )  # type: ignore[arg-type]


def list_send_times(reservation: Reservation, asked_at: float) -> list[float]:
    first = asked_at + reservation.wait_s
    return [first + n * reservation.interval_s for n in range(reservation.count)]


def max_per_second(moments: list[float]) -> int:
    """Return the most sends in any half-open second, give or take a microsecond."""
    ordered = sorted(moments)
    return max(bisect_left(ordered, m + 1.0 - 1e-5) - i for i, m in enumerate(ordered))


@pytest.mark.parametrize("rate", [1, 10, 33, 80])
def test_two_hours_of_grants_never_exceed_the_limit_in_any_second(
    app: Flask, clock: Clock, rate: int
) -> None:
    """Run two campaign workers, with random bursts of replies."""
    workers, rng = [make_throttle(clock, rate), make_throttle(clock, rate)], random.Random(rate)
    begin, moments, replies = clock.now, [], 0
    while clock.now < begin + 7200:
        moments += list_send_times(rng.choice(workers).reserve(64), clock.now)
        if rng.random() < 0.2:
            reply = workers[0].reserve(rng.choice([1, 3, 40]), is_reply=True)
            moments += list_send_times(reply, clock.now)
            replies += reply.count
        clock.now += rng.uniform(0.05, 2.5)
    assert max_per_second(moments) <= rate
    assert replies > 0
    assert len(moments) > 0.5 * rate * 7200, "and the rate is used"


def test_each_number_has_its_own_rate(app: Flask) -> None:
    client = prosa_redis.client()
    Throttle(client, ThrottleLimits(1, 10)).reserve(10)
    assert Throttle(client, ThrottleLimits(2, 10)).reserve(10).wait_s == 0


def test_campaigns_leave_a_tenth_to_replies_which_pass_them_by(app: Flask, clock: Clock) -> None:
    throttle = make_throttle(clock, 80)
    assert throttle.reserve(64) == Reservation(64, 0.0, pytest.approx(1 / 72))
    assert throttle.reserve(3, is_reply=True) == Reservation(3, 0.0, 0.0)
    behind = throttle.reserve(3, is_reply=True)
    assert (behind.count, behind.wait_s) == (3, pytest.approx(64 / 72)), "the share is used up"
    assert throttle.reserve(10).wait_s == pytest.approx(67 / 72), (
        "and a campaign waits for the reply"
    )


def test_nothing_is_reserved_beyond_the_horizon(app: Flask, clock: Clock) -> None:
    throttle = make_throttle(clock, 10)
    assert throttle.reserve(30).count == 10, "a second's worth at most"
    refused = throttle.reserve(30)
    assert refused.count == 0
    assert 0.5 < refused.wait_s < 1
    clock.now += refused.wait_s
    assert throttle.reserve(30).count == 10


def test_too_fast_halves_the_rate_once_a_second_and_it_recovers(app: Flask, clock: Clock) -> None:
    first, second = make_throttle(clock, 80), make_throttle(clock, 80)

    def rate() -> float:
        clock.now += 10
        return 1 / second.reserve(1).interval_s / 0.9

    for _ in range(5):
        first.slow_down()
    assert rate() == pytest.approx(40 + 8)
    first.slow_down()
    assert rate() == pytest.approx(24 + 8)
    clock.now += 60
    assert rate() == pytest.approx(80), "never above the full rate"
    for _ in range(20):
        first.slow_down()
        clock.now += 1.1
    assert rate() > 1


def test_one_person_gets_45_replies_at_once_and_then_one_in_six_seconds(
    app: Flask, clock: Clock
) -> None:
    throttle = make_throttle(clock)
    (admitted,) = throttle.grant_quota([QuotaRequest("5511", 50)], is_reply=True)
    assert (admitted.count, admitted.wait_s) == (45, pytest.approx(6))
    assert throttle.grant_quota([QuotaRequest("5511")], is_reply=True)[0].count == 0
    clock.now += 6
    assert [
        a.count
        for a in throttle.grant_quota(
            [QuotaRequest("5511", 2), QuotaRequest("5522")], is_reply=True
        )
    ] == [
        1,
        1,
    ]
    clock.now += 300
    assert throttle.grant_quota([QuotaRequest("5511", 50)], is_reply=True)[0].count == 45


def test_a_campaign_does_not_burst_at_one_person(app: Flask, clock: Clock) -> None:
    throttle = make_throttle(clock)
    assert [
        a.count for a in throttle.grant_quota([QuotaRequest("5511", 2), QuotaRequest("5522")])
    ] == [1, 1]
    (again,) = throttle.grant_quota([QuotaRequest("5511")])
    assert (again.count, again.wait_s) == (0, pytest.approx(6))
    clock.now += 6
    assert throttle.grant_quota([QuotaRequest("5511")])[0].count == 1


def test_the_portfolio_reaches_so_many_people_a_day_over_all_workers(
    app: Flask, clock: Clock
) -> None:
    throttles = [
        make_throttle(clock, daily_limit=100, load_recent_contacts=lambda: ()) for _ in range(2)
    ]
    assert throttles[0].reserve(64).count == 64
    people = [QuotaRequest(f"55{n}", quota_contact_id=n) for n in range(130)]
    assert sum(a.count for a in throttles[0].grant_quota(people[:90])) == 90
    clock.now += 10
    assert throttles[1].reserve(64).count == 10, "no more than are left"
    waits = [a.wait_s for a in throttles[1].grant_quota(people[80:]) if not a.count]
    assert len(waits) == 30, "known people count once; of 20 new ones 10 are too many"
    assert max(waits) == 600
    clock.now += 10
    assert throttles[0].reserve(64).count == 0
    free = QuotaRequest("5599", quota_contact_id=None)
    assert throttles[0].grant_quota([free])[0].count == 1, (
        "a contact with an open window does not count"
    )
    clock.now += 86_400
    assert throttles[0].reserve(64).count == 64


def test_the_daily_quota_is_read_from_sql_before_the_first_reservation_and_after_a_flush(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    counted = []

    def load_recent_contacts() -> RecentContacts:
        counted.append(1)
        return [(n, clock.now - 100) for n in range(95)]

    throttle = make_throttle(clock, daily_limit=100, load_recent_contacts=load_recent_contacts)
    assert [throttle.reserve(64).count for _ in range(2)] == [5, 5]
    assert len(counted) == 1
    redis_server.flush()
    assert throttle.reserve(64).count == 5
    assert len(counted) == 2


def test_a_reservation_and_a_grant_are_one_round_trip_each_and_their_keys_expire(
    app: Flask, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    pool = create_pool(redis_proxy.url, max_connections=2)
    throttle = Throttle(
        redis.Redis(connection_pool=pool), ThrottleLimits(7, 80, "p", daily_limit=5000)
    )
    batch = [QuotaRequest(f"55{n}", quota_contact_id=n) for n in range(64)]
    throttle.reserve(1)
    throttle.grant_quota(batch)
    with redis_proxy.count_round_trips() as trips:
        throttle.reserve(64)
        throttle.grant_quota(batch)
    assert trips.number == 2
    assert 0 < redis_server.admin.ttl(key("throttle", 7)) <= 120
    assert 0 < redis_server.admin.ttl(key("burst", 7, "550")) <= 8
    assert 0 < redis_server.admin.ttl(key("dailyrecipients", "p")) <= 86_400
    pool.disconnect()
    redis_proxy.close()


def test_without_redis_each_worker_keeps_to_its_share(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.kill()
    workers = [make_throttle(clock, 80, workers=4) for _ in range(4)]
    moments: list[list[float]] = [[] for _ in workers]
    for _ in range(200):
        for own, worker in zip(moments, workers, strict=True):
            own += list_send_times(worker.reserve(5), clock.now)
        clock.now += 0.1
    assert max_per_second(moments[0]) <= 20
    assert max_per_second([moment for own in moments for moment in own]) <= 80
    workers[0].slow_down()
    clock.now += 5
    assert workers[0].reserve(5).interval_s == pytest.approx(1 / (11 * 0.9))


def test_without_redis_the_daily_count_comes_from_sql(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.kill()
    throttle = make_throttle(
        clock,
        daily_limit=100,
        workers=2,
        load_recent_contacts=lambda: [(n, 0.0) for n in range(90)],
    )
    counts = [throttle.reserve(3).count for _ in range(3)]
    assert counts == [3, 2, 0]


def test_reservations_made_in_redis_count_after_it_goes_away(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    throttle = make_throttle(clock, 10)
    assert throttle.reserve(10).count == 10
    redis_server.kill()
    assert throttle.reserve(10).count == 0


@pytest.mark.parametrize("garbage", [b"not a number", b"99999999999", b"-5", b""])
def test_a_garbage_value_does_not_stop_the_throttle(
    app: Flask, redis_server: RedisServer, garbage: bytes
) -> None:
    fields = ("free", "tokens", "filled", "slow", "slow_at")
    redis_server.admin.hset(key("throttle", 1), mapping=dict.fromkeys(fields, garbage))
    reservation = Throttle(prosa_redis.client(), ThrottleLimits(1, 10)).reserve(1)
    assert reservation.count or reservation.wait_s < 61


def test_a_key_of_another_type_falls_back_to_the_local_throttle(
    app: Flask, clock: Clock, redis_server: RedisServer
) -> None:
    redis_server.admin.lpush(key("throttle", 1), "x")
    redis_server.admin.lpush(key("burst", 1, "55"), "x")
    throttle = make_throttle(clock, 10, workers=2)
    assert throttle.reserve(3) == Reservation(3, 0.0, pytest.approx(1 / 4.5))
    assert throttle.grant_quota([QuotaRequest("55")])[0].count == 1

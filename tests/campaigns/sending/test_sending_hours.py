from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from chatbot.campaigns.sending.sending_hours import SendingHours, get_sending_hours
from config import ConfigError
from sending_week import format_week, parse_week
from tests.support.settings import make_settings

HOURS = "mon-fri 09:00-19:00, sat 10:00-14:00"
ZONE = ZoneInfo("America/Sao_Paulo")


def at(text: str) -> datetime:
    """Return a local time in São Paulo as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


def hours_of(home: Path, **changes: str) -> SendingHours:
    return get_sending_hours(make_settings(home, SENDING_HOURS=HOURS, **changes))


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-23 09:00", "2026-11-23 09:00"),  # Monday, on the minute
        ("2026-11-23 18:59", "2026-11-23 18:59"),
        ("2026-11-23 08:59", "2026-11-23 09:00"),
        ("2026-11-23 19:00", "2026-11-24 09:00"),
        ("2026-11-28 09:00", "2026-11-28 10:00"),  # Saturday
        ("2026-11-28 14:00", "2026-11-30 09:00"),  # over the Sunday
        ("2026-11-20 10:00", "2026-11-21 10:00"),  # Consciência Negra, national since 2024
        ("2026-12-24 20:00", "2026-12-26 10:00"),  # over Christmas
    ],
)
def test_time_outside_waits_for_the_next_opening(tmp_path: Path, moment: str, opens: str) -> None:
    hours = hours_of(tmp_path)
    assert hours.opens_at(at(moment)) == at(opens)
    assert hours.is_open(at(moment)) == (moment == opens)


def test_state_holidays_and_own_days_off_are_closed(tmp_path: Path) -> None:
    revolution = at("2026-07-09 10:00")  # a holiday in São Paulo only
    assert hours_of(tmp_path).is_open(revolution)
    assert not hours_of(tmp_path, SENDING_HOLIDAYS="BR-SP").is_open(revolution)
    assert not hours_of(tmp_path, SENDING_DAYS_OFF="2026-07-09").is_open(revolution)
    assert make_settings(tmp_path, SENDING_DAYS_OFF="2026-07-09").days_off == {date(2026, 7, 9)}


def test_without_hours_it_is_always_open(tmp_path: Path) -> None:
    hours = get_sending_hours(make_settings(tmp_path))
    sunday = at("2026-11-29 03:00")
    assert hours.is_open(sunday)
    assert hours.finishes_at(sunday, timedelta(hours=90)) == sunday + timedelta(hours=90)


def test_work_rests_outside_the_hours(tmp_path: Path) -> None:
    hours = hours_of(tmp_path)
    friday = at("2026-11-27 18:00")
    assert hours.finishes_at(friday, timedelta(hours=1)) == at("2026-11-27 19:00")
    assert hours.finishes_at(friday, timedelta(hours=2)) == at("2026-11-28 11:00")
    assert hours.finishes_at(friday, timedelta(hours=6)) == at("2026-11-30 10:00")


def test_hours_that_never_open_return_none() -> None:
    never = SendingHours(((),) * 7, ZONE)
    assert never.opens_at(at("2026-11-27 18:00")) is None
    assert never.finishes_at(at("2026-11-27 18:00"), timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("SENDING_HOURS", "weekdays", "mon-fri 09:00-19:00"),
        ("SENDING_HOURS", "mon 19:00-09:00", "mon-fri 09:00-19:00"),
        ("SENDING_HOURS", "mon 09:00-24:01", "mon-fri 09:00-19:00"),
        ("SENDING_HOURS", "segunda 09:00-18:00", "days mon to sun"),
        ("SENDING_HOLIDAYS", "BR-XX", "BR-SP"),
        ("SENDING_DAYS_OFF", "24/12/2026", "2026-12-24"),
        ("SENDING_DAYS_OFF", "2026-W49-2", "2026-12-24"),
        ("SENDING_DAYS_OFF", "20261224", "2026-12-24"),
    ],
)
def test_invalid_hours_are_refused_at_startup(
    tmp_path: Path, name: str, value: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=name) as error:
        make_settings(tmp_path, **{name: value})
    assert fix in str(error.value)


def test_several_spans_a_day_and_days_over_the_weekend_work(tmp_path: Path) -> None:
    lunch = "fri-mon 08:00-12:00, fri-mon 13:00-18:00, ter 09:00-10:00"
    hours = get_sending_hours(make_settings(tmp_path, SENDING_HOURS=lunch))
    assert hours.is_open(at("2026-11-29 11:59"))  # Sunday
    assert hours.opens_at(at("2026-11-29 12:00")) == at("2026-11-29 13:00")
    assert hours.opens_at(at("2026-11-30 18:00")) == at("2026-12-01 09:00")
    assert hours.opens_at(at("2026-12-01 10:00")) == at("2026-12-04 08:00")
    morning = at("2026-11-29 11:00")
    assert hours.finishes_at(morning, timedelta(hours=2)) == at("2026-11-29 14:00")


def test_spans_that_overlap_are_refused_by_day(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two spans of wed overlap: 08:00-12:00 and 11:30-13:00"):
        make_settings(tmp_path, SENDING_HOURS="mon-fri 08:00-12:00, wed 11:30-13:00")


@pytest.mark.parametrize(
    ("text", "english", "portuguese"),
    [
        ("seg-sex 08:00-12:00, seg-sex 13:00-18:00, sáb 9:00-12:00",
         "mon-fri 08:00-12:00, mon-fri 13:00-18:00, sat 09:00-12:00",
         "seg-sex 08:00-12:00, seg-sex 13:00-18:00, sáb 09:00-12:00"),
        ("mon 08:00-12:00, mon 12:00-14:00", "mon 08:00-14:00", "seg 08:00-14:00"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_week_is_shown_as_it_can_be_read_again(text: str, english: str, portuguese: str) -> None:
    week = parse_week(text)
    assert (format_week(week), format_week(week, portuguese=True)) == (english, portuguese)
    assert parse_week(english) == parse_week(portuguese) == week

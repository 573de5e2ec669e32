"""Sending hours of campaigns: the company's hours, weekdays and holidays, in its own time zone.

No federal law of Brazil sets hours for WhatsApp messages; state laws on debt collection do.
Answers to inbound messages are sent at any hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

from config import Settings
from sending_week import Week

MAX_DAYS_AHEAD = 400


@dataclass(frozen=True, slots=True)
class SendingHours:
    """Sending hours. `week` has the spans of each day from Monday, or is None for any hour."""

    week: Week | None
    zone: ZoneInfo
    is_day_off: Callable[[date], bool] = lambda _day: False

    def is_open(self, at: datetime) -> bool:
        return self.opens_at(at) == at

    def opens_at(self, at: datetime) -> datetime | None:
        """Return `at` if it is within the hours, else the next opening; None if there is none."""
        if self.week is None:
            return at
        day = at.astimezone(self.zone).date()
        for number in range(MAX_DAYS_AHEAD):
            for start, end in self._windows(day + timedelta(days=number)):
                if at < end:
                    return max(at, start)
        return None

    def finishes_at(self, start: datetime, duration: timedelta) -> datetime | None:
        """Return when work of this duration ends if it only runs within the hours; None if never."""
        at: datetime | None = start
        while (at := self.opens_at(at) if at else None) is not None:
            closes = self._closes_at(at)
            if closes is None or at + duration <= closes:
                return at + duration
            duration -= closes - at
            at = closes
        return None

    def _closes_at(self, at: datetime) -> datetime | None:
        windows = self._windows(at.astimezone(self.zone).date())
        return next((end for start, end in windows if start <= at < end), None)

    def _windows(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        if self.week is None or self.is_day_off(day):
            return
        midnight = datetime.combine(day, time(), self.zone)
        for hours in self.week[day.weekday()]:
            # Wall-clock arithmetic, so that daylight saving time moves neither end.
            start, end = (midnight + timedelta(minutes=minutes) for minutes in hours)
            yield start.astimezone(UTC), end.astimezone(UTC)


def get_sending_hours(settings: Settings) -> SendingHours:
    """Build the hours from the settings. The holiday calendar is a country or a state, such as `BR-SP`."""
    country, _, state = settings.holiday_calendar.partition("-")
    public = holidays.country_holidays(country, subdiv=state or None) if country else {}
    return SendingHours(
        settings.sending_hours,
        ZoneInfo(settings.timezone),
        lambda day: day in settings.days_off or day in public,
    )

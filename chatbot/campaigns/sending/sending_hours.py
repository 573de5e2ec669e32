"""Sending hours of campaigns: the company's hours, weekdays and holidays, in its own time zone.

No federal law of Brazil sets hours for WhatsApp messages; state laws on debt collection do.
Answers to inbound messages are sent at any hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

from config import Settings

DailyWindow = tuple[int, int] | None  # from and until, in minutes of the day
MAX_DAYS_AHEAD = 400


@dataclass(frozen=True, slots=True)
class SendingHours:
    """Sending hours: a window per weekday (0: Monday); `week` is None for any hour. Datetimes are aware."""

    week: Sequence[DailyWindow] | None
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
            window = self._window(day + timedelta(days=number))
            if window is not None and at < window[1]:
                return max(at, window[0])
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
        window = self._window(at.astimezone(self.zone).date())
        return window[1] if window else None

    def _window(self, day: date) -> tuple[datetime, datetime] | None:
        hours = self.week[day.weekday()] if self.week is not None else None
        if hours is None or self.is_day_off(day):
            return None
        midnight = datetime.combine(day, time(), self.zone)
        # Wall-clock arithmetic, so that daylight saving time moves neither end.
        start, end = (midnight + timedelta(minutes=minutes) for minutes in hours)
        return start.astimezone(UTC), end.astimezone(UTC)


def get_sending_hours(settings: Settings) -> SendingHours:
    """Build the hours from the settings. The holiday calendar is a country or a state, such as `BR-SP`."""
    country, _, state = settings.holiday_calendar.partition("-")
    public = holidays.country_holidays(country, subdiv=state or None) if country else {}
    return SendingHours(
        settings.sending_hours,
        ZoneInfo(settings.timezone),
        lambda day: day in settings.days_off or day in public,
    )

"""When campaigns may send: the company's hours, weekdays and holidays, in its own time zone.

No federal statute sets hours for WhatsApp; the states' laws on collection do (brazil.md section 4).
Answers to what somebody wrote himself are sent at any hour.
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
    """`week` is None where any hour is right. All moments are aware."""

    week: Sequence[DailyWindow] | None
    zone: ZoneInfo
    is_day_off: Callable[[date], bool] = lambda _day: False

    def is_open(self, at: datetime) -> bool:
        return self.opens_at(at) == at

    def opens_at(self, at: datetime) -> datetime | None:
        """`at` itself when it is open, else the next opening; None: never again."""
        if self.week is None:
            return at
        day = at.astimezone(self.zone).date()
        for number in range(MAX_DAYS_AHEAD):
            window = self._window(day + timedelta(days=number))
            if window is not None and at < window[1]:
                return max(at, window[0])
        return None

    def finishes_at(self, start: datetime, duration: timedelta) -> datetime | None:
        """When `work` that begins at `start` is done, resting outside of the hours; None: never."""
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
        # By the wall clock, so that a change to summer time moves neither end.
        start, end = (midnight + timedelta(minutes=minutes) for minutes in hours)
        return start.astimezone(UTC), end.astimezone(UTC)


def get_sending_hours(settings: Settings) -> SendingHours:
    """As the company set them: own days off, and the holidays of a country or a state (`BR-SP`)."""
    country, _, state = settings.holiday_calendar.partition("-")
    public = holidays.country_holidays(country, subdiv=state or None) if country else {}
    return SendingHours(
        settings.sending_hours,
        ZoneInfo(settings.timezone),
        lambda day: day in settings.days_off or day in public,
    )

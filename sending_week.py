"""Spans of the week as people write them: `mon-fri 08:00-12:00, mon-fri 13:00-18:00, sat 10:00-14:00`.

Days may be English or Portuguese, and a range of days may wrap (`fri-mon`). Pure functions, used by
`config.py` and by what shows the hours.
"""

from __future__ import annotations

from itertools import pairwise

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS_PT = ("seg", "ter", "qua", "qui", "sex", "sab", "dom")
DAYS_PT_SHOWN = ("seg", "ter", "qua", "qui", "sex", "sáb", "dom")
_DAY_NUMBERS = {
    name: number for names in (DAYS, DAYS_PT, DAYS_PT_SHOWN) for number, name in enumerate(names)
}
END_OF_DAY = 24 * 60

Span = tuple[int, int]  # from and until, in minutes of the day
Week = tuple[tuple[Span, ...], ...]  # seven days from Monday, each with its spans in order

FORMAT = "write it like mon-fri 09:00-19:00, sat 10:00-14:00 (days mon to sun; empty for any hour)."


def parse_week(text: str) -> Week | None:
    """Return the spans of each day, or None for an empty text: any hour.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    days: list[list[Span]] = [[] for _ in DAYS]
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        for day, span in _parse_part(part):
            days[day].append(span)
    if not any(days):
        return None
    for name, spans in zip(DAYS, days, strict=True):
        spans.sort()
        _refuse_overlaps(name, spans)
    return tuple(tuple(_join(spans)) for spans in days)


def _parse_part(part: str) -> list[tuple[int, Span]]:
    try:
        day_range, hours = part.split()
        first, _, last = day_range.partition("-")
        start_day, end_day = _DAY_NUMBERS[first], _DAY_NUMBERS[last or first]
        start, end = (_parse_minutes(each) for each in hours.split("-"))
    except (ValueError, KeyError):
        raise ValueError(f"{part!r} can't be read; {FORMAT}") from None
    if start >= end:
        raise ValueError(f"{part!r} ends before it begins; {FORMAT}")
    return [((start_day + n) % 7, (start, end)) for n in range((end_day - start_day) % 7 + 1)]


def _parse_minutes(text: str) -> int:
    hour, minute = (int(each) for each in text.split(":"))
    if not (0 <= hour <= 24 and 0 <= minute < 60 and hour * 60 + minute <= END_OF_DAY):
        raise ValueError(text)
    return hour * 60 + minute


def _refuse_overlaps(day: str, spans: list[Span]) -> None:
    for before, after in pairwise(spans):
        if after[0] < before[1]:
            raise ValueError(
                f"two spans of {day} overlap: {_show(before)} and {_show(after)}; join or shorten them."
            )


def _join(spans: list[Span]) -> list[Span]:
    """Join spans that touch."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def format_week(week: Week | None, *, portuguese: bool = False) -> str:
    """Return the text that `parse_week` reads back, with neighbouring days of the same hours in one range."""
    names = DAYS_PT_SHOWN if portuguese else DAYS
    parts: list[str] = []
    day = 0
    while week is not None and day < len(week):
        last = day
        while last + 1 < len(week) and week[last + 1] == week[day]:
            last += 1
        label = names[day] if last == day else f"{names[day]}-{names[last]}"
        parts += [f"{label} {_show(span)}" for span in week[day]]
        day = last + 1
    return ", ".join(parts)


def _show(span: Span) -> str:
    return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in span)

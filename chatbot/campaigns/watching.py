"""A campaign's progress as it moves: how fast it goes and when it will be done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chatbot.campaigns import queries, service
from chatbot.campaigns.models import CampaignState
from chatbot.campaigns.sending_hours import SendingHours
from chatbot.core import clock
from chatbot.core.db import db

WINDOW_S = 15.0
BAR = 24
ENDED = (CampaignState.FINISHED, CampaignState.CANCELLED)


@dataclass(slots=True)
class Rate:
    """People done per second over the last moments. Moments are monotonic seconds."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, at: float, done: int) -> None:
        self.seen.append((at, done))
        while len(self.seen) > 2 and at - self.seen[0][0] > WINDOW_S:
            self.seen.popleft()

    @property
    def per_second(self) -> float:
        if len(self.seen) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self.seen[0], self.seen[-1]
        return max(0.0, (last - first) / max(last_at - first_at, 1e-6))


def finish_time(left: int, per_second: float, hours: SendingHours) -> datetime | None:
    """When the rest will have been sent at this pace, resting outside of the hours; None: nobody
    can tell."""
    if per_second <= 0:
        return None
    return hours.finishes_at(clock.now(), timedelta(seconds=left / per_second))


def watch(campaign_id: int, every_s: float) -> Iterator[str]:
    """A line for each look, until the campaign has ended."""
    rate = Rate()
    while True:
        campaign = service.get_campaign(campaign_id)
        measured = queries.measure(queries.figures(campaign_id))
        state = campaign.state
        db.session.rollback()
        rate.note(time.monotonic(), measured.done)
        yield line(state, measured, rate.per_second)
        if state in ENDED:
            return
        time.sleep(every_s)


def line(state: str, measured: queries.Progress, per_second: float) -> str:
    share = measured.done / measured.planned if measured.planned else 1.0
    bar = ("#" * round(share * BAR)).ljust(BAR, ".")
    left = measured.planned - measured.done
    eta = f"  {timedelta(seconds=round(left / per_second))} left" if per_second and left else ""
    figures = measured.figures
    return (
        f"[{bar}] {share:4.0%}  {measured.done}/{measured.planned}  {per_second:.0f}/s{eta}  "
        f"{state}  delivered {measured.funnel['delivered']}  read {measured.funnel['read']}  "
        f"failed {figures['failed']}  unknown {figures['unknown']}"
    )

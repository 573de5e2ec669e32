"""Live progress of a campaign for the command line: throughput and remaining time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from chatbot.campaigns import queries, service
from chatbot.campaigns.models import CampaignState
from chatbot.core.db import db

WINDOW_S = 15.0
BAR_WIDTH = 24
FINAL_STATES = (CampaignState.FINISHED, CampaignState.CANCELLED)


@dataclass(slots=True)
class Throughput:
    """Recipients done per second over the last `WINDOW_S`. Times are monotonic seconds."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def record(self, at: float, done: int) -> None:
        self.samples.append((at, done))
        while len(self.samples) > 2 and at - self.samples[0][0] > WINDOW_S:
            self.samples.popleft()

    @property
    def per_second(self) -> float:
        if len(self.samples) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self.samples[0], self.samples[-1]
        return max(0.0, (last - first) / max(last_at - first_at, 1e-6))


def watch_progress(campaign_id: int, every_s: float) -> Iterator[str]:
    """Yield a progress line every `every_s` seconds until the campaign has ended."""
    rate = Throughput()
    while True:
        campaign = service.get_campaign(campaign_id)
        progress = queries.compute_progress(queries.count_by_state(campaign_id))
        state = campaign.state
        db.session.rollback()
        rate.record(time.monotonic(), progress.done)
        yield render_progress_line(state, progress, rate.per_second)
        if state in FINAL_STATES:
            return
        time.sleep(every_s)


def render_progress_line(state: str, progress: queries.Progress, per_second: float) -> str:
    share = progress.done / progress.planned if progress.planned else 1.0
    bar = ("#" * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, ".")
    left = progress.planned - progress.done
    eta = f"  {timedelta(seconds=round(left / per_second))} left" if per_second and left else ""
    figures = progress.figures
    return (
        f"[{bar}] {share:4.0%}  {progress.done}/{progress.planned}  {per_second:.0f}/s{eta}  "
        f"{state}  delivered {progress.funnel['delivered']}  read {progress.funnel['read']}  "
        f"failed {figures['failed']}  unknown {figures['unknown']}"
    )

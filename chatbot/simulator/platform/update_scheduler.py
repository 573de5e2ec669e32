"""Scheduler of the webhook updates: a heap ordered by due time, published in batches."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

import msgspec

from chatbot.simulator.clock import Clock
from chatbot.simulator.faults.random_draws import RandomDraws
from chatbot.simulator.platform.whatsapp_users import WhatsAppUser
from chatbot.simulator.settings import Settings
from chatbot.simulator.webhooks.payloads import StatusName

MAX_ITEMS_PER_FLUSH = 5_000  # then the event loop handles other requests
MAX_DUPLICATE_DELAY_S = 0.2


class AcceptedMessage(msgspec.Struct):
    """Accepted message; `failure` is the code with which it will fail, or 0."""

    wamid: str
    user: WhatsAppUser
    callback: str
    category: str
    by_user_id: bool = False  # sent to a user id and not to a number
    failure: int = 0
    is_reaction: bool = False
    held_s: float = 0.0


class ScheduledStatus(msgspec.Struct):
    """Scheduled status; `at` is its own timestamp (Unix seconds), not the time of its webhook."""

    message: AcceptedMessage
    name: StatusName
    at: float
    priced: bool


class InboundUpdate(msgspec.Struct):
    """Inbound message: an item of the webhook's `messages[]` and one of its `contacts[]`."""

    message: dict[str, object]
    contact: dict[str, object]
    on_delivered: Callable[[], None]


WebhookUpdate = ScheduledStatus | InboundUpdate
Action = Callable[[], None]


class UpdateScheduler:
    """Scheduler with one heap and one timer for all messages, so that 100,000 stay cheap."""

    def __init__(
        self, settings: Settings, clock: Clock, publish: Callable[[list[WebhookUpdate]], None]
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._publish = publish
        self._heap: list[tuple[float, int, WebhookUpdate | Action]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        return len(self._heap)

    def schedule_statuses(self, message: AcceptedMessage, draws: RandomDraws) -> None:
        """Schedule the statuses of an accepted message, as settings and draws decide."""
        if not self.settings.statuses:
            return
        now = self._clock.now() + message.held_s
        steps = self._list_status_steps(message, draws)
        send_delays = [delay for _, delay in steps]
        if draws.is_shuffled < self.settings.shuffle_status:
            send_delays.reverse()
        late_s = self.settings.status_delay_ms / 1000
        has_delivered = any(name is StatusName.DELIVERED for name, _ in steps)
        duplicate_draws = (draws.duplicate_sent, draws.duplicate_delivered, draws.duplicate_read)
        for (name, delay), send_delay, duplicate_draw in zip(
            steps, send_delays, duplicate_draws, strict=False
        ):
            scheduled = ScheduledStatus(message, name, now + delay, _is_priced(name, has_delivered))
            due = now + send_delay + late_s
            self._push(due, scheduled)
            if duplicate_draw < self.settings.duplicate_status:
                self._push(due + draws.repeat_after * MAX_DUPLICATE_DELAY_S, scheduled)
        self._start_timer()

    def schedule(self, item: WebhookUpdate | Action, after_s: float) -> None:
        """Schedule an inbound message or an action of the platform."""
        self._push(self._clock.now() + after_s, item)
        self._start_timer()

    def restart_timer(self) -> None:
        """Set the timer again after the clock was set forward."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._start_timer()

    def clear(self) -> None:
        self._heap.clear()

    def _list_status_steps(
        self, message: AcceptedMessage, draws: RandomDraws
    ) -> list[tuple[StatusName, float]]:
        settings = self.settings
        sent = _interpolate(settings.sent_min_s, settings.sent_max_s, draws.sent)
        if message.failure:
            return [(StatusName.FAILED, sent)]
        steps = [(StatusName.SENT, sent)]
        if message.is_reaction:  # Meta (reaction messages): only `sent` follows
            return steps
        if draws.skips_delivered >= settings.skip_delivered:
            low, high = settings.delivered_min_s, settings.delivered_max_s
            steps.append((StatusName.DELIVERED, _interpolate(low, high, draws.delivered)))
        if draws.is_read < settings.read_share:
            low, high = settings.read_min_s, settings.read_max_s
            steps.append((StatusName.READ, _interpolate(low, high, draws.read)))
        return steps

    def _push(self, due: float, item: WebhookUpdate | Action) -> None:
        heapq.heappush(self._heap, (due, next(self._order), item))

    def _start_timer(self) -> None:
        """Set the timer to one batch window after the first due time, unless it is set earlier."""
        if not self._heap:
            return
        loop = asyncio.get_running_loop()
        wait = max(0.0, self._heap[0][0] - self._clock.now()) + self.settings.batch_window_ms / 1000
        when = loop.time() + wait
        if self._timer is None or self._timer.when() > when + 0.001:
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(when, self._flush)

    def _flush(self) -> None:
        self._timer = None
        now = self._clock.now()
        due: list[WebhookUpdate] = []
        actions: list[Action] = []
        while self._heap and self._heap[0][0] <= now and len(due) < MAX_ITEMS_PER_FLUSH:
            item = heapq.heappop(self._heap)[2]
            if isinstance(item, ScheduledStatus | InboundUpdate):
                due.append(item)
            else:
                actions.append(item)
        size = self.settings.batch_size
        for start in range(0, len(due), size):
            self._publish(due[start : start + size])
        for action in actions:
            action()
        self._start_timer()


def _interpolate(low: float, high: float, number: float) -> float:
    return low + (high - low) * number


def _is_priced(name: StatusName, has_delivered: bool) -> bool:
    """Tell whether the status has `pricing`: `sent`, and the first of `delivered` and `read`."""
    if name is StatusName.READ:
        return not has_delivered
    return name is not StatusName.FAILED

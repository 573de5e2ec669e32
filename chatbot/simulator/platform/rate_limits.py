"""Rate limits of Meta: throughput, pair rate, messaging tier and management calls.

Sources: Meta's pages "Throughput", "Messaging limits" and Graph API "Rate limits"
(developers.facebook.com/docs/graph-api/overview/rate-limiting).
"""

from collections import deque

from chatbot.simulator.errors import GraphError
from chatbot.simulator.settings import Settings

DAY_S = 86_400.0
HOUR_S = 3600.0
TIERS = ((250, "TIER_250"), (2_000, "TIER_2K"), (10_000, "TIER_10K"), (100_000, "TIER_100K"))
UNLIMITED = "TIER_UNLIMITED"


class TokenBucket:
    """Token bucket that starts full. Times are Unix seconds of the platform's clock."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, capacity: float, now: float) -> None:
        self._tokens, self._at = capacity, now

    def take(self, rate: float, capacity: float, now: float, *, forced: bool = False) -> bool:
        """Take one token and return True, or return False; `forced` goes below zero instead."""
        self._tokens = min(capacity, self._tokens + max(0.0, now - self._at) * rate)
        self._at = now
        if self._tokens < 1 and not forced:
            return False
        self._tokens -= 1
        return True


class RateLimits:
    def __init__(self) -> None:
        self._throughput: TokenBucket | None = None
        self._pairs: dict[str, TokenBucket] = {}
        self._reached: dict[str, float] = {}  # user -> last message outside the window
        self._order: deque[tuple[float, str]] = deque()
        self._management: TokenBucket | None = None
        self.management_calls = 0

    @property
    def users_reached(self) -> int:
        return len(self._reached)

    def check_send(
        self, settings: Settings, key: str, now: float, *, is_business_initiated: bool
    ) -> None:
        """Raise GraphError if a limit is reached.

        `is_business_initiated` is true for a template sent outside the service window.
        """
        if is_business_initiated and not self._is_within_tier(settings, key, now):
            raise GraphError(131048, "Messaging limit of the business portfolio reached.")
        if settings.throughput_per_s and not self._take_throughput(settings, now):
            raise GraphError(130429, "Message failed to send because the rate limit was hit.")
        if settings.pair_limit and not self._take_pair(settings, key, now):
            raise GraphError(131056, "Too many messages sent to the same phone number.")
        if is_business_initiated:
            self._reached[key] = now
            self._order.append((now, key))

    def count_inbound(self, settings: Settings, now: float) -> None:
        """Count an inbound message: it uses the throughput of the number but is never refused."""
        if settings.throughput_per_s:
            self._take_throughput(settings, now, forced=True)

    def check_management(self, settings: Settings, now: float) -> None:
        """Count a call to any path but /messages; raise GraphError 80007 above the hourly limit."""
        self.management_calls += 1
        allowed = float(settings.management_calls_per_h)
        if not allowed:
            return
        self._management = self._management or TokenBucket(allowed, now)
        if not self._management.take(allowed / HOUR_S, allowed, now):
            raise GraphError(80007, "The WhatsApp Business Account has reached its rate limit.")

    def _take_throughput(self, settings: Settings, now: float, *, forced: bool = False) -> bool:
        rate = float(settings.throughput_per_s)
        self._throughput = self._throughput or TokenBucket(rate, now)
        return self._throughput.take(rate, rate, now, forced=forced)

    def _take_pair(self, settings: Settings, key: str, now: float) -> bool:
        burst = float(settings.pair_burst)
        bucket = self._pairs.get(key)
        if bucket is None:
            bucket = self._pairs[key] = TokenBucket(burst, now)
        return bucket.take(1 / settings.pair_interval_s, burst, now)

    def _is_within_tier(self, settings: Settings, key: str, now: float) -> bool:
        """Check the tier, which counts unique users in a rolling day."""
        while self._order and self._order[0][0] <= now - DAY_S:
            at, user = self._order.popleft()
            if self._reached.get(user) == at:
                del self._reached[user]
        limit = settings.tier_limit
        return not limit or key in self._reached or len(self._reached) < limit


def get_tier_name(limit: int) -> str:
    """Return Meta's name of the smallest tier that allows `limit` users; 0 is unlimited."""
    return next((name for most, name in TIERS if 0 < limit <= most), UNLIMITED)

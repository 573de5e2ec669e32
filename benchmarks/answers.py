"""Measure the time to an answer during a campaign: `python -m benchmarks.answers [CUSTOMERS]`.

In real processes a campaign sends as fast as the number allows (80 messages a second) and all its statuses
arrive. The floor is one second: the bot waits that long for further messages of the customer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.flows.test_campaign_sends import FAST_RECEIPTS, sent_so_far, start_campaign
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack

MESSAGES_PER_SECOND = 80
CUSTOMERS = 20
SECONDS_EACH = 2.5  # per customer, so that the campaign lasts longer than the measurement


def time_answer(stack: Stack, number: int) -> float:
    """Return the seconds from a customer's message to the answer on their phone."""
    customer, started = f"5521966{number:06d}", time.monotonic()
    stack.send_as_customer(customer, "oi")
    wait_for(lambda: stack.replies_to(customer) or None, 60, every=0.05)
    return time.monotonic() - started


def main(customers: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="prosa-answers-"))
    redis = RedisServer()
    redis.start()
    stack = Stack(
        home, f"sqlite:///{home / 'prosa.db'}", redis.url, MESSAGES_PER_SECOND=MESSAGES_PER_SECOND
    )
    try:
        stack.flask("db", "upgrade")
        stack.start()
        stack.simulator("settings", FAST_RECEIPTS)
        people = round(customers * SECONDS_EACH * MESSAGES_PER_SECOND)
        campaign = start_campaign(stack, home, people=people)
        wait_for(lambda: stack.figures(campaign)["delivered"] or None, 60)
        sent, began = sent_so_far(stack), time.monotonic()
        took = sorted(time_answer(stack, number) for number in range(customers))
        rate = (sent_so_far(stack) - sent) / (time.monotonic() - began)
        left = stack.figures(campaign)["pending"]
    finally:
        stack.stop()
        redis.kill()
    p95 = took[max(0, round(0.95 * customers) - 1)]
    print(
        "\nSeconds from a customer's message to the answer; floor: 1 s, for which the bot waits for more"
        "\n\n| answers during a campaign | p50 s | p95 s (≤ 3) | campaign, messages/s |\n|---|---|---|---|"
    )
    print(f"| {customers} customers | {statistics.median(took):.2f} | {p95:.2f} | {rate:.0f} |")
    if not left:
        print("\nThe campaign ended during the measurement: use fewer customers.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS)

"""Fault 4 of reliability.md: the provider accepts and then resets; statuses come shuffled and twice."""

from __future__ import annotations

import pytest

from tests.flows.faults.conftest import StartCampaign
from tests.support.delivery_audit import check_deliveries, count_accepted_by_phone
from tests.support.stack import Stack

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.flow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("policy", ["show", "resend"])
def test_4_what_was_accepted_and_then_reset_is_in_doubt_and_then_settled_once(
    stack: Stack, start: StartCampaign, policy: str
) -> None:
    stack.simulator(
        "settings",
        {
            "reset_after_accept": 0.2,
            "http_500_after": 0.1,
            "unreadable_200": 0.1,
            "shuffle_status": 1.0,
            "duplicate_status": 1.0,
        },
    )
    observer = start(300, policy)
    observer.wait_until_settled(120)
    states = check_deliveries(stack, observer, 300)
    assert len(count_accepted_by_phone(stack)) == 300
    assert set(states.values()) <= {"sent", "delivered", "read"}

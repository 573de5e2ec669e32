"""A campaign from a CSV file to its end, undisturbed and with faults meanwhile.

The judge is the simulator's log of every POST that it accepted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.flows.conftest import StackMaker
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.scale import scaled
from tests.support.stack import Stack

pytestmark = pytest.mark.flow

PEOPLE = scaled(300, 2000)
MAX_IN_DOUBT = 128  # the most that may be in doubt: two overlapping claims of 64
FAST_RECEIPTS = {"read_min_s": 0.2, "read_max_s": 0.5, "batch_size": 200}


def write_csv(path: Path, people: int = PEOPLE) -> Path:
    rows = [f"(11) 9{8000_0000 + n};Pessoa {n};dia {n % 28 + 1}\n" for n in range(people)]
    path.write_text("Telefone;Nome;Vencimento\n" + "".join(rows), encoding="cp1252")
    return path


def start_campaign(
    stack: Stack, tmp_path: Path, on_doubt: str = "show", people: int = PEOPLE
) -> int:
    path = write_csv(tmp_path / "a.csv", people)
    report = json.loads(stack.flask("contacts", "import", str(path), "--json"))
    assert report["imported"] == people
    stack.flask("templates", "sync")
    printed = stack.flask(
        *("campaigns", "create", "--name", "Lembrete", "--template", "lembrete_fatura"),
        *("--all", "--param", "1=field:name", "--param", "2=field:vencimento"),
        *("--on-doubt", on_doubt, "--start"),
    )
    return int(printed)


def accepted_per_person(stack: Stack) -> Counter[str]:
    """Accepted template sends by recipient, from the simulator's log."""
    counts: Counter[str] = Counter()
    since = 0
    while True:
        page = stack.simulator(f"log?since={since}&limit=5000")
        entries = page["entries"] if isinstance(page, dict) else page
        if not entries:
            return counts
        since = entries[-1]["id"]
        counts.update(e["wa_id"] or e["to"] for e in entries if e["accepted"])


def wait_until_settled(stack: Stack, campaign_id: int, seconds: float = 90) -> dict[str, int]:
    def settled() -> dict[str, int] | None:
        figures = stack.figures(campaign_id)
        assert figures["planned"] == sum_of_states(figures)
        moving = ("pending", "sending", "accepted", "sent")
        return figures if not any(figures[name] for name in moving) else None

    return wait_for(settled, seconds, every=0.5)  # type: ignore[return-value]


def sum_of_states(figures: dict[str, int]) -> int:
    names = "pending sending accepted sent delivered read failed skipped unknown".split()
    return sum(figures[name] for name in names)


def sent_so_far(stack: Stack) -> int:
    return int(stack.simulator("log/summary")["accepted"])


def test_everybody_gets_it_once_and_the_figures_add_up(stack: Stack, tmp_path: Path) -> None:
    stack.simulator("settings", FAST_RECEIPTS)
    campaign_id = start_campaign(stack, tmp_path)
    figures = wait_until_settled(stack, campaign_id)
    counts = accepted_per_person(stack)
    assert len(counts) == PEOPLE
    assert set(counts.values()) == {1}
    assert figures["planned"] == PEOPLE
    assert figures["delivered"] + figures["read"] == PEOPLE
    wait_for(lambda: stack.figures(campaign_id)["state"] == "finished", 20, every=0.5)


@pytest.mark.slow  # else faults/test_processes.py, test_1
def test_a_killed_worker_doubles_nobody_and_leaves_at_most_two_batches_in_doubt(
    stack: Stack, tmp_path: Path
) -> None:
    stack.simulator("settings", FAST_RECEIPTS | {"latency_ms": 100})
    campaign_id = start_campaign(stack, tmp_path)
    wait_for(lambda: sent_so_far(stack) > PEOPLE // 7, 30)
    stack.kill("campaigns")
    stack.spawn("campaigns")
    figures = wait_until_settled(stack, campaign_id, 120)
    counts = accepted_per_person(stack)
    assert set(counts.values()) == {1}
    assert figures["planned"] == PEOPLE
    assert figures["unknown"] <= MAX_IN_DOUBT
    assert len(counts) == PEOPLE - figures["unknown"]


@pytest.mark.slow  # else faults/test_processes.py, test_7
def test_an_emptied_redis_costs_nothing_but_time(
    stack: Stack, own_redis: RedisServer, tmp_path: Path
) -> None:
    stack.simulator("settings", FAST_RECEIPTS)
    campaign_id = start_campaign(stack, tmp_path)
    for _ in range(3):
        wait_for(lambda: sent_so_far(stack) > 200, 30)
        own_redis.flush()
        time.sleep(1)
    wait_until_settled(stack, campaign_id)
    counts = accepted_per_person(stack)
    assert len(counts) == PEOPLE
    assert set(counts.values()) == {1}


def test_a_campaign_runs_to_its_end_with_redis_gone_for_good(
    make_stack: StackMaker, own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.kill()
    stack = make_stack(own_redis.url).start()
    stack.simulator("settings", FAST_RECEIPTS)
    campaign_id = start_campaign(stack, tmp_path)
    wait_until_settled(stack, campaign_id, 110)
    counts = accepted_per_person(stack)
    assert len(counts) == PEOPLE
    assert set(counts.values()) == {1}

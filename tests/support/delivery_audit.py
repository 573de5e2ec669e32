"""Checks of a campaign: messages accepted by the simulator against the states in the database."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from tests.support.ports import wait_for
from tests.support.stack import Stack

FINAL_STATES = {"sent", "delivered", "read", "failed", "skipped", "unknown"}
FAST_RECEIPTS = {"read_min_s": 0.2, "read_max_s": 0.5, "batch_size": 200}


def start_campaign(stack: Stack, home: Path, people: int, on_doubt: str = "show") -> int:
    """Import so many contacts and start a campaign to all of them; return its id."""
    rows = [f"+55119{8000_0000 + n};Pessoa {n};dia {n % 28 + 1}\n" for n in range(people)]
    path = home / "people.csv"
    path.write_text("Telefone;Nome;Vencimento\n" + "".join(rows))
    report = json.loads(stack.flask("contacts", "import", str(path), "--json"))
    assert report["imported"] == people
    stack.flask("templates", "sync")
    printed = stack.flask(
        *("campaigns", "create", "--name", "Lembrete", "--template", "lembrete_fatura"),
        *("--all", "--param", "1=field:name", "--param", "2=field:vencimento"),
        *("--on-doubt", on_doubt, "--start"),
    )
    return int(printed)


def count_accepted_by_phone(stack: Stack) -> Counter[str]:
    """Count the accepted POSTs of each phone in the simulator's log."""
    counts: Counter[str] = Counter()
    since = 0
    while True:
        entries = stack.simulator(f"log?since={since}&limit=5000")["entries"]
        if not entries:
            return counts
        since = entries[-1]["id"]
        counts.update(e["to"] for e in entries if e["accepted"])


def count_accepted(stack: Stack) -> int:
    return int(stack.simulator("log/summary")["accepted"])


class CampaignObserver:
    """Observer of a campaign with its own database connection, independent of the workers."""

    def __init__(self, database_url: str, campaign_id: int) -> None:
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        self._engine = sa.create_engine(url, pool_pre_ping=True)
        self._id = {"id": campaign_id}

    def count_by_state(self) -> dict[str, int]:
        query = "SELECT state, count(*) FROM recipients WHERE campaign_id = :id GROUP BY state"
        with self._engine.connect() as connection:
            rows = connection.execute(sa.text(query), self._id).all()
        return {str(state): int(count) for state, count in rows}

    def get_campaign_state(self) -> str:
        query = sa.text("SELECT state FROM campaigns WHERE id = :id")
        with self._engine.connect() as connection:
            return str(connection.scalar(query, self._id))

    def people(self) -> dict[str, str]:
        """Return the state of each recipient by phone without the plus."""
        query = sa.text(
            "SELECT c.phone, r.state FROM recipients r JOIN contacts c ON c.id = r.contact_id"
            " WHERE r.campaign_id = :id"
        )
        with self._engine.connect() as connection:
            return {
                str(phone)[1:]: str(state) for phone, state in connection.execute(query, self._id)
            }

    def count_alarms(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.text("SELECT count(*) FROM double_acceptances")) or 0)

    def is_settled(self) -> bool:
        return (
            self.get_campaign_state() == "finished" and set(self.count_by_state()) <= FINAL_STATES
        )

    def wait_until_settled(self, seconds: float) -> None:
        wait_for(self.is_settled, seconds, every=0.5)

    def close(self) -> None:
        self._engine.dispose()


def check_deliveries(stack: Stack, observer: CampaignObserver, people: int) -> dict[str, str]:
    """Check that no one got two messages, and that exactly the unreached are unknown or failed.

    Return the states by phone.
    """
    counts, states = count_accepted_by_phone(stack), observer.people()
    assert len(states) == people
    twice = {person: count for person, count in counts.items() if count > 1}
    assert not twice, f"{len(twice)} were written to more than once: {list(twice)[:3]}"
    missing = set(states) - set(counts)
    shown = {person for person, state in states.items() if state in ("unknown", "failed")}
    assert missing == shown, f"{len(missing)} not reached, {len(shown)} shown as such"
    assert observer.count_alarms() == 0
    return states

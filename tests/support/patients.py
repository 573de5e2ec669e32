"""What the doctor's tests share."""

from __future__ import annotations

from pathlib import Path

from chatbot.ops.doctor.diagnosis import Finding, Outcome, diagnose
from chatbot.ops.doctor.facts import gather
from tests.support.settings import make_settings

HEALTHY = (
    *("--appendonly", "yes", "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl"),
    # A busy machine's slowness is not what these tests make.
    *("--slowlog-log-slower-than", "-1"),
)


def seen(url: str | None, home: Path, **settings: object) -> list[Finding]:
    return diagnose(gather(url, make_settings(home, **settings)))


def troubles(findings: list[Finding]) -> set[str]:
    """What is named, but for what this machine is: its server's version, and its speed."""
    named = {f.name for f in findings if f.outcome is Outcome.TROUBLE}
    return named - {"not_mended", "latency"}

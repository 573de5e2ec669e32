"""What the doctor's tests share."""

from __future__ import annotations

from pathlib import Path

from chatbot.ops.doctor.diagnosis import CheckOutcome, CheckResult, diagnose
from chatbot.ops.doctor.facts import collect_server_facts
from tests.support.settings import make_settings

HEALTHY_OPTIONS = (
    *("--appendonly", "yes", "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl"),
    # A busy machine's slowness is not what these tests make.
    *("--slowlog-log-slower-than", "-1"),
)


def run_diagnosis(url: str | None, home: Path, **settings: object) -> list[CheckResult]:
    return diagnose(collect_server_facts(url, make_settings(home, **settings)))


def trouble_names(findings: list[CheckResult]) -> set[str]:
    """What is named, but for what this machine is: its server's version, and its speed."""
    named = {f.name for f in findings if f.outcome is CheckOutcome.TROUBLE}
    return named - {"unsupported_version", "latency"}

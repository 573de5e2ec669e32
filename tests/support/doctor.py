"""Helpers of the tests of `flask doctor`."""

from __future__ import annotations

from pathlib import Path

from chatbot.ops.doctor.diagnosis import CheckOutcome, CheckResult, diagnose
from chatbot.ops.doctor.facts import collect_server_facts
from tests.support.settings import make_settings

HEALTHY_OPTIONS = (
    *("--appendonly", "yes", "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl"),
    # A busy machine must not add entries to the slow log.
    *("--slowlog-log-slower-than", "-1"),
)


def run_diagnosis(url: str | None, home: Path, **settings: object) -> list[CheckResult]:
    return diagnose(collect_server_facts(url, make_settings(home, **settings)))


def trouble_names(findings: list[CheckResult]) -> set[str]:
    """Return the names of the troubles, without those that depend on the version or the machine."""
    named = {f.name for f in findings if f.outcome is CheckOutcome.TROUBLE}
    return named - {"unsupported_version", "latency"}

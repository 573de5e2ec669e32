from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from flask import Flask

from chatbot.core import metrics
from tests.support.factories import make_campaign, make_recipients

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
PROMTOOL = shutil.which("promtool")
NAMES = re.compile(r"\b(?:prosa|redis)_[a-z_]+\b")


@pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here (Debian: apt-get install prometheus)"
)
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_rules_are_valid_and_fire(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here (Debian: apt-get install prometheus)"
)
def test_metrics_page_is_valid(app: Flask) -> None:
    make_recipients(make_campaign(), 2)
    app.test_client().get("/health")
    page = app.test_client().get("/metrics").data
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics", "--extended"],
        input=page,
        capture_output=True,
        timeout=100,
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: style warnings only
    assert b"error" not in done.stderr


def test_rules_only_use_existing_metrics(app: Flask) -> None:
    metrics.count("webhooks", outcome="stored")
    metrics.count("deliveries", ledger="messages", result="accepted")
    app.test_client().get("/health")
    exported = set(NAMES.findall(app.test_client().get("/metrics").text))
    rules = (FOLDER / "alerts.yml").read_text()
    used = {
        name for line in rules.splitlines() if "summary" not in line for name in NAMES.findall(line)
    }
    assert len(used) > 10
    assert used - exported == set()

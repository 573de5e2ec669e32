from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import make_settings
from workers import launch


@pytest.mark.parametrize(
    ("address", "prepared"),
    [
        (None, ["upgrade", "load"]),
        ("http://127.0.0.1:9999/v25.0", ["upgrade", "load"]),
        ("https://graph.facebook.com/v25.0", ["upgrade"]),
    ],
)
def test_demo_data_is_not_loaded_where_messages_reach_real_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, prepared: list[str]
) -> None:
    ran: list[str] = []

    def note(command: list[str], **_: Any) -> None:
        ran.append(command[-1])

    monkeypatch.setattr(subprocess, "run", note)
    launch._prepare(make_settings(tmp_path, WHATSAPP_API_URL=address), {})
    assert ran == prepared

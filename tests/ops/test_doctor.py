"""Tests of the Redis doctor: each problem is caused for real, on a real server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from chatbot import create_app
from chatbot.core.redis.keys import key
from chatbot.ops.doctor.catalog import CHECKS, Severity
from chatbot.ops.doctor.diagnosis import CheckOutcome, diagnose, get_worst_severity
from chatbot.ops.doctor.facts import ServerFacts
from tests.support.doctor import HEALTHY_OPTIONS, run_diagnosis, trouble_names
from tests.support.ports import free_port, wait_for
from tests.support.redis_processes import connect_to, redis_process, slow_proxy
from tests.support.settings import make_settings


def test_healthy_server_has_no_problems_and_no_unknowns(app: Flask, tmp_path: Path) -> None:
    with redis_process(*HEALTHY_OPTIONS) as port:
        connect_to(port).set(key("probe"), "1", ex=9)
        findings = run_diagnosis(f"redis://127.0.0.1:{port}/0", tmp_path)
    assert trouble_names(findings) == set()
    assert [f.name for f in findings if f.outcome is CheckOutcome.UNKNOWN] == []


def test_switched_off_is_noted(app: Flask, tmp_path: Path) -> None:
    findings = run_diagnosis(None, tmp_path)
    assert (trouble_names(findings), get_worst_severity(findings)) == (
        {"switched_off"},
        Severity.NOTE,
    )


# --- problems of a reachable server, caused by its options or an action ---


def do_nothing(_port: int) -> None:
    """Do nothing: the options alone cause the problem."""


def fill(port: int) -> None:
    client = connect_to(port)
    most = int(client.config_get("maxmemory")["maxmemory"])
    for number in range(1000):
        if client.info()["used_memory"] > most - 60_000:
            return
        client.set(f"other:{number}", b"x" * 50_000, ex=600)


def overfill(port: int) -> None:
    client = connect_to(port)
    client.setrange("other", 900_000, b"x")
    client.config_set("maxmemory", client.info()["used_memory"] - 100_000)


def break_its_disk(port: int) -> None:
    client = connect_to(port)
    client.config_set("appendonly", "no")
    folder = Path(client.config_get("dir")["dir"])
    (folder / "dump.rdb").mkdir()  # in the place of the file
    client.set("a", "1", ex=600)
    client.bgsave()
    wait_for(lambda: client.info()["rdb_last_bgsave_status"] == "err")


def send_a_slow_command(port: int) -> None:
    connect_to(port).execute_command("DEBUG", "SLEEP", "0.05")


def store_a_large_value(port: int) -> None:
    connect_to(port).set(key("cache", "large"), b"x" * 2_000_000, ex=60)


def store_without_ttl(port: int) -> None:
    connect_to(port).set(key("conversation", 12), b"x")


CLIENTS: list[object] = []


def connect_many(port: int) -> None:
    CLIENTS[:] = [connect_to(port) for _ in range(20)]
    for client in CLIENTS:
        client.ping()  # type: ignore[attr-defined]


def replicate_from_nobody(port: int) -> None:
    connect_to(port).replicaof("127.0.0.1", free_port())


FULL = {"out_of_memory", "no_eviction", "memory_high"}
WITH_SLOWLOG = ("--enable-debug-command", "yes", "--slowlog-log-slower-than", "10000")


@pytest.mark.parametrize(
    ("options", "do", "names", "text"),
    [
        (("--maxmemory-policy", "noeviction"), overfill, FULL, "maxmemory"),
        (("--maxmemory", "4mb"), fill, {"memory_high"}, "maxmemory"),
        (("--maxmemory", "0"), do_nothing, {"no_maxmemory"}, "maxmemory"),
        (("--maxmemory-policy", "allkeys-lru"), do_nothing, {"eviction_policy"}, "allkeys-lru"),
        (("--maxmemory-policy", "noeviction"), do_nothing, {"no_eviction"}, "noeviction"),
        (("--appendonly", "no"), do_nothing, {"persistence"}, "appendonly yes"),
        (("--save", "900 1"), break_its_disk, {"last_save", "not_writable"}, "RDB"),
        (("--bind", "0.0.0.0", "--protected-mode", "no"), do_nothing, {"exposed"}, "0.0.0.0"),
        (WITH_SLOWLOG, send_a_slow_command, {"slow_commands"}, "DEBUG"),
        ((), store_a_large_value, {"large_keys"}, "prosa:cache:large (2 MB)"),
        ((), store_without_ttl, {"keys_without_ttl"}, "prosa:conversation:12"),
        (("--maxclients", "24"), connect_many, {"many_clients"}, "24"),
        ((), replicate_from_nobody, {"replica_lag", "not_writable"}, "127.0.0.1"),
    ],
)  # fmt: skip
def test_problem_of_a_reachable_server_is_named(
    app: Flask,
    tmp_path: Path,
    options: tuple[str, ...],
    do: Callable[[int], None],
    names: set[str],
    text: str,
) -> None:
    with redis_process(*HEALTHY_OPTIONS, *options) as port:
        do(port)
        findings = run_diagnosis(f"redis://127.0.0.1:{port}/0", tmp_path)
    assert trouble_names(findings) == names, findings
    report = " ".join(f.sentence + f.fix for f in findings if f.name in names)
    assert text in report


@pytest.mark.parametrize(
    "options",
    [
        ("--bind", "0.0.0.0", "--protected-mode", "no", "--requirepass", "right"),
        ("--bind", "127.0.0.1", "::1", "--protected-mode", "no"),
        ("--bind", "0.0.0.0", "--protected-mode", "yes"),
    ],
)
def test_protected_server_is_not_reported_as_exposed(
    app: Flask, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with redis_process(*HEALTHY_OPTIONS, *options) as port:
        password = ":right@" if "right" in options else ""
        findings = run_diagnosis(f"redis://{password}127.0.0.1:{port}/0", tmp_path)
    exposed = next(f for f in findings if f.name == "exposed")
    assert exposed.outcome is CheckOutcome.FINE


def test_stopped_replica_is_reported_as_late(app: Flask, tmp_path: Path) -> None:
    with redis_process(*HEALTHY_OPTIONS, "--repl-diskless-sync-delay", "0") as port:
        primary = connect_to(port)
        with redis_process("--replicaof", "127.0.0.1", str(port)) as other:
            wait_for(lambda: primary.info().get("slave0", {}).get("state") == "online", 60)
            assert "replica_lag" not in trouble_names(
                run_diagnosis(f"redis://127.0.0.1:{port}/0", tmp_path)
            )
            replica = connect_to(other).info()["process_id"]
            os.kill(replica, signal.SIGSTOP)
            for number in range(20):
                primary.set(f"other:{number}", b"x" * 100_000, ex=60)
            findings = run_diagnosis(f"redis://127.0.0.1:{port}/0", tmp_path)
            os.kill(replica, signal.SIGCONT)
    assert trouble_names(findings) == {"replica_lag"}


def test_slow_network_is_reported(app: Flask, tmp_path: Path) -> None:
    with redis_process(*HEALTHY_OPTIONS) as port, slow_proxy(port, 0.02) as proxy_port:
        findings = run_diagnosis(f"redis://127.0.0.1:{proxy_port}/0", tmp_path)
    latency = next(f for f in findings if f.name == "latency")
    assert latency.outcome is CheckOutcome.TROUBLE


def test_old_versions_are_reported(app: Flask) -> None:
    for version, name in (
        ("5.0.14", "too_old"),
        ("7.0.15", "unsupported_version"),
        ("7.4.1", None),
    ):
        findings = diagnose(ServerFacts(is_configured=True, info={"redis_version": version}))
        named = {f.name for f in findings if f.outcome is CheckOutcome.TROUBLE}
        assert named == ({name} if name else set())


def test_hidden_facts_are_unknown_and_no_problem(app: Flask, tmp_path: Path) -> None:
    """Managed servers often forbid CONFIG, SLOWLOG, MEMORY and ACL."""
    with redis_process(*HEALTHY_OPTIONS) as port:
        rights = ("-config", "-slowlog", "-memory", "-acl")
        connect_to(port).execute_command(
            "ACL", "SETUSER", "app", "on", ">right", "~*", "&*", "+@all", *rights
        )
        findings = run_diagnosis(f"redis://app:right@127.0.0.1:{port}/0", tmp_path)
    assert trouble_names(findings) == set()
    unknown = {f.name for f in findings if f.outcome is CheckOutcome.UNKNOWN}
    assert unknown == {"exposed", "slow_commands"}


def test_every_check_has_a_unique_name_a_sentence_and_a_fix() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.question.endswith("?") and check.sentence and check.fix for check in CHECKS)


@pytest.mark.parametrize(("locale", "text"), [("en", "No connection"), ("pt_BR", "Sem conexão")])
def test_command_uses_the_configured_language_and_exits_by_severity(
    sqlite_url: str, tmp_path: Path, locale: str, text: str
) -> None:
    settings = make_settings(
        tmp_path,
        DATABASE_URL=sqlite_url,
        PROSA_LOCALE=locale,
        REDIS_URL=f"redis://:secret@127.0.0.1:{free_port()}/0",
    )
    runner = create_app(settings).test_cli_runner()
    result = runner.invoke(args=["redis", "doctor"])
    assert (result.exit_code, "secret" in result.output) == (2, False)
    assert text in result.output
    as_json = runner.invoke(args=["redis", "doctor", "--json"])
    found = {f["name"]: f for f in json.loads(as_json.output)}
    assert as_json.exit_code == 2
    assert found["refused"]["severity"] == "critical"
    assert found["refused"]["outcome"] == "trouble"
    assert found["latency"]["outcome"] == "unknown"

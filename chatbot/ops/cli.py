"""Commands of `flask redis`."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from flask_babel import gettext as _

from chatbot.core import redis as prosa_redis
from chatbot.core.redis.keys import TTL_S
from chatbot.extensions import get_settings
from chatbot.ops import rebuild as rebuilding
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.doctor.catalog import Severity
from chatbot.ops.doctor.diagnosis import CheckOutcome, CheckResult, diagnose, get_worst_severity
from chatbot.ops.doctor.facts import collect_server_facts
from chatbot.ops.key_survey import delete_namespace, survey_keys
from chatbot.ops.redis_status import get_redis_status

cli = AppGroup("redis", help="The Redis that makes Prosa fast.")

SEVERITY_LABELS = {Severity.CRITICAL: "CRIT", Severity.WARNING: "WARN", Severity.NOTE: "NOTE"}


def _redis_unavailable(error: Exception) -> click.ClickException:
    return click.ClickException(
        _("Redis does not answer: %(error)s. `flask redis doctor` says why.", error=error)
    )


@cli.command("ping")
def ping() -> None:
    """Check whether Redis answers, and how fast."""
    began = time.perf_counter()
    try:
        prosa_redis.client().ping()
    except prosa_redis.RedisError as error:
        raise _redis_unavailable(error) from error
    click.echo(f"PONG {1000 * (time.perf_counter() - began):.2f} ms")


@cli.command("stats")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def stats(as_json: bool) -> None:
    """Print memory, connections and hit rates."""
    facts, cached = get_redis_status(), get_cache_stats()
    if not facts.is_used:
        raise _redis_unavailable(RuntimeError(facts.reason))
    found = {
        "version": facts.version,
        "used_memory": facts.used_memory,
        "max_memory": facts.max_memory,
        "eviction_policy": facts.eviction_policy,
        "evicted_keys": facts.evicted_keys,
        "keys": facts.keys,
        "clients": facts.clients,
        "operations_per_s": facts.operations_per_s,
        "server_hit_rate": facts.server_hit_rate,
        "hit_rate": cached["hit_rate"],
        "hits": cached["hits"],
        "misses": cached["misses"],
        "errors": cached["errors"],
    }
    _print_json(found) if as_json else _print_rows([[k, v] for k, v in found.items()])


@cli.command("keys")
@click.option("--limit", type=click.IntRange(1), help="Read at most this many keys.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def keys(limit: int | None, as_json: bool) -> None:
    """Print the number, size and TTL of keys by namespace. Uses SCAN, which does not block Redis."""
    try:
        survey = survey_keys(prosa_redis.client(), limit)
    except prosa_redis.RedisError as error:
        raise _redis_unavailable(error) from error
    if as_json:
        _print_json(dataclasses.asdict(survey))
        return
    rows: list[list[Any]] = [["NAMESPACE", "KEYS", "BYTES", "WITHOUT TTL", "TTL FROM", "TTL TO"]]
    for name, found in survey.namespaces.items():
        lives = (found.shortest_ttl, found.longest_ttl)
        rows.append([name, found.keys, found.bytes, found.without_ttl, *lives])
    _print_rows(rows)
    if survey.without_ttl:
        click.echo(
            _(
                "Without a TTL, though they should have one: %(names)s",
                names=", ".join(survey.without_ttl),
            )
        )
    if not survey.is_whole:
        click.echo(_("There are more: only the first ones are shown."))


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Find problems and print how to fix them. Exit code: 2 critical, 1 warning, 0 otherwise."""
    state = prosa_redis.state()
    findings = diagnose(collect_server_facts(state.url, get_settings(current_app)))
    if as_json:
        _print_json([_to_dict(finding) for finding in findings])
    else:
        _print_findings(findings)
    sys.exit(get_worst_severity(findings))


def _to_dict(finding: CheckResult) -> dict[str, Any]:
    return dataclasses.asdict(finding) | {"severity": finding.severity.name.lower()}


def _print_findings(findings: list[CheckResult]) -> None:
    for finding in findings:
        if finding.outcome is CheckOutcome.TROUBLE:
            click.echo(
                f"{SEVERITY_LABELS[finding.severity]}  {finding.question} {finding.sentence}"
            )
            click.echo(f"      → {finding.fix}")
        elif finding.outcome is CheckOutcome.FINE:
            click.echo(f"ok    {finding.question}")
        else:
            click.echo(f"?     {finding.question}")
    if any(finding.outcome is CheckOutcome.UNKNOWN for finding in findings):
        click.echo(_("?: the check could not run, or the server does not report it."))


@cli.command("flush")
@click.option("--namespace", required=True, help="Whose keys are deleted; see `flask redis keys`.")
def flush(namespace: str) -> None:
    """Delete the keys of one namespace. Nothing is lost: they are filled again from SQL."""
    if namespace not in TTL_S:
        raise click.BadParameter(
            _("there is no namespace with this name; ours are: %(names)s", names=", ".join(TTL_S)),
            param_hint="--namespace",
        )
    try:
        number = delete_namespace(prosa_redis.client(), namespace)
    except prosa_redis.RedisError as error:
        raise _redis_unavailable(error) from error
    click.echo(_("%(number)s keys deleted.", number=number))


@cli.command("rebuild")
def rebuild() -> None:
    """Fill Redis from SQL: conversation contexts and sessions. Without it, they are filled on use."""
    try:
        prosa_redis.client().ping()
        contexts, sessions = rebuilding.rebuild_contexts(), rebuilding.rebuild_sessions()
    except prosa_redis.RedisError as error:
        raise _redis_unavailable(error) from error
    click.echo(_("%(number)s conversation contexts rebuilt.", number=contexts))
    click.echo(_("%(number)s sessions rebuilt.", number=sessions))


def _print_json(found: Any) -> None:
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _print_rows(rows: list[list[Any]]) -> None:
    """Print columns. Unknown values are a dash."""
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    for row in cells:
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())

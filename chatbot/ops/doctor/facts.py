"""Facts for the doctor, each asked for separately, since a server may forbid any command."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import redis
from redis.exceptions import RedisError, ResponseError

from chatbot.core.redis import key, ttl
from chatbot.ops.doctor.connectivity import ConnectionFailure, connect, redact_url
from chatbot.ops.key_survey import KeySurvey, survey_keys
from config import Settings

PING_COUNT = 15
MAX_KEYS = 50_000
SLOW_ENTRIES = 128

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """An entry of the slow log. `at` is a Unix time by the server's clock."""

    name: str
    took_ms: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """Facts about a server. Unknown ones are None, or missing from their mapping."""

    is_configured: bool
    address: str = ""
    failure: ConnectionFailure | None = None
    at: float = 0.0
    most_clients: int = 1000
    memory_percent: float = 80.0
    info: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    # "" if a write succeeded, else the server's error.
    refused_write: str | None = None
    needs_no_password: bool | None = None
    ping_ms: float | None = None
    slow: Sequence[SlowCommand] | None = None
    survey: KeySurvey | None = None


def collect_server_facts(url: str | None, settings: Settings) -> ServerFacts:
    """Collect the facts. Errors of Redis become facts too and are never raised."""
    facts = ServerFacts(
        is_configured=url is not None,
        at=time.time(),
        most_clients=settings.alert_connections,
        memory_percent=settings.alert_memory_percent,
    )
    if url is None:
        return facts
    facts = replace(facts, address=redact_url(url))
    found = connect(url)
    if isinstance(found, ConnectionFailure):
        return replace(facts, failure=found)
    try:
        return _collect_all(facts, found)
    finally:
        found.connection_pool.disconnect()


def _collect_all(facts: ServerFacts, client: redis.Redis) -> ServerFacts:
    # Ping first: the commands after it load the server and would slow the pings down.
    return replace(
        facts,
        ping_ms=_ask(lambda: _ping_ms(client), None),
        info=_ask(client.info, {}),
        config=_ask(lambda: _read_config(client), {}),
        refused_write=_ask(lambda: _try_to_write(client), None),
        needs_no_password=_ask(lambda: _needs_no_password(client), None),
        slow=_ask(lambda: _list_slow_commands(client), None),
        survey=_ask(lambda: survey_keys(client, MAX_KEYS), None),
    )


def _ask(question: Callable[[], Any], unknown: Answer) -> Any | Answer:
    try:
        return question()
    except RedisError:
        return unknown


def _ping_ms(client: redis.Redis) -> float:
    """Return the median time of a ping, so that a single slow one does not count."""
    took = []
    for _ in range(PING_COUNT):
        began = time.perf_counter()
        client.echo("doctor")
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def _read_config(client: redis.Redis) -> dict[str, str]:
    found: Any = client.config_get("*")
    return {_text(name): _text(value) for name, value in found.items()}


def _try_to_write(client: redis.Redis) -> str:
    try:
        client.set(key("probe"), "1", ex=ttl("probe"))
    except ResponseError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _needs_no_password(client: redis.Redis) -> bool:
    """Return whether the default user is enabled without a password."""
    user: Any = client.acl_getuser("default")
    flags = {_text(flag) for flag in user["flags"]}
    return {"on", "nopass"} <= flags


def _list_slow_commands(client: redis.Redis) -> list[SlowCommand]:
    entries: Any = client.slowlog_get(SLOW_ENTRIES)
    return [
        SlowCommand(
            # Only the command's name: its arguments may hold personal data.
            name=_text(entry["command"]).split(" ", 1)[0].upper(),
            took_ms=entry["duration"] / 1000,
            at=float(entry["start_time"]),
        )
        for entry in entries
    ]


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)

"""Checks of the Redis doctor: pure functions over the facts.

A check returns the values for its sentence if there is a problem, else None. It raises a LookupError
(UnknownFactError or KeyError) if a fact is missing, which is common with managed servers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

from chatbot.ops.doctor.connectivity import ConnectionFailureKind
from chatbot.ops.doctor.facts import ServerFacts
from chatbot.web.formats import show_bytes

SLOW_WITHIN_S = 3600
SLOW_MS = 10.0
LATENCY_MS = 5.0
LAG_S = 10
LAG_BYTES = 1024 * 1024
CLIENTS_PERCENT = 80
# 6.2 is the oldest with all commands we send; Redis fixes 7.2 and newer.
OLDEST_COMPATIBLE = (6, 2)
OLDEST_SUPPORTED = (7, 2)

# Order in which a connection can fail.
STAGE_BY_KIND = {kind: number for number, kind in enumerate(ConnectionFailureKind)}

Values = Mapping[str, Any]
Known = TypeVar("Known")


class UnknownFactError(LookupError):
    """Raised by a check if the server does not reveal a fact that it needs."""


def connection_failed(*kinds: ConnectionFailureKind) -> Callable[[ServerFacts], Values | None]:
    """Return a check for these failures: fine if the connection failed later, unknown if it failed before."""

    def check(facts: ServerFacts) -> Values | None:
        failure = facts.failure
        if not facts.is_configured or (
            failure and STAGE_BY_KIND[failure.kind] < STAGE_BY_KIND[kinds[0]]
        ):
            raise UnknownFactError
        if failure is None or failure.kind not in kinds:
            return None
        return {"address": facts.address, "detail": failure.detail}

    return check


def _known(value: Known | None) -> Known:
    if value is None:
        raise UnknownFactError
    return value


def switched_off(facts: ServerFacts) -> Values | None:
    return None if facts.is_configured else {}


def not_writable(facts: ServerFacts) -> Values | None:
    refused = _known(facts.refused_write)
    if "OutOfMemory" in refused:
        raise UnknownFactError  # out_of_memory reports it
    return {"detail": refused} if refused else None


def _memory_use(facts: ServerFacts) -> tuple[int, int, float]:
    used, most = int(facts.info["used_memory"]), int(facts.info["maxmemory"])
    return used, most, 100 * used / most if most else 0.0


def out_of_memory(facts: ServerFacts) -> Values | None:
    _used, most, percent = _memory_use(facts)
    is_full = "OutOfMemory" in _known(facts.refused_write)
    return {"percent": round(percent), "most": most // 1024} if is_full else None


def memory_high(facts: ServerFacts) -> Values | None:
    _used, _most, percent = _memory_use(facts)
    return {"percent": round(percent)} if percent > facts.memory_percent else None


def no_maxmemory(facts: ServerFacts) -> Values | None:
    return None if int(facts.info["maxmemory"]) else {}


def eviction_policy(facts: ServerFacts) -> Values | None:
    policy = str(facts.info["maxmemory_policy"])
    return {"policy": policy} if policy.startswith("allkeys") else None


def no_eviction(facts: ServerFacts) -> Values | None:
    policy, most = facts.info["maxmemory_policy"], int(facts.info["maxmemory"])
    return {} if policy == "noeviction" and most else None


def persistence(facts: ServerFacts) -> Values | None:
    return None if facts.info["aof_enabled"] or facts.config["save"] else {}


def last_save(facts: ServerFacts) -> Values | None:
    states = {
        "RDB": facts.info["rdb_last_bgsave_status"],
        "AOF": facts.info["aof_last_write_status"],
    }
    failed = [kind for kind, state in states.items() if state != "ok"]
    return {"kinds": ", ".join(failed)} if failed else None


def exposed(facts: ServerFacts) -> Values | None:
    """Check for a server open to other hosts. Before 7.0, an explicit `bind` disables protected mode."""
    config = facts.config
    listens = config["port"] != "0" or config.get("tls-port", "0") != "0"
    outside = [address for address in config["bind"].split() or ["*"] if not _is_loopback(address)]
    is_protected = config["protected-mode"] == "yes" and (
        _version(facts) >= (7, 0) or not config["bind"]
    )
    if not listens or not outside or is_protected or not _known(facts.needs_no_password):
        return None
    return {"bind": " ".join(outside)}


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.lstrip("-")).is_loopback
    except ValueError:
        return address == "localhost"


def slow_commands(facts: ServerFacts) -> Values | None:
    recent = [
        slow
        for slow in _known(facts.slow)
        if slow.took_ms >= SLOW_MS and facts.at - slow.at < SLOW_WITHIN_S
    ]
    if not recent:
        return None
    worst = max(recent, key=lambda slow: slow.took_ms)
    return {"number": len(recent), "name": worst.name, "ms": round(worst.took_ms)}


def large_keys(facts: ServerFacts) -> Values | None:
    found = _known(facts.survey).large
    names = ", ".join(f"{name} ({show_bytes(size)})" for name, size in found)
    return {"names": names} if found else None


def keys_without_ttl(facts: ServerFacts) -> Values | None:
    survey = _known(facts.survey)
    number = survey.missing_ttls
    return {"number": number, "names": ", ".join(survey.without_ttl)} if number else None


def many_clients(facts: ServerFacts) -> Values | None:
    number, most = int(facts.info["connected_clients"]), int(facts.info["maxclients"])
    is_many = number > facts.most_clients or 100 * number > CLIENTS_PERCENT * most
    return {"number": number, "most": most} if is_many else None


def replica_lag(facts: ServerFacts) -> Values | None:
    """Check the replicas as the primary sees them, or the link of a replica to its primary."""
    info = facts.info
    if info["role"] != "master":
        is_up = info["master_link_status"] == "up"
        return None if is_up else {"names": f"{info['master_host']}:{info['master_port']}"}
    offset = int(info["master_repl_offset"])
    replicas = [info[f"slave{n}"] for n in range(int(info["connected_slaves"]))]
    late = [
        f"{replica['ip']}:{replica['port']}"
        for replica in replicas
        if replica["state"] != "online"
        or int(replica["lag"]) > LAG_S
        or offset - int(replica["offset"]) > LAG_BYTES
    ]
    return {"names": ", ".join(late)} if late else None


def _version(facts: ServerFacts) -> tuple[int, ...]:
    """Return the version of Redis, or the one that Valkey declares compatibility with."""
    parts = str(facts.info["redis_version"]).split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


def too_old(facts: ServerFacts) -> Values | None:
    return {"version": facts.info["redis_version"]} if _version(facts) < OLDEST_COMPATIBLE else None


def unsupported_version(facts: ServerFacts) -> Values | None:
    is_between = (
        OLDEST_COMPATIBLE <= _version(facts) < OLDEST_SUPPORTED
        and "valkey_version" not in facts.info
    )
    return {"version": facts.info["redis_version"]} if is_between else None


def latency(facts: ServerFacts) -> Values | None:
    ms = _known(facts.ping_ms)
    return {"ms": round(ms, 1)} if ms > LATENCY_MS else None

"""Table of the Redis checks with their texts and fixes.

The order matters: a check that fails may make those after it impossible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from chatbot.core.i18n import N_
from chatbot.ops.doctor import checks
from chatbot.ops.doctor.checks import Values
from chatbot.ops.doctor.connectivity import ConnectionFailureKind
from chatbot.ops.doctor.facts import ServerFacts


class Severity(IntEnum):
    """Severity of a finding; the worst one is the exit code of `flask redis doctor`."""

    NOTE = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class RedisCheck:
    name: str
    severity: Severity
    question: str
    run: Callable[[ServerFacts], Values | None]
    sentence: str
    fix: str


CRITICAL, WARNING, NOTE = Severity.CRITICAL, Severity.WARNING, Severity.NOTE

CHECKS = (
    RedisCheck(
        "switched_off", NOTE, N_("Is Redis switched on?"), checks.switched_off,
        N_("REDIS_URL is not set, or REDIS_ENABLED is false: Prosa runs without Redis on purpose."),
        N_(
            "To switch it on, set REDIS_URL, remove REDIS_ENABLED or set it to true, and "
            "restart Prosa."
        ),
    ),
    RedisCheck(
        "refused", CRITICAL, N_("Is a server listening there?"),
        checks.connection_failed(ConnectionFailureKind.REFUSED, ConnectionFailureKind.OTHER),
        N_("No connection to %(address)s: %(detail)s"),
        N_(
            "Start redis-server there; otherwise compare host, port or path in REDIS_URL with "
            "its `bind` and `port`, and check the firewall in between."
        ),
    ),
    RedisCheck(
        "silent", CRITICAL, N_("Does it answer?"), checks.connection_failed(ConnectionFailureKind.SILENT),
        N_("%(address)s accepts the connection but does not answer: %(detail)s"),
        N_(
            "The server hangs, or a firewall drops packets. Check its load and its log; "
            "restart it if that persists."
        ),
    ),
    RedisCheck(
        "tls", CRITICAL, N_("Do both sides use TLS, or neither?"),
        checks.connection_failed(ConnectionFailureKind.NEEDS_TLS, ConnectionFailureKind.NO_TLS),
        N_("One side uses TLS and the other does not, at %(address)s: %(detail)s"),
        N_(
            "If the server uses TLS (most managed ones do), REDIS_URL starts with rediss://; "
            "if not, with redis://."
        ),
    ),
    RedisCheck(
        "certificate", CRITICAL, N_("Is its certificate trusted?"),
        checks.connection_failed(ConnectionFailureKind.CERTIFICATE),
        N_("%(address)s presents a certificate that no trusted authority has signed: %(detail)s"),
        N_(
            "Set REDIS_TLS_CA to the authority's certificate file. For Heroku, whose "
            "certificates are self-signed, set REDIS_TLS_VERIFY=false."
        ),
    ),
    RedisCheck(
        "too_many_connections", CRITICAL, N_("Does it accept one more connection?"),
        checks.connection_failed(ConnectionFailureKind.TOO_MANY_CONNECTIONS),
        N_("%(address)s has no free connection left: %(detail)s"),
        N_(
            "Raise `maxclients` or take a larger plan; lower REDIS_CONNECTIONS or the number "
            "of processes. `timeout 300` closes connections that others leave open."
        ),
    ),
    RedisCheck(
        "password", CRITICAL, N_("Is the password right?"),
        checks.connection_failed(ConnectionFailureKind.AUTH_FAILED),
        N_("%(address)s rejects our user or password: %(detail)s"),
        N_(
            "Put both into REDIS_URL as redis://user:password@host:port/0 (no user: "
            "redis://:password@...), with symbols such as @ or / as %%40 and %%2F. They must "
            "match `requirepass` or the ACL."
        ),
    ),
    RedisCheck(
        "loading", WARNING, N_("Has it loaded its data?"),
        checks.connection_failed(ConnectionFailureKind.LOADING),
        N_("%(address)s is still reading its data from disk: %(detail)s"),
        N_("Wait; Prosa keeps working without it meanwhile, and uses it again as soon as it "
           "is back."),
    ),
    RedisCheck(
        "not_writable", CRITICAL, N_("Does it accept writes?"), checks.not_writable,
        N_("It refuses to write: %(detail)s"),
        N_(
            "READONLY: the address is a replica's; use the primary's or redis+sentinel://. "
            "MISCONF: its disk is full or not writable; see its log. NOPERM: give our user "
            "the permissions listed in docs/redis.md."
        ),
    ),
    RedisCheck(
        "out_of_memory", CRITICAL, N_("Does one more key fit?"), checks.out_of_memory,
        N_(
            "Out of memory: %(percent)s %% of its maxmemory of %(most)s KB is in use, and it "
            "accepts nothing more."
        ),
        N_(
            "Raise `maxmemory`, set `maxmemory-policy volatile-ttl` so that old cache entries "
            "make room, and run `flask redis keys` to see what fills it."
        ),
    ),
    RedisCheck(
        "memory_high", WARNING, N_("Is there memory left?"), checks.memory_high,
        N_("%(percent)s %% of maxmemory is in use."),
        N_("Raise `maxmemory` before it is full; `flask redis keys` shows what fills it."),
    ),
    RedisCheck(
        "no_maxmemory", NOTE, N_("Is its memory limited?"), checks.no_maxmemory,
        N_("No maxmemory is set: it may use all the memory of its machine, which then kills it."),
        N_("Set `maxmemory` to about three quarters of the memory that the machine can spare."),
    ),
    RedisCheck(
        "eviction_policy", CRITICAL, N_("Does a full Redis spare the queue?"), checks.eviction_policy,
        N_(
            "maxmemory-policy is %(policy)s: when memory is full, it evicts waiting jobs like "
            "anything else."
        ),
        N_("Set `maxmemory-policy volatile-ttl`: the queue's keys have no TTL and are "
           "therefore spared."),
    ),
    RedisCheck(
        "no_eviction", WARNING, N_("Does a full Redis make room by itself?"), checks.no_eviction,
        N_(
            "maxmemory-policy is noeviction: when memory is full, every write fails, and "
            "Prosa continues without Redis."
        ),
        N_("Set `maxmemory-policy volatile-ttl`: cache entries that are about to expire make "
           "room."),
    ),
    RedisCheck(
        "persistence", WARNING, N_("Does it keep its data across a restart?"), checks.persistence,
        N_("Neither snapshots (RDB) nor the append-only file (AOF) are on: a restart empties it."),
        N_(
            "Set `appendonly yes` and `appendfsync everysec`. Prosa loses nothing without it, "
            "since SQL has all the data; but everything is slow until the cache is filled "
            "again."
        ),
    ),
    RedisCheck(
        "last_save", CRITICAL, N_("Did its last write to disk succeed?"), checks.last_save,
        N_("It could not write to disk: %(kinds)s."),
        N_(
            "Check the free space and permissions of its `dir`, and its log. Until then it "
            "may refuse writes, and a restart brings old data back."
        ),
    ),
    RedisCheck(
        "exposed", CRITICAL, N_("Is it safe from strangers?"), checks.exposed,
        N_(
            "It listens on %(bind)s, requires no password, and protected-mode is off: anyone "
            "who can reach it can read and change everything, and run programs on its "
            "machine."
        ),
        N_(
            "Now: `requirepass` with a long password (and the same in REDIS_URL), `protected-mode yes`, "
            "`bind 127.0.0.1 ::1` or the inner network's address, and a firewall. Look for keys and "
            "files that are not yours."
        ),
    ),
    RedisCheck(
        "slow_commands", WARNING, N_("Are all commands fast?"), checks.slow_commands,
        N_(
            "In the last hour %(number)s commands took longer than 10 ms; the slowest was "
            "%(name)s with %(ms)s ms. All others had to wait meanwhile."
        ),
        N_(
            "`redis-cli slowlog get` shows them. KEYS, and SMEMBERS or HGETALL of something "
            "large, do not come from Prosa: find the program that sends them. If all commands "
            "are slow, the machine is short of CPU or is swapping."
        ),
    ),
    RedisCheck(
        "large_keys", WARNING, N_("Are all keys small?"), checks.large_keys,
        N_("Larger than 1 MB: %(names)s"),
        N_(
            "Prosa stores nothing this large. If it belongs to another program, give that "
            "program its own Redis; if it is ours, `flask redis flush --namespace NAME` "
            "removes it and nothing is lost."
        ),
    ),
    RedisCheck(
        "keys_without_ttl", WARNING, N_("Do all our keys expire?"), checks.keys_without_ttl,
        N_("%(number)s of our keys would never expire: %(names)s"),
        N_(
            "An older version or a person wrote them: run `flask redis flush --namespace "
            "NAME`. Anything still needed is read from SQL again."
        ),
    ),
    RedisCheck(
        "many_clients", WARNING, N_("Are the connections few?"), checks.many_clients,
        N_("%(number)s of %(most)s allowed connections are open."),
        N_(
            "The Redis page shows who holds them. Lower REDIS_CONNECTIONS or the number of "
            "processes, or raise `maxclients`."
        ),
    ),
    RedisCheck(
        "replica_lag", WARNING, N_("Are the replicas in sync?"), checks.replica_lag,
        N_("Replication is behind or broken: %(names)s"),
        N_(
            "Check the replica's log and the network between them. A failover now would lose "
            "the latest writes; Prosa restores them from SQL."
        ),
    ),
    RedisCheck(
        "too_old", WARNING, N_("Is its version new enough?"), checks.too_old,
        N_("Version %(version)s lacks commands that Prosa uses; the oldest that has them is 6.2."),
        N_("Install Redis 7.2 or newer, or Valkey."),
    ),
    RedisCheck(
        "unsupported_version", NOTE, N_("Is its version still supported?"), checks.unsupported_version,
        N_("Version %(version)s no longer gets fixes from its makers."),
        N_(
            "Install Redis 7.2 or newer, or Valkey, unless your distribution still fixes this "
            "version (Debian does)."
        ),
    ),
    RedisCheck(
        "latency", WARNING, N_("Is it close?"), checks.latency,
        N_("A reply takes %(ms)s ms; on the same network it should take less than one."),
        N_(
            "Put Redis into the same region and network as Prosa; if it already is, check the "
            "load of both machines (`redis-cli --latency`)."
        ),
    ),
)  # fmt: skip

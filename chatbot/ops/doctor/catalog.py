"""What goes wrong with a Redis, each with its mend: one table of questions, in the order in which the
one makes the next unknowable."""

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
    """Also the exit code: the worst of what was found."""

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
            "To switch it on, set REDIS_URL, leave REDIS_ENABLED out or true, and start Prosa anew."
        ),
    ),
    RedisCheck(
        "refused", CRITICAL, N_("Does a server listen there?"),
        checks.connection_failed(ConnectionFailureKind.REFUSED, ConnectionFailureKind.OTHER),
        N_("No connection to %(address)s: %(detail)s"),
        N_(
            "Start redis-server there; else compare host, port or path in REDIS_URL with its `bind` and "
            "`port`, and look at the firewall between."
        ),
    ),
    RedisCheck(
        "silent", CRITICAL, N_("Does it answer?"), checks.connection_failed(ConnectionFailureKind.SILENT),
        N_("%(address)s takes the connection and does not answer: %(detail)s"),
        N_(
            "The server hangs, or a firewall swallows packets. See its load and its log; start it anew "
            "if it stays so."
        ),
    ),
    RedisCheck(
        "tls", CRITICAL, N_("Do both sides speak TLS, or neither?"),
        checks.connection_failed(ConnectionFailureKind.NEEDS_TLS, ConnectionFailureKind.NO_TLS),
        N_("One side speaks TLS and the other does not, at %(address)s: %(detail)s"),
        N_(
            "If the server speaks TLS (most managed ones do), REDIS_URL begins with rediss://; if not, "
            "with redis://."
        ),
    ),
    RedisCheck(
        "certificate", CRITICAL, N_("Is its certificate believed?"),
        checks.connection_failed(ConnectionFailureKind.CERTIFICATE),
        N_("%(address)s shows a certificate that nobody we trust has signed: %(detail)s"),
        N_(
            "Name the authority's file in REDIS_TLS_CA. For Heroku, whose certificates are signed by "
            "themselves, set REDIS_TLS_VERIFY=false."
        ),
    ),
    RedisCheck(
        "too_many_connections", CRITICAL, N_("Does it take one more connection?"),
        checks.connection_failed(ConnectionFailureKind.TOO_MANY_CONNECTIONS),
        N_("%(address)s has as many connections as it allows: %(detail)s"),
        N_(
            "Raise `maxclients` or take a larger plan; lower REDIS_CONNECTIONS or the number of "
            "processes. Connections that others leave open end with `timeout 300`."
        ),
    ),
    RedisCheck(
        "password", CRITICAL, N_("Does the password fit?"),
        checks.connection_failed(ConnectionFailureKind.AUTH_FAILED),
        N_("%(address)s refuses our user or password: %(detail)s"),
        N_(
            "Write both into REDIS_URL as redis://user:password@host:port/0 (no user: "
            "redis://:password@...), signs such as @ or / as %%40 and %%2F. They must be those of "
            "`requirepass` or of the ACL."
        ),
    ),
    RedisCheck(
        "loading", WARNING, N_("Has it read its data?"),
        checks.connection_failed(ConnectionFailureKind.LOADING),
        N_("%(address)s is still reading its data from disk: %(detail)s"),
        N_("Wait; Prosa goes on without it meanwhile, and returns to it by itself."),
    ),
    RedisCheck(
        "not_writable", CRITICAL, N_("Can it be written to?"), checks.not_writable,
        N_("It refuses to write: %(detail)s"),
        N_(
            "READONLY: the address is a replica's, use the primary's or redis+sentinel://. MISCONF: its "
            "disk is full or not writable, see its log. NOPERM: give our user the rights in "
            "docs/redis.md."
        ),
    ),
    RedisCheck(
        "out_of_memory", CRITICAL, N_("Is there room for one more key?"), checks.out_of_memory,
        N_(
            "Out of memory: %(percent)s %% of its maxmemory of %(most)s KB is in use, and nothing more "
            "is taken."
        ),
        N_(
            "Raise `maxmemory`, set `maxmemory-policy volatile-ttl` so that old cache entries make room, "
            "and see with `flask redis keys` what fills it."
        ),
    ),
    RedisCheck(
        "memory_high", WARNING, N_("Is there memory left?"), checks.memory_high,
        N_("%(percent)s %% of maxmemory is in use."),
        N_("Raise `maxmemory` before it is full, and see with `flask redis keys` what fills it."),
    ),
    RedisCheck(
        "no_maxmemory", NOTE, N_("Has its memory a limit?"), checks.no_maxmemory,
        N_("No maxmemory is set: it may take all memory of its machine, which then ends it."),
        N_("Set `maxmemory` to about three quarters of what the machine can spare."),
    ),
    RedisCheck(
        "eviction_policy", CRITICAL, N_("Does a full Redis spare the queue?"), checks.eviction_policy,
        N_(
            "maxmemory-policy is %(policy)s: when memory is full it throws out waiting jobs like "
            "anything else."
        ),
        N_("Set `maxmemory-policy volatile-ttl`: the queue's keys have no TTL and so are spared."),
    ),
    RedisCheck(
        "no_eviction", WARNING, N_("Does a full Redis make room?"), checks.no_eviction,
        N_(
            "maxmemory-policy is noeviction: when memory is full every write fails, and Prosa goes on "
            "without Redis."
        ),
        N_("Set `maxmemory-policy volatile-ttl`: cache entries that would soon end make room."),
    ),
    RedisCheck(
        "persistence", WARNING, N_("Does it keep its data over a restart?"), checks.persistence,
        N_("Neither snapshots (RDB) nor the append-only file (AOF) are on: a restart empties it."),
        N_(
            "Set `appendonly yes` and `appendfsync everysec`. Nothing of Prosa is lost without, since "
            "SQL has it all; but everything is slow until it is filled again."
        ),
    ),
    RedisCheck(
        "last_save", CRITICAL, N_("Did it write to disk the last time?"), checks.last_save,
        N_("It could not write to disk: %(kinds)s."),
        N_(
            "See the free space and the rights of its `dir`, and its log. Until then it may refuse "
            "writes, and a restart brings old data back."
        ),
    ),
    RedisCheck(
        "exposed", CRITICAL, N_("Is it safe from strangers?"), checks.exposed,
        N_(
            "It listens on %(bind)s, asks for no password, and protected-mode is off: whoever reaches it "
            "can read and change all, and run programs on its machine."
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
            "In the last hour %(number)s commands took longer than 10 ms; the slowest was %(name)s with "
            "%(ms)s ms. All others waited meanwhile."
        ),
        N_(
            "`redis-cli slowlog get` shows them. KEYS, and SMEMBERS or HGETALL of something large, are "
            "not Prosa's: find the program that sends them. If all are slow, the machine is short of CPU "
            "or swaps."
        ),
    ),
    RedisCheck(
        "large_keys", WARNING, N_("Are all keys small?"), checks.large_keys,
        N_("Larger than 1 MB: %(names)s"),
        N_(
            "Prosa stores nothing so large. If it is another program's, give that a Redis of its own; if "
            "it is ours, `flask redis flush --namespace NAME` removes it and nothing is lost."
        ),
    ),
    RedisCheck(
        "keys_without_ttl", WARNING, N_("Does every key of ours end by itself?"), checks.keys_without_ttl,
        N_("%(number)s keys of ours would stay for ever: %(names)s"),
        N_(
            "An older version or a hand wrote them: `flask redis flush --namespace NAME`. What is still "
            "needed comes again from SQL."
        ),
    ),
    RedisCheck(
        "many_clients", WARNING, N_("Are the connections few?"), checks.many_clients,
        N_("%(number)s connections are open, of %(most)s allowed."),
        N_(
            "The Redis page shows whose they are. Lower REDIS_CONNECTIONS or the number of processes, or "
            "raise `maxclients`."
        ),
    ),
    RedisCheck(
        "replica_lag", WARNING, N_("Do the replicas follow?"), checks.replica_lag,
        N_("Replication is behind or broken: %(names)s"),
        N_(
            "See the replica's log and the network between. A failover now would lose the latest writes; "
            "Prosa fills them in from SQL."
        ),
    ),
    RedisCheck(
        "too_old", WARNING, N_("Is its version new enough?"), checks.too_old,
        N_("Version %(version)s lacks commands that Prosa sends; 6.2 is the oldest that has them."),
        N_("Install Redis 7.2 or newer, or Valkey."),
    ),
    RedisCheck(
        "unsupported_version", NOTE, N_("Is its version still looked after?"), checks.unsupported_version,
        N_("Version %(version)s no longer gets mends from its makers."),
        N_(
            "Take Redis 7.2 or newer, or Valkey, unless your distribution still mends it (Debian does)."
        ),
    ),
    RedisCheck(
        "latency", WARNING, N_("Is it near?"), checks.latency,
        N_("An answer takes %(ms)s ms; on the same network it is less than one."),
        N_(
            "Put Redis into the region and network of Prosa; if it is there, see the load of both "
            "machines (`redis-cli --latency`)."
        ),
    ),
)  # fmt: skip

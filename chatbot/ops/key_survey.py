"""Survey of the keys in Redis, by SCAN and pipelines, which unlike KEYS do not block the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import ResponseError

from chatbot.core.redis.keys import PREFIX

BATCH = 1000
LARGE_BYTES = 1024 * 1024
MAX_EXAMPLES = 5
# Keys of other programs on the same Redis.
FOREIGN_KEYS = "(others)"
# RQ's lists and sets live as long as their queues do (core.redis.keys says so).
NAMESPACE_WITHOUT_TTL = "rq"


@dataclass(slots=True)
class NamespaceStats:
    """Statistics of one namespace. `bytes` is None if the server does not reveal it. TTLs are in seconds."""

    keys: int = 0
    bytes: int | None = 0
    without_ttl: int = 0
    shortest_ttl: int | None = None
    longest_ttl: int | None = None

    def add(self, size: int | None, ttl: int) -> None:
        self.keys += 1
        self.bytes = None if size is None or self.bytes is None else self.bytes + size
        if ttl == -1:
            self.without_ttl += 1
            return
        self.shortest_ttl = ttl if self.shortest_ttl is None else min(ttl, self.shortest_ttl)
        self.longest_ttl = ttl if self.longest_ttl is None else max(ttl, self.longest_ttl)


@dataclass(slots=True)
class KeySurvey:
    """Result of a survey. `large` and `without_ttl` (keys that should have one) hold a few examples."""

    namespaces: dict[str, NamespaceStats] = field(default_factory=dict)
    is_whole: bool = True
    large: list[tuple[str, int]] = field(default_factory=list)
    without_ttl: list[str] = field(default_factory=list)

    @property
    def missing_ttls(self) -> int:
        """Number of our keys that would never expire."""
        return sum(
            found.without_ttl
            for name, found in self.namespaces.items()
            if name not in (FOREIGN_KEYS, NAMESPACE_WITHOUT_TTL)
        )


def survey_keys(client: redis.Redis, limit: int | None = None) -> KeySurvey:
    """Survey all keys, or about the first `limit` that SCAN returns.

    Raises:
        RedisError: Redis is unavailable.
    """
    survey, seen = KeySurvey(), 0
    for names in _scan_batches(client):
        for name, ttl, size in _read_ttls_and_sizes(client, names):
            _count_key(survey, name, ttl, size)
        seen += len(names)
        if limit is not None and seen >= limit:
            survey.is_whole = False
            break
    survey.large = sorted(survey.large, key=lambda found: -found[1])[:MAX_EXAMPLES]
    survey.namespaces = dict(sorted(survey.namespaces.items()))
    return survey


def namespace_of(name: str) -> str:
    return name.removeprefix(PREFIX).partition(":")[0] if name.startswith(PREFIX) else FOREIGN_KEYS


def _scan_batches(client: redis.Redis, match: str | None = None) -> Iterator[list[bytes]]:
    cursor: int = 0
    while True:
        found: Any = client.scan(cursor, match=match, count=BATCH)
        cursor, names = found
        if names:
            yield names
        if cursor == 0:
            return


def _read_ttls_and_sizes(
    client: redis.Redis, names: list[bytes]
) -> Iterator[tuple[str, int, int | None]]:
    """Yield (name, TTL in seconds, bytes) of the keys that still exist."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.ttl(name)
            pipe.memory_usage(name, samples=0 if len(names) == 1 else 5)
        answers = pipe.execute(raise_on_error=False)
    for name, ttl, size in zip(names, answers[0::2], answers[1::2], strict=True):
        if isinstance(ttl, int) and ttl != -2:
            # A managed Redis may forbid MEMORY USAGE.
            yield name.decode("utf-8", "replace"), ttl, size if isinstance(size, int) else None


def _count_key(survey: KeySurvey, name: str, ttl: int, size: int | None) -> None:
    namespace = namespace_of(name)
    survey.namespaces.setdefault(namespace, NamespaceStats()).add(size, ttl)
    if size is not None and size > LARGE_BYTES:
        survey.large.append((name, size))
    if (
        ttl == -1
        and namespace not in (FOREIGN_KEYS, NAMESPACE_WITHOUT_TTL)
        and len(survey.without_ttl) < MAX_EXAMPLES
    ):
        survey.without_ttl.append(name)


def delete_namespace(client: redis.Redis, namespace: str) -> int:
    """Delete all keys of one of our namespaces, and return how many.

    Raises:
        RedisError: Redis is unavailable.
    """
    deleted = 0
    for names in _scan_batches(client, match=f"{PREFIX}{namespace}:*"):
        deleted += _unlink(client, names)
    return deleted + _unlink(client, [f"{PREFIX}{namespace}".encode()])


def _unlink(client: redis.Redis, names: list[bytes]) -> int:
    try:
        found: Any = client.unlink(*names)
    except ResponseError:  # the server or a proxy does not know UNLINK
        found = client.delete(*names)
    return int(found)

"""Report of `benchmarks.load`: targets and figures, times of pages, cache, and SQL by route."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.socket_clients import format_quantile_ms

MAX_STATEMENTS = 12
STATEMENT_LENGTH = 110  # characters of a statement


@dataclass(slots=True)
class LoadTimings:
    """Seconds of the pages by path, and for each change whether the next request showed it."""

    pages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late: list[float] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    written: int = 0


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """Counters, read before and after the load.

    `lookups` are hits and misses by cache namespace, `sql` counts by (part, route, statement).
    """

    lookups: Mapping[str, tuple[int, int]]
    sql: Counter[tuple[str, str, str]]
    web_cpu_s: float


def report(
    timings: LoadTimings,
    before: CounterSnapshot,
    after: CounterSnapshot,
    seconds: float,
    web_cpu_s: float,
) -> None:
    lookups = {
        name: _since(after.lookups[name], before.lookups.get(name)) for name in after.lookups
    }
    sql = after.sql - before.sql
    pages = sum(map(len, timings.pages.values()))
    print(f"{pages / seconds:.0f} pages and {timings.written / seconds:.0f} messages a second "
          f"for {seconds:.0f} s\n")  # fmt: skip
    _report_targets(timings, lookups, sql, seconds)
    print(f"| CPU of the web process | {web_cpu_s / seconds:.0%} of a core, "
          f"{1000 * web_cpu_s / pages:.1f} ms a page | |")  # fmt: skip
    print(f"| delay of the load client (p95) | {format_quantile_ms(timings.late, 0.95)} | |")
    _report_pages(timings.pages)
    _report_cache(lookups)
    _report_sql(sql, seconds)


CacheLookups = Mapping[str, tuple[int, int]]


def _since(now: tuple[int, int], before: tuple[int, int] | None) -> tuple[int, int]:
    hits, misses = before or (0, 0)
    return now[0] - hits, now[1] - misses


def _report_targets(
    timings: LoadTimings, lookups: CacheLookups, sql: Counter[tuple[str, str, str]], seconds: float
) -> None:
    hits, misses = (sum(column) for column in zip(*lookups.values(), strict=True))
    print("| | measured | target |\n|---|---|---|")
    print(f"| cache hit rate | {100 * hits / (hits + misses):.1f} % of {hits + misses} | ≥ 95 % |")
    parts = _summed(sql, 0)
    print(f"| SQL statements a second of the panel | {parts['panel'] / seconds:.1f} | ≤ 10 |")
    print(f"| … of the webhook ingest | {parts['ingest'] / seconds:.1f} | |")
    print(f"| changes shown by the next page | {sum(timings.seen)} of {len(timings.seen)} | all |")


def _report_pages(pages: Mapping[str, list[float]]) -> None:
    print("\n| page | requests | p50 | p95 |\n|---|---|---|---|")
    for path, times in sorted(pages.items()):
        print(
            f"| `{path}` | {len(times)} | {format_quantile_ms(times, 0.5)} "
            f"| {format_quantile_ms(times, 0.95)} |"
        )
    every = [taken for times in pages.values() for taken in times]
    print(
        f"| all | {len(every)} | {format_quantile_ms(every, 0.5)} | {format_quantile_ms(every, 0.95)} |"
    )


def _report_cache(lookups: CacheLookups) -> None:
    print("\n| cache namespace | lookups | misses |\n|---|---|---|")
    for name, (hits, misses) in sorted(lookups.items()):
        print(f"| {name} | {hits + misses} | {misses} |")


def _report_sql(sql: Counter[tuple[str, str, str]], seconds: float) -> None:
    panel = Counter({place: number for place, number in sql.items() if place[0] == "panel"})
    print("\n| the panel's SQL, by route | a second |\n|---|---|")
    for route, number in _summed(panel, 1).most_common():
        print(f"| `{route}` | {number / seconds:.2f} |")
    print("\n| … by statement | a second |\n|---|---|")
    for statement, number in _summed(panel, 2).most_common(MAX_STATEMENTS):
        print(f"| `{statement[:STATEMENT_LENGTH]}` | {number / seconds:.2f} |")


def _summed(sql: Counter[tuple[str, str, str]], place: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for names, number in sql.items():
        total[names[place]] += number
    return total

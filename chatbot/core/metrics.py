"""Metrics of all processes: counted in the process, added to SQL every few seconds.

A sum in SQL is right over any number of processes and hosts, survives restarts and needs no Redis.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.counters import BufferedCounts
from chatbot.core.db import Base, Json, UtcDateTime, read_only, upsert
from chatbot.core.db.pool import use_reserve

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 10.0
ALIVE_S = 35.0  # a process that has missed three reports counts as dead
REPORT_RETENTION = timedelta(hours=1)

Sample = tuple[str, str]  # name, labels as `_encode` writes them


class MetricSum(Base):
    """Sum over all processes, which only rises. `labels` is a JSON object, sorted by name."""

    __tablename__ = "metric_sums"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    labels: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    value: Mapped[float] = mapped_column(sa.Double)


class ProcessReport(Base):
    """Last report of one running process: a heartbeat that needs no Redis."""

    __tablename__ = "process_reports"

    process: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(20))
    gauges: Mapped[dict[str, float]] = mapped_column(Json)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Metrics:
    """Metrics of one application in one process.

    `gauges` returns present values; `totals` returns counts that other code has kept since the start
    of the process, and which only rise.
    """

    def __init__(
        self,
        engine: sa.Engine,
        gauges: Callable[[], dict[str, float]] = dict,
        totals: Callable[[], dict[str, float]] = dict,
    ) -> None:
        self._engine = engine
        self._gauges = gauges
        self._totals = totals
        self._counts: BufferedCounts[Sample, float] = BufferedCounts(float)
        self.reset_after_fork()
        self.role = "web"
        _instances.add(self)

    def reset_after_fork(self) -> None:
        """Leave the totals of before the fork to the parent, which reports them itself."""
        self._totals_lock = threading.Lock()
        self._known_totals = self._totals()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counts.add((name, _encode(labels)), amount)
        self.ensure_reporting()

    def ensure_reporting(self) -> None:
        flush = weakref.WeakMethod(self.flush)
        self._counts.start_flushing(flush, lambda: FLUSH_EVERY_S, name="metrics")

    def flush(self, *, is_last: bool = False) -> None:
        """Add the counts to the sums and save this process's report, or delete it with `is_last`."""

        def write(counts: dict[Sample, float]) -> None:
            # The report must not wait for a long transaction of this process.
            with use_reserve(), self._engine.begin() as connection:
                _add_to_sums(connection, counts)
                if is_last:
                    _delete_report(connection)
                else:
                    _save_report(connection, self.role, self._gauges())

        self._count_totals()
        try:
            self._counts.flush(write)
        except sa.exc.SQLAlchemyError as error:
            log.debug("counts not written yet: %s", error)

    def stop(self) -> None:
        self._counts.stop_flushing()

    def _count_totals(self) -> None:
        with self._totals_lock:
            for name, total in (totals := self._totals()).items():
                if risen := total - self._known_totals.get(name, 0):
                    self._counts.add((name, "{}"), risen)
            self._known_totals = totals


_instances: weakref.WeakSet[Metrics] = weakref.WeakSet()


def _reset_after_fork() -> None:
    for metrics in _instances:
        metrics.reset_after_fork()


os.register_at_fork(after_in_child=_reset_after_fork)


def init_metrics(app: Flask, metrics: Metrics) -> None:
    app.extensions["prosa_metrics"] = metrics


def count(name: str, amount: float = 1, **labels: str) -> None:
    """Count for the current application; outside of one, do nothing."""
    if current_app:
        _get_metrics().count(name, amount, **labels)


def flush() -> None:
    """Write now what this process has counted."""
    _get_metrics().flush()


@contextmanager
def reporting_as(role: str) -> Iterator[None]:
    """Report this process under `role` (a worker's queue) until the block ends."""
    metrics = _get_metrics()
    metrics.role = role
    metrics.flush()
    metrics.ensure_reporting()
    try:
        yield
    finally:
        metrics.flush(is_last=True)


def _get_metrics() -> Metrics:
    found: Metrics = current_app.extensions["prosa_metrics"]
    return found


def _encode(labels: Mapping[str, str]) -> str:
    # str: table names of SQLAlchemy and enum members are subclasses, which msgspec refuses.
    return msgspec.json.encode({name: str(labels[name]) for name in sorted(labels)}).decode()


def _add_to_sums(connection: sa.Connection, counts: Mapping[Sample, float]) -> None:
    """Add `counts` to the sums, in one order of rows, so that two processes never deadlock."""
    if not counts:
        return
    insert = upsert(connection, MetricSum)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["name", "labels"],
            set_={"value": MetricSum.value + insert.excluded.value},
        ),
        [
            {"name": name, "labels": labels, "value": amount}
            for (name, labels), amount in sorted(counts.items())
        ],
    )


def _save_report(connection: sa.Connection, role: str, gauges: dict[str, float]) -> None:
    values = {"role": role, "gauges": gauges, "seen_at": clock.now()}
    connection.execute(
        upsert(connection, ProcessReport)
        .values(process=_process_name(), **values)
        .on_conflict_do_update(index_elements=["process"], set_=values)
    )


def _delete_report(connection: sa.Connection) -> None:
    connection.execute(sa.delete(ProcessReport).where(ProcessReport.process == _process_name()))


def _process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:120]


def read_sums(connection: sa.Connection) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return, by name, each sum's (labels, value); counts of the last seconds may be missing."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in connection.execute(
        sa.select(MetricSum.name, MetricSum.labels, MetricSum.value).order_by(
            MetricSum.name, MetricSum.labels
        )
    ):
        found.setdefault(name, []).append((msgspec.json.decode(labels), value))
    return found


def list_live_processes(connection: sa.Connection) -> list[tuple[str, dict[str, float]]]:
    """Return (role, gauges) of each process on any host that has reported within ALIVE_S."""
    alive = ProcessReport.seen_at > clock.now() - timedelta(seconds=ALIVE_S)
    rows = connection.execute(
        sa.select(ProcessReport.role, ProcessReport.gauges).where(alive).order_by("role")
    )
    return [(role, gauges) for role, gauges in rows]


def delete_dead_reports(connection: sa.Connection) -> None:
    connection.execute(
        sa.delete(ProcessReport).where(ProcessReport.seen_at < clock.now() - REPORT_RETENTION)
    )


def count_live_processes(engine: sa.Engine) -> Counter[str]:
    """Return the number of running processes by role."""
    with read_only(), engine.connect() as connection:
        return Counter(role for role, _gauges in list_live_processes(connection))

"""What happens is counted in the process at once, and added to SQL every few seconds.

A sum in SQL is right over any number of processes and hosts, outlives them all, and needs no Redis.
What is counted costs the one who counts no round trip; a process that is killed loses some seconds.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, Json, UtcDateTime, read_only, upsert

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 10.0
ALIVE_S = 35.0  # three reports missed, and a process is taken for dead
REPORT_RETENTION = timedelta(hours=1)

Sample = tuple[str, str]  # name, and labels as `_encode` writes them


class MetricSum(Base):
    """One sum over all processes, ever rising. `labels` is a JSON object, names sorted."""

    __tablename__ = "metric_sums"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    labels: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    value: Mapped[float] = mapped_column(sa.Double)


class ProcessReport(Base):
    """What one living process says of itself: the heartbeat that needs no Redis."""

    __tablename__ = "process_reports"

    process: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(20))
    gauges: Mapped[dict[str, float]] = mapped_column(Json)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Metrics:
    """The counts of one application in one process.

    `gauges` tells what is true of the process now; `totals` what has been counted elsewhere in it
    since its start, and only ever rises.
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
        self._known_totals = totals()
        self._sums: defaultdict[Sample, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._flusher: threading.Thread | None = None
        self._stopped = threading.Event()
        self.role = "web"
        _instances.add(self)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        with self._lock:
            self._sums[name, _encode(labels)] += amount
        self.ensure_reporting()

    def ensure_reporting(self) -> None:
        if self._flusher is None:
            self._flusher = threading.Thread(
                target=_flush_forever,
                args=(weakref.ref(self), self._stopped),
                name="metrics",
                daemon=True,
            )
            self._flusher.start()

    def flush(self, *, is_last: bool = False) -> None:
        """Add what was counted to the sums, and report; kept for next time when SQL is away.

        The last time the report is taken back: who ends in order is not missed.
        """
        drained = self._drain_sums()
        try:
            with self._engine.begin() as connection:
                _add_to_sums(connection, drained)
                if is_last:
                    _delete_report(connection)
                else:
                    _save_report(connection, self.role, self._gauges())
        except sa.exc.SQLAlchemyError as error:
            log.debug("counts not written yet: %s", error)
            with self._lock:
                for sample, amount in drained.items():
                    self._sums[sample] += amount

    def stop(self) -> None:
        self._stopped.set()

    def _drain_sums(self) -> dict[Sample, float]:
        with self._lock:
            for name, total in (totals := self._totals()).items():
                self._sums[name, "{}"] += total - self._known_totals.get(name, 0)
            self._known_totals = totals
            drained = {sample: amount for sample, amount in self._sums.items() if amount}
            self._sums.clear()
        return drained

    def reset_after_fork(self) -> None:
        """After a fork: what the parent counted it reports itself, and no thread came along."""
        self._lock = threading.Lock()
        self._sums.clear()
        self._known_totals = self._totals()
        self._flusher = None
        self._stopped = threading.Event()


_instances: weakref.WeakSet[Metrics] = weakref.WeakSet()


def _reset_after_fork() -> None:
    for metrics in _instances:
        metrics.reset_after_fork()


os.register_at_fork(after_in_child=_reset_after_fork)


def init_metrics(app: Flask, metrics: Metrics) -> None:
    app.extensions["prosa_metrics"] = metrics


def count(name: str, amount: float = 1, **labels: str) -> None:
    """Count for the present application; outside of one nobody is told."""
    if current_app:
        _get_metrics().count(name, amount, **labels)


def flush() -> None:
    """Write now what this process has counted."""
    _get_metrics().flush()


@contextmanager
def reporting_as(role: str) -> Iterator[None]:
    """This process reports, from now to the end of the block, as one of `role`: a worker's queue."""
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


def _flush_forever(owner: weakref.ref[Metrics], stopped: threading.Event) -> None:
    """Ends with its application: in tests there are many."""
    while not stopped.wait(FLUSH_EVERY_S):
        found = owner()
        if found is None:
            return
        found.flush()
        del found


def _encode(labels: Mapping[str, str]) -> str:
    # str: SQLAlchemy's names of tables, and our own enumerations, are text of a kind of their own.
    return msgspec.json.encode({name: str(labels[name]) for name in sorted(labels)}).decode()


def _add_to_sums(connection: sa.Connection, drained: Mapping[Sample, float]) -> None:
    """Rows in one order, so that two processes never wait for each other crosswise."""
    if not drained:
        return
    insert = upsert(connection, MetricSum)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["name", "labels"],
            set_={"value": MetricSum.value + insert.excluded.value},
        ),
        [
            {"name": name, "labels": labels, "value": amount}
            for (name, labels), amount in sorted(drained.items())
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
    """Each sum's values by their labels; all processes' but for the last seconds."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in connection.execute(
        sa.select(MetricSum.name, MetricSum.labels, MetricSum.value).order_by(
            MetricSum.name, MetricSum.labels
        )
    ):
        found.setdefault(name, []).append((msgspec.json.decode(labels), value))
    return found


def list_live_processes(connection: sa.Connection) -> list[tuple[str, dict[str, float]]]:
    """(role, gauges) of each process that has reported lately, on all hosts."""
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
    """How many processes of each role live."""
    with read_only(), engine.connect() as connection:
        return Counter(role for role, _gauges in list_live_processes(connection))

"""Import contacts from a CSV file in batches, and report bad lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import sqlalchemy as sa

from chatbot.contacts.imports import staging
from chatbot.contacts.imports.csv_reader import BadLine, ContactRow, read_rows
from chatbot.contacts.models import CONTACTS_CACHE_TAG, Contact
from chatbot.contacts.service import opt_out
from chatbot.core import clock
from chatbot.core.db import advisory_lock, db
from chatbot.extensions import cache

BATCH_SIZE = 1000  # lines


@dataclass(slots=True)
class ImportReport:
    """Counts of the lines up to `line`; `opted_in` counts recorded opt-ins."""

    added: int = 0
    updated: int = 0
    repeated: int = 0
    bad: int = 0
    opted_in: int = 0
    line: int = 0

    @property
    def good(self) -> int:
        return self.added + self.updated


def import_contacts(
    stream: BinaryIO,
    on_batch: Callable[[ImportReport, Sequence[BadLine]], None] | None = None,
    *,
    file: str = "CSV",
    report: ImportReport | None = None,
) -> ImportReport:
    """Import the file, committing after each batch.

    `on_batch` is called before the commit, with the report so far, the bad lines of the batch, and the
    cells that were left out of imported ones.
    `file` names the file in evidence of consent. `report` is the state of an interrupted run, whose
    lines are skipped.

    Raises:
        CsvError: the file as a whole can't be read (no phone column, not a CSV).
    """
    report = report or ImportReport()
    done = report.line
    lines = (line for line in read_rows(stream) if line.line > done)
    while batch := list(islice(lines, BATCH_SIZE)):
        bad = [line for line in batch if isinstance(line, BadLine)]
        rows = [line for line in batch if isinstance(line, ContactRow)]
        dropped = [cell for row in rows for cell in row.dropped]
        report.bad += len(bad)
        report.line = batch[-1].line
        _import_batch(rows, file, report)
        if on_batch is not None:
            on_batch(report, sorted((*bad, *dropped), key=lambda line: line.line))
        db.session.commit()
    return report


def _import_batch(rows: Sequence[ContactRow], file: str, report: ImportReport) -> None:
    """Import the rows; of several with the same phone, the last one counts."""
    by_phone = {row.phone.match_key: row for row in rows}
    report.repeated += len(rows) - len(by_phone)
    if not by_phone:
        return
    connection, now = db.session.connection(), clock.now()
    staging.create_staging_table(connection, list(by_phone.values()))
    advisory_lock(connection, "contacts.resolve")
    staging.match_known_contacts(connection)
    added = staging.insert_new_contacts(connection, now)
    if added < len(by_phone):
        staging.update_known_contacts(connection)
    if any(row.tags for row in by_phone.values()):
        staging.insert_tags(connection)
    if any(row.opt_in for row in by_phone.values()):
        report.opted_in += staging.insert_opt_ins(connection, file, now)
    if any(row.opt_out for row in by_phone.values()):
        _record_opt_outs(staging.list_refusals(connection), file)
    staging.drop_staging_table(connection)
    cache.invalidate(CONTACTS_CACHE_TAG)
    report.added += added
    report.updated += len(by_phone) - added


def _record_opt_outs(refusals: Sequence[tuple[int, int]], file: str) -> None:
    lines = dict(refusals)
    for contact in db.session.scalars(sa.select(Contact).where(Contact.id.in_(lines))):
        opt_out(contact, "import", f"{file}:{lines[contact.id]}")
    db.session.flush()

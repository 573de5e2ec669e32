"""Task: import confirmed files. If a worker dies, another resumes after the last imported line."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from chatbot.contacts.imports.csv_reader import BadLine, CsvError
from chatbot.contacts.imports.importer import ImportReport, import_contacts
from chatbot.contacts.imports.uploads import (
    Upload,
    UploadReader,
    UploadState,
    delete_content,
    delete_expired_uploads,
    is_expired_condition,
    open_upload,
    store_errors,
)
from chatbot.core.db import db, db_now, read_only
from chatbot.core.live_events import LiveEventKind, publish

log = logging.getLogger(__name__)

LEASE_S = 60.0
MAX_ATTEMPTS = 3


def list_due_imports() -> list[tuple[()]]:
    """Return one argument tuple if an upload can be claimed or has expired."""
    query = sa.select(sa.exists().where(sa.or_(_is_claimable(), is_expired_condition())))
    with read_only(), db.engine.connect() as connection:
        return [()] if connection.scalar(query) else []


def run_imports() -> None:
    while (upload_id := _claim()) is not None:
        _run_import(upload_id)
    delete_expired_uploads()
    db.session.commit()


def _is_claimable() -> sa.ColumnElement[bool]:
    return sa.or_(
        Upload.state == UploadState.CONFIRMED,
        sa.and_(Upload.state == UploadState.IMPORTING, Upload.leased_until < db_now()),
    )


def _claim() -> int | None:
    """Lease the oldest claimable file; the condition in the UPDATE lets only one worker claim it."""
    oldest = (
        sa.select(Upload.id).where(_is_claimable()).order_by(Upload.id).limit(1).scalar_subquery()
    )
    claimed: int | None = db.session.scalar(
        sa.update(Upload)
        .where(Upload.id == oldest, _is_claimable())
        .values(
            state=UploadState.IMPORTING,
            leased_until=db_now(LEASE_S),
            attempts=Upload.attempts + 1,
        )
        .returning(Upload.id)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return claimed


def _run_import(upload_id: int) -> None:
    upload = db.session.get_one(Upload, upload_id, populate_existing=True)
    if upload.attempts > MAX_ATTEMPTS:
        _finish_import(upload_id, UploadState.FAILED, {})
        return
    stream = open_upload(upload_id)
    try:
        report = import_contacts(
            stream,  # type: ignore[arg-type]
            lambda report, bad: _record_progress(upload_id, report, bad, stream),
            file=f"{upload.file_name} (#{upload_id})",
            report=_restore_report(upload.report),
        )
    except CsvError as error:
        db.session.rollback()
        _finish_import(upload_id, UploadState.FAILED, {"reason": error.reason})
        return
    _finish_import(upload_id, UploadState.DONE, asdict(report))
    log.info("imported %d contacts, %d bad lines", report.good, report.bad)


def _restore_report(report: Mapping[str, int]) -> ImportReport:
    """Return the report of an interrupted run."""
    return ImportReport(
        **{f.name: report[f.name] for f in fields(ImportReport) if f.name in report}
    )


def _record_progress(
    upload_id: int, report: ImportReport, bad: Sequence[BadLine], stream: UploadReader
) -> None:
    """Save the progress and renew the lease in the batch's transaction."""
    if bad:
        store_errors(upload_id, bad)
    db.session.execute(
        sa.update(Upload)
        .where(Upload.id == upload_id)
        .values(
            report={**asdict(report), "position": stream.position},
            leased_until=db_now(LEASE_S),
        )
        .execution_options(synchronize_session=False)
    )
    publish(LiveEventKind.IMPORT, upload_id)


def _finish_import(upload_id: int, state: UploadState, report: dict[str, Any]) -> None:
    db.session.execute(
        sa.update(Upload)
        .where(Upload.id == upload_id)
        .values(state=state, report=report, leased_until=None)
        .execution_options(synchronize_session=False)
    )
    delete_content(upload_id)
    publish(LiveEventKind.IMPORT, upload_id)
    db.session.commit()

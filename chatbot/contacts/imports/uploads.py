"""Uploaded files, stored in SQL between preview and import, because hosts share no disk."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.contacts.imports.csv_reader import BadLine
from chatbot.core import clock
from chatbot.core.db import Base, BigId, Json, UtcDateTime, db
from chatbot.core.errors import NotFound

CHUNK_BYTES = 256 * 1024
RETENTION = timedelta(days=1)


class UploadState(StrEnum):
    PREVIEW = "preview"
    CONFIRMED = "confirmed"  # waits for a worker
    IMPORTING = "importing"
    DONE = "done"
    FAILED = "failed"


class Upload(Base):
    """Uploaded file and the report of its import; deleted after a day."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    file_name: Mapped[str] = mapped_column(sa.String(200))
    size: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(10), default=UploadState.PREVIEW, index=True)
    # Lease of the importing worker; after it another worker resumes the import.
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    # ImportReport so far, and the position in bytes.
    report: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now, index=True)


class UploadChunk(Base):
    __tablename__ = "upload_chunks"

    upload_id: Mapped[int] = mapped_column(
        sa.ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)


class UploadError(Base):
    """Bad lines of a batch, each as [line, column, reason, value] of `csv_reader.BadLine`."""

    __tablename__ = "upload_errors"

    upload_id: Mapped[int] = mapped_column(
        sa.ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)  # number of the first bad line
    lines: Mapped[list[list[Any]]] = mapped_column(Json)


def store_upload(stream: BinaryIO, file_name: str, user_id: int) -> Upload:
    """Store a file, with one chunk in memory at a time."""
    upload = Upload(user_id=user_id, file_name=_clean_file_name(file_name), size=0)
    db.session.add(upload)
    db.session.flush()
    for position, data in enumerate(iter(lambda: stream.read(CHUNK_BYTES), b"")):
        upload.size += len(data)
        row = {"upload_id": upload.id, "position": position, "data": data}
        db.session.execute(sa.insert(UploadChunk), [row])
    db.session.flush()
    return upload


def _clean_file_name(file_name: str) -> str:
    """Return the last part of the path without control characters, for display only."""
    name = file_name.replace("\\", "/").rpartition("/")[2].replace("\x00", "")
    return "".join(c for c in name if c.isprintable())[:200] or "contacts.csv"


def get_upload(upload_id: int, user_id: int, *, lock: bool = False) -> Upload:
    """Return an upload of this user. Raises NotFound."""
    query = sa.select(Upload).where(Upload.id == upload_id, Upload.user_id == user_id)
    found = db.session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("This file is gone: files are kept for one day. Upload it again.")
    return found


def open_upload(upload_id: int) -> UploadReader:
    """Return the file as a stream that is read from SQL chunk by chunk."""
    return UploadReader(_read_chunks(upload_id))


def _read_chunks(upload_id: int) -> Iterator[bytes]:
    position = 0
    while True:
        data = db.session.scalar(
            sa.select(UploadChunk.data).where(
                UploadChunk.upload_id == upload_id, UploadChunk.position == position
            )
        )
        if data is None:
            return
        yield data
        position += 1


class UploadReader(io.RawIOBase):
    """Binary stream over chunks. `position` is the number of bytes read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._chunks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        self.position += count
        return count


def store_errors(upload_id: int, bad_lines: Sequence[BadLine]) -> None:
    """Store the bad lines of a batch in its transaction."""
    lines = [[bad.line, bad.column, bad.reason, bad.value] for bad in bad_lines]
    row = {"upload_id": upload_id, "position": bad_lines[0].line, "lines": lines}
    db.session.execute(sa.insert(UploadError), [row])


def iterate_errors(upload_id: int) -> Iterator[BadLine]:
    """Yield all bad lines in order, batch by batch; no transaction stays open between batches."""
    position = 0
    while True:
        query = sa.select(UploadError.position, UploadError.lines).where(
            UploadError.upload_id == upload_id, UploadError.position > position
        )
        found = db.session.execute(query.order_by(UploadError.position).limit(1)).first()
        db.session.rollback()
        if found is None:
            return
        position, lines = found
        yield from (BadLine(*line) for line in lines)


def list_first_errors(upload_id: int, limit: int) -> list[BadLine]:
    query = sa.select(UploadError.lines).where(UploadError.upload_id == upload_id)
    batches = db.session.scalars(query.order_by(UploadError.position).limit(limit))
    return [BadLine(*line) for lines in batches for line in lines][:limit]


def delete_content(upload_id: int) -> None:
    db.session.execute(sa.delete(UploadChunk).where(UploadChunk.upload_id == upload_id))


def is_expired_condition() -> sa.ColumnElement[bool]:
    return Upload.created_at < clock.now() - RETENTION


def delete_expired_uploads() -> None:
    """Delete uploads with their chunks and errors after RETENTION."""
    expired = sa.select(Upload.id).where(is_expired_condition())
    for part in (UploadChunk, UploadError):
        db.session.execute(sa.delete(part).where(part.upload_id.in_(expired)))
    db.session.execute(sa.delete(Upload).where(is_expired_condition()))

"""Files of messages: queued for transfer, stored in SQL, claimed by the worker that transfers them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, BinaryIO

import sqlalchemy as sa

from chatbot.channels.media.file_types import SENDABLE_TYPES, check_outbound_type
from chatbot.channels.media.models import MediaChunk, MediaFile, MediaTransfer
from chatbot.channels.whatsapp.payloads import MediaKind
from chatbot.core import clock
from chatbot.core.db import db, db_now, sanitize_text, skip_locked, upsert
from chatbot.core.tasks import enqueue

CHUNK_BYTES = 256 * 1024
# Meta keeps media that people send us for 7 days, and our uploads for 30 (Cloud API, Media). An id that
# expires within a day is not used.
UPLOAD_LIFETIME = timedelta(days=30)
MIN_REMAINING_LIFETIME = timedelta(days=1)
LEASE_S = 300.0
MAX_ATTEMPTS = 8
# Old payloads call a recording "voice".
INBOUND_KINDS = {**{kind.value: kind for kind in MediaKind}, "voice": MediaKind.AUDIO}


def queue_download(channel_id: int, kind: str, payload: Mapping[str, Any]) -> MediaFile | None:
    """Record the file of a contact's message for download; None if the message has no file."""
    media_id = payload.get("id")
    if kind not in INBOUND_KINDS or not isinstance(media_id, str) or not media_id:
        return None
    file = MediaFile(
        channel_id=channel_id,
        kind=INBOUND_KINDS[kind],
        mime_type=_text(payload.get("mime_type"), 100),
        file_name=clean_file_name(_text(payload.get("filename"), 500)),
        media_id=media_id[:128],
        transfer=MediaTransfer.DOWNLOAD,
    )
    db.session.add(file)
    db.session.flush()
    enqueue("media.transfer")
    return file


def _text(value: object, most: int) -> str:
    return (sanitize_text(value, most) or "") if isinstance(value, str) else ""


def clean_file_name(file_name: str) -> str:
    """Return the last part of a path, to be shown. It is never used to open a file."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[-200:].strip()


def queue_upload(channel_id: int, stream: BinaryIO, file_name: str) -> MediaFile:
    """Store a file to be sent, in the caller's transaction, and queue its upload.

    The same content is uploaded once in 30 days. Raises InvalidInput if WhatsApp would reject it.
    """
    size, sha256 = _measure(stream)
    name = clean_file_name(file_name)
    mime_type = check_outbound_type(stream, name, size)
    known = _find_reusable(channel_id, sha256, mime_type)
    if known is not None:
        return known
    file = MediaFile(
        channel_id=channel_id,
        kind=SENDABLE_TYPES[mime_type].kind,
        mime_type=mime_type,
        file_name=name,
        size=size,
        sha256=sha256,
        transfer=MediaTransfer.UPLOAD,
    )
    db.session.add(file)
    db.session.flush()
    for position, data in enumerate(iter_chunks(stream)):
        store_chunk(db.session.connection(), file.id, position, data)
    enqueue("media.transfer")
    return file


def _measure(stream: BinaryIO) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for data in iter_chunks(stream):
        size += len(data)
        digest.update(data)
    return size, digest.hexdigest()


def _find_reusable(channel_id: int, sha256: str, mime_type: str) -> MediaFile | None:
    """Find an equal file that is uploaded already or queued."""
    is_valid = MediaFile.media_id_expires_at > clock.now() + MIN_REMAINING_LIFETIME
    return db.session.scalar(
        sa.select(MediaFile)
        .where(
            MediaFile.channel_id == channel_id,
            MediaFile.sha256 == sha256,
            MediaFile.mime_type == mime_type,
            sa.or_(is_valid, MediaFile.transfer == MediaTransfer.UPLOAD),
        )
        .order_by(MediaFile.id.desc())
        .limit(1)
    )


def iter_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a stream from its beginning."""
    stream.seek(0)
    return iter(lambda: stream.read(CHUNK_BYTES), b"")


def store_chunk(connection: sa.Connection, file_id: int, position: int, data: bytes) -> None:
    """Store a chunk, replacing one that a killed worker may have left."""
    statement = upsert(connection, MediaChunk).values(file_id=file_id, position=position, data=data)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["file_id", "position"], set_={"data": statement.excluded.data}
        )
    )


def read_chunks(file_id: int) -> Iterator[bytes]:
    """Yield the content of a file, with a few chunks in memory at a time."""
    query = (
        sa.select(MediaChunk.data)
        .where(MediaChunk.file_id == file_id)
        .order_by(MediaChunk.position)
        .execution_options(yield_per=4)
    )
    yield from db.session.scalars(query)


def claim_transfers(limit: int) -> list[MediaFile]:
    """Claim files whose transfer is due, and return them detached. Commits.

    The end of the lease is their next due time.
    """
    due = (
        sa.select(MediaFile.id)
        .where(MediaFile.transfer.is_not(None), MediaFile.due_at <= db_now())
        .order_by(MediaFile.due_at)
        .limit(limit)
    )
    with db.sessionmaker() as session:
        ids = session.scalars(skip_locked(due, session.connection())).all()
        if ids:
            session.execute(
                sa.update(MediaFile)
                .where(MediaFile.id.in_(ids))
                .values(due_at=db_now(LEASE_S), attempts=MediaFile.attempts + 1)
            )
        claimed = session.scalars(
            sa.select(MediaFile).where(MediaFile.id.in_(ids)).order_by(MediaFile.id)
        ).all()
        session.expunge_all()
        session.commit()
    return list(claimed)


def store_download(claimed: MediaFile, content: BinaryIO, mime_type: str) -> None:
    """Store downloaded content.

    Each chunk has its own short transaction, so that other writers never wait for a whole file. The
    caller's transaction marks the file as complete.
    """
    size, sha256 = _measure(content)
    for position, data in enumerate(iter_chunks(content)):
        with db.engine.begin() as connection:
            store_chunk(connection, claimed.id, position, data)
    _finish(claimed, size=size, sha256=sha256, mime_type=mime_type)


def mark_uploaded(claimed: MediaFile, media_id: str) -> None:
    _finish(claimed, media_id=media_id, media_id_expires_at=clock.now() + UPLOAD_LIFETIME)


def record_transfer_failure(claimed: MediaFile, problem: str | None) -> None:
    """Try again later, or give up with the reason."""
    if problem is None and claimed.attempts < MAX_ATTEMPTS:
        wait_s = min(3600.0, 5.0 * 3 ** (claimed.attempts - 1))
        _update(claimed, due_at=db_now(wait_s))
    else:
        _finish(claimed, problem=problem or "failed")


def _finish(claimed: MediaFile, **values: Any) -> None:
    _update(claimed, transfer=None, **values)


def _update(claimed: MediaFile, **values: Any) -> None:
    """Update a file only while the claim is valid: a worker that outlived its lease writes nothing."""
    db.session.execute(
        sa.update(MediaFile)
        .where(MediaFile.id == claimed.id, MediaFile.attempts == claimed.attempts)
        .values(**values)
    )

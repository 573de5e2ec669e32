"""Task of the media worker: transfer due files between Meta and SQL."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from typing import BinaryIO

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.media.file_types import resolve_inbound_type
from chatbot.channels.media.files import (
    claim_transfers,
    mark_uploaded,
    read_chunks,
    record_transfer_failure,
    store_download,
)
from chatbot.channels.media.models import MediaFile, MediaTransfer
from chatbot.channels.models import Channel
from chatbot.channels.service import make_media_client
from chatbot.channels.whatsapp.media import MediaClient, MediaError
from chatbot.conversations.models import Message, thread_cache_tag
from chatbot.core.db import db, read_only
from chatbot.core.live_events import LiveEventKind, publish
from chatbot.core.tasks import enqueue
from chatbot.extensions import cache, get_settings

log = logging.getLogger(__name__)

MAX_CONCURRENT_TRANSFERS = 4
MB = 1024 * 1024


def transfer_media() -> float | None:
    """Transfer a batch of due files; see `core.tasks.Task` for the return value."""
    claimed = claim_transfers(MAX_CONCURRENT_TRANSFERS)
    if not claimed:
        return None
    channels = _load_channels(claimed)
    asyncio.run(_transfer_all(claimed, channels))
    return 0.0


def _load_channels(files: list[MediaFile]) -> dict[int, Channel]:
    wanted = sa.select(Channel).where(Channel.id.in_({file.channel_id for file in files}))
    with read_only(), db.sessionmaker() as session:
        found = {channel.id: channel for channel in session.scalars(wanted)}
        session.expunge_all()
    return found


async def _transfer_all(files: list[MediaFile], channels: dict[int, Channel]) -> None:
    await asyncio.gather(*(_transfer_one(file, channels[file.channel_id]) for file in files))


async def _transfer_one(file: MediaFile, channel: Channel) -> None:
    transfer = _upload if file.transfer == MediaTransfer.UPLOAD else _download
    try:
        with tempfile.TemporaryFile() as content:
            async with make_media_client(channel) as client:
                await transfer(client, file, content)
    except MediaError as error:
        log.warning("media file %d (attempt %d): %s", file.id, file.attempts, error)
        record_transfer_failure(file, error.problem)
        _commit_and_publish(file)


async def _download(client: MediaClient, file: MediaFile, content: BinaryIO) -> None:
    max_bytes = get_settings(current_app).media_max_mb * MB
    await client.download(file.media_id or "", content, max_bytes)
    mime_type = resolve_inbound_type(content, file.kind, file.mime_type)
    if mime_type is None:
        raise MediaError(f"the content is not {file.mime_type}", "not_what_it_says")
    store_download(file, content, mime_type)
    _commit_and_publish(file)


async def _upload(client: MediaClient, file: MediaFile, content: BinaryIO) -> None:
    with read_only():
        for data in read_chunks(file.id):
            content.write(data)
        db.session.rollback()
    content.seek(0)
    media_id = await client.upload(content, file.mime_type, file.file_name or "file")
    mark_uploaded(file, media_id)
    _commit_and_publish(file)


def _commit_and_publish(file: MediaFile) -> None:
    """Commit, refresh threads that show the file, and deliver a message that waited for its upload."""
    conversation_ids = sa.select(Message.conversation_id).where(Message.media_file_id == file.id)
    for conversation_id in db.session.scalars(conversation_ids.distinct()):
        cache.invalidate(thread_cache_tag(conversation_id))
        publish(LiveEventKind.CONVERSATION, conversation_id)
    if file.transfer == MediaTransfer.UPLOAD:
        enqueue("conversations.deliver")
    db.session.commit()

"""The media worker's batch: fetches what contacts sent, uploads what is to be sent; nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from typing import BinaryIO

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.media.files import (
    claim_due,
    note_failure,
    note_uploaded,
    read_chunks,
    store_inbound,
)
from chatbot.channels.media.kinds import judge_inbound
from chatbot.channels.media.models import MediaFile, MediaTask
from chatbot.channels.models import Channel
from chatbot.channels.service import make_media_client
from chatbot.channels.whatsapp.media import MediaClient, MediaError
from chatbot.conversations.models import Message, thread_topic
from chatbot.core.cache import forget
from chatbot.core.db import db, reading
from chatbot.core.hints import Kind, publish
from chatbot.core.queue import ring
from chatbot.extensions import settings_of

log = logging.getLogger(__name__)

AT_ONCE = 4
MB = 1024 * 1024


def transfer() -> float | None:
    """Move what is due; see `core.queue.Bell` for the return value."""
    claimed = claim_due(AT_ONCE)
    if not claimed:
        return None
    channels = _channels(claimed)
    asyncio.run(_transfer_all(claimed, channels))
    return 0.0


def _channels(files: list[MediaFile]) -> dict[int, Channel]:
    wanted = sa.select(Channel).where(Channel.id.in_({file.channel_id for file in files}))
    with reading(), db.sessionmaker() as session:
        found = {channel.id: channel for channel in session.scalars(wanted)}
        session.expunge_all()
    return found


async def _transfer_all(files: list[MediaFile], channels: dict[int, Channel]) -> None:
    await asyncio.gather(*(_transfer_one(file, channels[file.channel_id]) for file in files))


async def _transfer_one(file: MediaFile, channel: Channel) -> None:
    act = _upload if file.task == MediaTask.UPLOAD else _download
    try:
        with tempfile.TemporaryFile() as content:
            async with make_media_client(channel) as client:
                await act(client, file, content)
    except MediaError as error:
        log.warning("media file %d (attempt %d): %s", file.id, file.attempts, error)
        note_failure(file, error.problem)
        _commit_and_tell(file)


async def _download(client: MediaClient, file: MediaFile, content: BinaryIO) -> None:
    most = settings_of(current_app).media_max_mb * MB
    await client.download(file.media_id or "", content, most)
    mime_type = judge_inbound(content, file.kind, file.mime_type)
    if mime_type is None:
        raise MediaError(f"{file.mime_type} by name only", "not_what_it_says")
    store_inbound(file, content, mime_type)
    _commit_and_tell(file)


async def _upload(client: MediaClient, file: MediaFile, content: BinaryIO) -> None:
    with reading():
        for data in read_chunks(file.id):
            content.write(data)
        db.session.rollback()
    content.seek(0)
    media_id = await client.upload(content, file.mime_type, file.file_name or "file")
    note_uploaded(file, media_id)
    _commit_and_tell(file)


def _commit_and_tell(file: MediaFile) -> None:
    """Threads that show the file look again; a message that waited for it may go out."""
    shows_it = sa.select(Message.conversation_id).where(Message.media_file_id == file.id)
    for conversation_id in db.session.scalars(shows_it.distinct()):
        forget(thread_topic(conversation_id))
        publish(Kind.CONVERSATION, conversation_id)
    if file.task == MediaTask.UPLOAD:
        ring("conversations.deliver")
    db.session.commit()

"""A copy of a file's content on this host's disk; SQL is the truth, and the copy may vanish."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from flask import current_app

from chatbot.channels.media.files import read_chunks
from chatbot.channels.media.models import MediaFile
from chatbot.extensions import get_settings

MB = 1024 * 1024


def get_cached_path(file: MediaFile) -> Path:
    """Where the content of a whole file lies on disk; written there if it is not."""
    path = _folder() / f"{file.id}-{file.sha256}"
    try:
        os.utime(path)  # what was looked at last is kept longest
    except FileNotFoundError:
        _write(file.id, path)
        _evict_oldest(path)
    return path


def _folder() -> Path:
    folder = get_settings(current_app).home / "media"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write(file_id: int, path: Path) -> None:
    """Whole or not at all: another process may be reading, or writing the same."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            for data in read_chunks(file_id):
                file.write(data)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def _evict_oldest(newest: Path) -> None:
    """Drop what nobody has looked at for longest; a page that reads it now keeps its open file."""
    most = get_settings(current_app).media_cache_mb * MB
    found = []
    for path in newest.parent.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            total -= size

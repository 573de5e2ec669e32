"""Disk cache of file contents on this host. The contents are kept in SQL; a copy may be deleted."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from flask import current_app

from chatbot.channels.media.files import read_chunks
from chatbot.channels.media.models import MediaFile
from chatbot.extensions import get_settings
from private_files import make_private_folder

MB = 1024 * 1024


def get_cached_path(file: MediaFile) -> Path:
    """Return the path of a complete file's content on disk, and write it there if it is missing."""
    path = _folder() / f"{file.id}-{file.sha256}"
    try:
        os.utime(path)  # the least recently used files are evicted first
    except FileNotFoundError:
        _write(file.id, path)
        _evict_oldest(path)
    return path


def _folder() -> Path:
    return make_private_folder(get_settings(current_app).home / "media")


def _write(file_id: int, path: Path) -> None:
    """Write atomically, since another process may read or write the same file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            for data in read_chunks(file_id):
                file.write(data)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def _evict_oldest(newest: Path) -> None:
    """Delete the least recently used files. A request that is reading one keeps its open handle."""
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

"""Permissions of files."""

from __future__ import annotations

import stat
from pathlib import Path


def list_open_paths(folder: Path) -> list[str]:
    """Return the folder and all in it that other users may read, write or enter."""
    return [
        f"{path.relative_to(folder)}: {stat.S_IMODE(path.stat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077
    ]

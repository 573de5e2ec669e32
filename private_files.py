"""Files and folders that only the user of this process can read, whatever the umask it was started with.

The umask makes everything private that this process and its children create, also SQLite's log and the
append-only file of Redis. What exists already is tightened.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

UMASK = 0o077
FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_new_files_private() -> None:
    os.umask(UMASK)


def make_private_folder(path: Path) -> Path:
    """Create the folder with its parents, or tighten it if it is ours alone.

    Raises:
        OSError: it can't be created.
    """
    make_new_files_private()
    path.mkdir(parents=True, exist_ok=True)
    tighten(path, FOLDER_MODE)
    return path


def write_private_file(path: Path, text: str) -> None:
    """Write the file, which nobody else can read at any moment."""
    make_new_files_private()
    tighten(path)
    path.write_text(text, "utf-8")


def tighten(path: Path, mode: int = FILE_MODE) -> None:
    """Take the rights of others away, if the file exists and belongs to this user."""
    with suppress(FileNotFoundError):
        found = path.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & UMASK:
            path.chmod(mode)

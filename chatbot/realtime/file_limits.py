"""Division of a process's file descriptors among WebSockets, waiting connections and everything else."""

from __future__ import annotations

import resource

from config import Settings

MAX_FILES = 65_536
RESERVED_FILES = 200  # database, Redis, open files, and connections that are being served


def count_waiting_connections(settings: Settings) -> int:
    """Return how many connections may wait for the rest of a request: at most a quarter of all files."""
    return min(settings.max_waiting_connections, raise_file_limit() // 4)


def count_possible_sockets(settings: Settings, max_sockets: int) -> int:
    """Return how many WebSockets leave file descriptors for everything else."""
    free = raise_file_limit() - count_waiting_connections(settings) - RESERVED_FILES
    return max(0, min(max_sockets, free))


def raise_file_limit() -> int:
    """Raise the soft limit of open files as far as the hard one allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted

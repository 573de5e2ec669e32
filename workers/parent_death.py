"""What ties a child to its parent, so that nothing outlives whoever should look after it."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(by: int = signal.SIGTERM) -> None:
    """In a child after its fork: the kernel sends it `by` when its parent ends, even by kill -9.

    Linux only; elsewhere the supervisor's own signals must do.
    """
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, by)
    except AttributeError:
        return

"""Child processes that end with their parent, so that none is left without a supervisor."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(by: int = signal.SIGTERM) -> None:
    """Let the kernel send the signal `by` to this process when its parent ends, even by kill -9.

    Call it in a child after the fork. Linux only; elsewhere only the supervisor's signals end it.
    """
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, by)
    except AttributeError:
        return

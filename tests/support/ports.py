from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable

from tests.support.scale import is_full_scale


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], seconds: float = 15, every: float = 0.05) -> object:
    """Wait for a true value of `condition` and return it; fail after `seconds`.

    On a busy machine everything takes longer, so `make test` waits for 30 seconds at least.
    """
    if not is_full_scale():
        seconds = max(seconds, 30)
    until = time.monotonic() + seconds
    value = condition()
    while not value and time.monotonic() < until:
        time.sleep(every)
        value = condition()
    code = getattr(condition, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else condition
    assert value, f"not within {seconds} s: {where}; at last {value!r}"
    return value


def is_responding(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False

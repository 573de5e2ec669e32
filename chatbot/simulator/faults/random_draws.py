"""Pseudo-random numbers of a message, derived from seed, recipient and attempt.

One digest per message replaces a stream of random numbers, so that a run is repeatable even if
its requests arrive in another order.
"""

import hashlib
import struct
from typing import NamedTuple

_UNITS = struct.Struct(">16I")
_SCALE = 1 / (1 << 32)


class RandomDraws(NamedTuple):
    """Random numbers in [0, 1), one for each decision."""

    fault: float
    refused: float
    failed: float
    sent: float
    delivered: float
    read: float
    skips_delivered: float
    is_read: float
    is_shuffled: float
    latency: float
    duplicate_sent: float
    duplicate_delivered: float
    duplicate_read: float
    repeat_after: float
    held: float
    variant: float


NO_DRAWS = RandomDraws._make([0.0] * len(RandomDraws._fields))  # for requests refused early


def draw_numbers(seed: int, recipient: str, attempt: int) -> RandomDraws:
    digest = hashlib.blake2b(f"{seed}:{recipient}:{attempt}".encode()).digest()
    return RandomDraws._make([unit * _SCALE for unit in _UNITS.unpack(digest)])

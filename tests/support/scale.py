"""Scale of the tests: small in `make test`, full in `make test-all` (PROSA_TEST_SCALE=full)."""

from __future__ import annotations

import os


def is_full_scale() -> bool:
    return os.environ.get("PROSA_TEST_SCALE") == "full"


def scaled(small: int, full: int) -> int:
    """Return how many of something a test uses."""
    return full if is_full_scale() else small

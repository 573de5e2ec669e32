"""A worker whose parser ends the process at the bodies that contain POISON: `-m` this QUEUE."""

from __future__ import annotations

import os
import sys
from datetime import datetime

from chatbot.webhooks import bodies, splitter
from chatbot.webhooks.parsing.payloads import ParsedBody, parse_body
from workers.run import main

POISON = b"veneno"


def _parse(raw: bytes, received_at: datetime) -> ParsedBody:
    if POISON in raw:
        os._exit(9)
    return parse_body(raw, received_at)


if __name__ == "__main__":
    splitter.parse_body = _parse
    bodies.LEASE_S = 0.2
    sys.exit(main(sys.argv[1:]))

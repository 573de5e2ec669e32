"""Logging to standard error, one line per event, without secrets and full personal numbers."""

from __future__ import annotations

import logging
import re
import sys

from config import Settings

# A phone, CPF, token or wamid: only its first and last digits are kept.
_LONG_NUMBER = re.compile(r"\b(\d{2})\d{6,}(\d{2})\b")
_SECRET = re.compile(r"(?i)(bearer |token=|secret=|password=)[^\s&\"']+")


class RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def redact(text: str) -> str:
    """Hide long runs of digits and credentials, which must not be logged."""
    return _SECRET.sub(r"\1***", _LONG_NUMBER.sub(r"\1***\2", text))


def configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("rq.worker", "rq.queue", "alembic", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

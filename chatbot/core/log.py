"""Logging to standard error, one line per event, without secrets and personal data.

Patterns can't find a name or the text of a message, so these must not reach a log call at all: requests are
logged by their URL rule, and database errors hide values (`core/db/error_text.py`).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from urllib.parse import unquote, urlsplit

from flask import request

from config import Settings

MIN_SECRET_LENGTH = 8  # a shorter one would be replaced inside ordinary words
_PATTERNS = (
    # After the word that announces it, and in the path of a one-time link.
    (re.compile(r"(?i)(bearer |token=|secret=|password=|/welcome/(?!<))[^\s&\"'?]+"), r"\1***"),
    (re.compile(r"\$argon2\w+\$[^\s\"')]+"), "***"),
    # Tokens, wamids and keys: long, with digits and capitals, or hexadecimal.
    (re.compile(r"(?<![\w+-])(?=[\w+-]*\d)(?=[\w+-]*[A-Z])[\w+-]{24,}=*"), "***"),
    (re.compile(r"\b[0-9a-f]{32,}\b"), "***"),
    (re.compile(r"\b([\w.+-])[\w.+-]*@((?:[\w-]+\.)+\w+)"), r"\1***@\2"),
    # CPF, CNPJ and phones as people write them, then runs of digits: only first and last digits are kept.
    (re.compile(r"\b(\d\d)\d?\.\d{3}\.\d{3}(?:/\d{4})?-(\d\d)\b"), r"\1***\2"),
    (re.compile(r"\(?\b(\d\d)\)? ?\d{4,5}-\d\d(\d\d)\b"), r"\1***\2"),
    (re.compile(r"(?<!\d)(\d{2})\d{6,}(\d{2})(?!\d)"), r"\1***\2"),
)


class RedactingFormatter(logging.Formatter):
    """Formatter that hides `secrets` and whatever looks like one, also in tracebacks."""

    def __init__(self, fmt: str, datefmt: str | None = None, secrets: Sequence[str] = ()) -> None:
        super().__init__(fmt, datefmt)
        self._secrets = [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact(text)


def list_secrets(settings: Settings) -> list[str]:
    """Return all secret values of the settings, of an address of a database or Redis the password."""
    values = [getattr(settings, field.name) for field in fields(settings) if not field.repr]
    texts = [text for value in values for text in (value if isinstance(value, tuple) else [value])]
    return [secret for text in texts if (secret := _find_secret_part(text or ""))]


def _find_secret_part(text: str) -> str:
    is_address = re.match(r"(postgresql|sqlite|rediss?|unix)\b[\w+]*:", text)
    return unquote(urlsplit(text).password or "") if is_address else text


def redact(text: str) -> str:
    """Hide credentials, and digits and addresses of people."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def get_route() -> str:
    """Return the URL rule of the request: its path may hold a token, and there are too many paths."""
    return request.url_rule.rule if request.url_rule else "(none)"


def configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        RedactingFormatter("%(levelname)s %(name)s: %(message)s", secrets=list_secrets(settings))
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("rq.worker", "rq.queue", "alembic", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

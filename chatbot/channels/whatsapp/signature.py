"""Signature of Meta's webhooks: HMAC-SHA256 of the raw body with the app's secret."""

from __future__ import annotations

import hashlib
import hmac

_PREFIX = "sha256="


def is_signed(raw: bytes, header: str | None, *secrets: str) -> bool:
    """Verify `X-Hub-Signature-256` in constant time against each secret; an empty secret never matches.

    Two secrets are valid while the app's secret is being changed.
    """
    if header is None or not header.startswith(_PREFIX):
        return False
    given = header[len(_PREFIX) :].encode()
    fits = [hmac.compare_digest(_digest(raw, secret), given) for secret in secrets if secret]
    return any(fits)


def _digest(raw: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest().encode()

"""Meta's proof that a webhook is hers: HMAC-SHA256 of the raw body under the app's secret."""

from __future__ import annotations

import hashlib
import hmac

_PREFIX = "sha256="


def is_signed(raw: bytes, header: str | None, *secrets: str) -> bool:
    """Whether `X-Hub-Signature-256` fits these very bytes under one of the secrets: during a change two
    hold. Compared in constant time; an empty secret signs nothing."""
    if header is None or not header.startswith(_PREFIX):
        return False
    given = header[len(_PREFIX) :].encode()
    fits = [hmac.compare_digest(_digest(raw, secret), given) for secret in secrets if secret]
    return any(fits)


def _digest(raw: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest().encode()

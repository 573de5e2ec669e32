"""Headers of rate-limited answers. The rates and the limiter's storage are in `core/limits.py`."""

from __future__ import annotations

from flask import Flask, Response
from limits import parse

from chatbot.core.limits import READ_RATE, get_rate_window
from chatbot.extensions import limiter


def init_rates(app: Flask) -> None:
    app.after_request(_add_rate_headers)


def _add_rate_headers(response: Response) -> Response:
    """Add the fields of draft-ietf-httpapi-ratelimit-headers.

    Both those of the newest version and the three of older ones, which more clients know. Flask-Limiter's own
    headers would cost another round trip to Redis.
    """
    window, limit = get_rate_window(), limiter.current_limit
    if window is None or limit is None:
        return response
    amount, expiry = limit.limit.amount, limit.limit.get_expiry()
    remaining = max(0, amount - window.count)
    response.headers["RateLimit-Policy"] = f'"default";q={amount};w={expiry}'
    response.headers["RateLimit"] = f'"default";r={remaining};t={window.resets_in_s}'
    response.headers["RateLimit-Limit"] = str(amount)
    response.headers["RateLimit-Remaining"] = str(remaining)
    response.headers["RateLimit-Reset"] = str(window.resets_in_s)
    return response


def get_retry_after_s() -> int:
    """Return the seconds until the current window ends."""
    window = get_rate_window()
    return max(1, window.resets_in_s) if window else parse(READ_RATE).get_expiry()

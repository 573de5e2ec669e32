"""Rate limits of requests: one table by endpoint, with defaults for reads and writes.

Each request is counted once, for its user or else for its address. Requests of machines are not counted:
Meta would only retry, and monitoring must work under load.
"""

from __future__ import annotations

from flask import Flask, Response, current_app, request, session
from flask_limiter import Limiter
from limits import RateLimitItem, parse

from chatbot.core.limits import ResilientRedisStorage, address_key, get_rate_window
from chatbot.core.redis import key
from chatbot.core.sessions import STATELESS_PATHS, USER_KEY
from config import Settings

READ_RATE = "600 per minute"
WRITE_RATE = "120 per minute"
# Failed sign-ins have an exact limit in SQL; this one protects it from floods.
ENDPOINT_RATES = {
    "accounts.sign_in": "60 per minute",
    "accounts.welcome": "60 per minute",
    "account.change_password": "30 per minute",
    "contact_imports.new": "30 per minute",
}


def get_request_rate() -> str:
    """Return the limit of this request; reads may be more frequent than writes."""
    if request.endpoint in ENDPOINT_RATES:
        return ENDPOINT_RATES[request.endpoint]
    return READ_RATE if request.method in ("GET", "HEAD", "OPTIONS") else WRITE_RATE


def is_exempt() -> bool:
    return request.path.startswith(STATELESS_PATHS)


def rate_limit_key() -> str:
    """Return the user of the session, else the address, as trusted proxies report it (`init_access`)."""
    user_key = str(session.get(USER_KEY, ""))
    return f"user:{user_key.partition(':')[0]}" if user_key else address_key(request.remote_addr)


def init_rates(app: Flask, settings: Settings) -> None:
    """Create the limiter of this application; a global one would keep the last application's storage."""
    limiter = Limiter(
        rate_limit_key,
        app=app,
        storage_uri=f"{ResilientRedisStorage.STORAGE_SCHEME[0]}://",
        storage_options={
            "connection_pool": app.extensions["prosa_redis"].pool,
            "key_prefix": key("limit", "fixed"),
            "processes": settings.web_workers,
        },
        strategy="fixed-window",
        default_limits=[get_request_rate],
        default_limits_per_method=True,
        default_limits_exempt_when=is_exempt,
    )
    # Count before the CSRF check, so that floods of invalid forms are limited too.
    checks = app.before_request_funcs[None]
    checks.insert(1, checks.pop())
    app.extensions["prosa_limiter"] = limiter
    app.after_request(_add_rate_headers)


def _get_request_limit() -> RateLimitItem | None:
    limit = current_app.extensions["prosa_limiter"].current_limit
    return limit.limit if limit else None


def _add_rate_headers(response: Response) -> Response:
    """Add the fields of draft-ietf-httpapi-ratelimit-headers.

    Both those of the newest version and the three of older ones, which more clients know.
    """
    window, limit = get_rate_window(), _get_request_limit()
    if window is None or limit is None:
        return response
    remaining = max(0, limit.amount - window.count)
    response.headers["RateLimit-Policy"] = f'"default";q={limit.amount};w={limit.get_expiry()}'
    response.headers["RateLimit"] = f'"default";r={remaining};t={window.resets_in_s}'
    response.headers["RateLimit-Limit"] = str(limit.amount)
    response.headers["RateLimit-Remaining"] = str(remaining)
    response.headers["RateLimit-Reset"] = str(window.resets_in_s)
    return response


def get_retry_after_s() -> int:
    """Return the seconds until the current window ends."""
    window = get_rate_window()
    return max(1, window.resets_in_s) if window else parse(READ_RATE).get_expiry()

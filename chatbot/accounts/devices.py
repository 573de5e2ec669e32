"""Cookie by which a browser proves that a user has signed in on it before; it signs nobody in."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Response, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer

from chatbot.accounts.models import User
from chatbot.accounts.sign_in_limits import KNOWN_FOR

COOKIE = "prosa_device"
MAX_USERS = 20  # who sign in on one shared browser
MAX_AGE_S = int(KNOWN_FOR.total_seconds())


def get_known_device(user: User | None) -> str | None:
    """Return the id of the request's device if `user` has signed in on it, else None."""
    device, user_ids = _read()
    return device if user is not None and user.id in user_ids else None


def remember_device(response: Response, user: User) -> Response:
    """Add the user to the device's cookie, which lasts longer than a session."""
    device, user_ids = _read()
    kept = [user.id, *(known for known in user_ids if known != user.id)][:MAX_USERS]
    response.set_cookie(
        COOKIE,
        str(_serializer().dumps([device or secrets.token_urlsafe(16), kept])),
        max_age=MAX_AGE_S,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )
    return response


def _read() -> tuple[str | None, list[int]]:
    try:
        found: Any = _serializer().loads(request.cookies.get(COOKIE, ""), max_age=MAX_AGE_S)
        device, user_ids = found
        return str(device), [int(user_id) for user_id in user_ids]
    except (BadData, TypeError, ValueError):
        return None, []


def _serializer() -> URLSafeTimedSerializer:
    keys = [*reversed(current_app.config["SECRET_KEY_FALLBACKS"]), current_app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt="prosa device")

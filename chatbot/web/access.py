"""Access policies: one per blueprint, given where it is registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.middleware.proxy_fix import ProxyFix

from chatbot.core.db import mark_request_read_only, mark_request_writable
from chatbot.extensions import csrf, login_manager
from config import Settings

Policy = Callable[[], ResponseReturnValue | None]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def PUBLIC() -> None:
    """Allow everyone."""


def SIGNED_BY_META() -> None:
    """Allow everyone: the route checks the signature of the body. No form, so no CSRF token."""


@dataclass(frozen=True, slots=True)
class RoleAtLeast:
    """Allow signed-in users who have this role or a higher one."""

    role: str

    def __call__(self) -> ResponseReturnValue | None:
        if not current_user.is_authenticated:
            if request.method == "GET" and request.accept_mimetypes.best != "application/json":
                return redirect(url_for("accounts.sign_in", next=request.full_path.rstrip("?")))
            abort(401)
        if not self.allows(current_user):
            abort(403)
        return None

    def allows(self, user: Any) -> bool:
        roles: Sequence[str] = current_app.extensions["prosa_roles"]
        return bool(user.is_authenticated) and roles.index(user.role) >= roles.index(self.role)


AGENT = RoleAtLeast("agent")
MANAGER = RoleAtLeast("manager")
ADMIN = RoleAtLeast("admin")


def get_policies(app: Flask) -> dict[str, Policy]:
    """Return the policies by name of blueprint."""
    found: dict[str, Policy] = app.extensions.setdefault("prosa_policies", {})
    return found


def may_access(blueprint: str) -> bool:
    """Return whether the current user may use a blueprint; pages offer no links to others."""
    policy = get_policies(current_app).get(blueprint)
    return policy.allows(current_user) if isinstance(policy, RoleAtLeast) else True


def register_blueprint(app: Flask, blueprint: Blueprint, policy: Policy) -> None:
    app.register_blueprint(blueprint)
    get_policies(app)[blueprint.name] = policy
    app.before_request_funcs.setdefault(blueprint.name, []).append(policy)
    if policy is SIGNED_BY_META:
        csrf.exempt(blueprint)


def init_access(
    app: Flask, settings: Settings, *, roles: Sequence[str], load_user: Callable[[str], Any]
) -> None:
    """Install the access checks.

    `roles` are ordered from the lowest to the highest; `load_user` is Flask-Login's user loader.
    """
    app.extensions["prosa_roles"] = roles
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    # First of all handlers, so that even the read of the session knows its transaction mode.
    app.before_request_funcs.setdefault(None, []).insert(0, _set_transaction_mode)
    login_manager.user_loader(load_user)
    app.after_request(_add_security_headers)


def _set_transaction_mode() -> None:
    if request.method in SAFE_METHODS:
        mark_request_read_only()
    else:
        arrived_at = request.environ.get("prosa.arrived_at")  # set by the asgi worker's bridge
        mark_request_writable(time.monotonic() - arrived_at if arrived_at else 0.0)


def _add_security_headers(response: Response) -> Response:
    """Add headers that forbid inline scripts and styles, other origins and framing."""
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if not request.path.startswith(("/static/", "/bootstrap/")):
        # The back button must not show a signed-out user's pages to the next person.
        response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response

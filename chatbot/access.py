"""Who may enter where: one policy per blueprint, given where it is registered."""

from __future__ import annotations

from collections.abc import Callable
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
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.middleware.proxy_fix import ProxyFix

from chatbot.accounts.models import Role
from chatbot.accounts.signed_in import SignedIn, signed_in
from chatbot.core.cache import settle_answers
from chatbot.core.cache_store import keys_of
from chatbot.core.db import read_only_request, writable_request
from chatbot.core.session import companions_of, copy_id_of
from chatbot.extensions import csrf, login_manager
from config import Settings

Policy = Callable[[], ResponseReturnValue | None]

_RANK = {Role.AGENT: 1, Role.MANAGER: 2, Role.ADMIN: 3}
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def PUBLIC() -> None:
    """Anybody."""


def SIGNED_BY_META() -> None:
    """Anybody may knock; the route checks the signature of the body. No form, so no CSRF token."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Whoever is signed in and has this role or a higher one."""

    role: Role

    def __call__(self) -> ResponseReturnValue | None:
        if not current_user.is_authenticated:
            if request.method == "GET" and request.accept_mimetypes.best != "application/json":
                return redirect(url_for("accounts.sign_in", next=request.full_path.rstrip("?")))
            abort(401)
        if not self.admits(current_user):
            abort(403)
        return None

    def admits(self, user: Any) -> bool:
        return bool(user.is_authenticated) and _RANK[Role(user.role)] >= _RANK[self.role]


AGENT = AtLeast(Role.AGENT)
MANAGER = AtLeast(Role.MANAGER)
ADMIN = AtLeast(Role.ADMIN)


def policies(app: Flask) -> dict[str, Policy]:
    """The policy of each blueprint, by its name."""
    found: dict[str, Policy] = app.extensions.setdefault("prosa_policies", {})
    return found


def may_enter(blueprint: str) -> bool:
    """Whether the present user may use a blueprint: what he may not is not offered to him."""
    policy = policies(current_app).get(blueprint)
    return policy.admits(current_user) if isinstance(policy, AtLeast) else True


def register(app: Flask, blueprint: Blueprint, policy: Policy) -> None:
    app.register_blueprint(blueprint)
    policies(app)[blueprint.name] = policy
    app.before_request_funcs.setdefault(blueprint.name, []).append(policy)
    if policy is SIGNED_BY_META:
        csrf.exempt(blueprint)


def init_access(app: Flask, settings: Settings) -> None:
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    # Runs before everything else, so that even the sign-in's session look-up knows its mode.
    app.before_request_funcs.setdefault(None, []).insert(0, _begin_request)
    login_manager.user_loader(_load_signed_in)
    sessions: Any = app.session_interface
    sessions.companions = _with_session
    app.after_request(_add_headers)


def _load_signed_in(user_key: str) -> SignedIn | None:
    """Read with the session itself, in one round trip and without SQL while nothing has changed."""
    copy_id = copy_id_of(session)
    found = settle_answers(signed_in(user_key, copy_id), companions_of(session))
    return found if found is not None and found.get_id() == user_key else None


def _with_session(copy_id: str) -> list[str]:
    return keys_of([signed_in("", copy_id).slot])


def _begin_request() -> None:
    if request.method in READING:
        read_only_request()
    else:
        writable_request()


def _add_headers(response: Response) -> Response:
    """No inline script or style, nothing from elsewhere, no framing."""
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if not request.path.startswith(("/static/", "/bootstrap/")):
        # The back button must not show to the next person what the last one had signed in to see.
        response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response

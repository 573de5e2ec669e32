"""Flask extensions, unbound, and `init_extensions`, which gives them all the same Redis pool."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path

import redis
import sqlalchemy as sa
from flask import Flask, current_app, request
from flask_alembic import Alembic
from flask_babel import Babel
from flask_bootstrap import Bootstrap5
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_wtf import CSRFProtect

from chatbot.core import after_commit, live_events, metrics
from chatbot.core.cache import invalidation, store
from chatbot.core.cache.extension import TaggedCache
from chatbot.core.db import Base, configure_engine, db
from chatbot.core.db.pool import postgresql_options
from chatbot.core.db.sqlite import SQLiteConnection
from chatbot.core.limits import (
    ResilientStorage,
    get_default_rate,
    init_rate_limits,
    is_machine_request,
    rate_limit_key,
)
from chatbot.core.redis import BreakerPool, RedisState, create_pool
from chatbot.core.sessions import ResilientSession, delete_stale_sessions
from config import ROOT, Settings
from private_files import tighten

alembic = Alembic(metadatas=Base.metadata, run_mkdir=False)
babel = Babel()
bootstrap = Bootstrap5()
cache = TaggedCache()
csrf = CSRFProtect()
limiter = Limiter(
    rate_limit_key,
    default_limits=[get_default_rate],
    default_limits_per_method=True,
    default_limits_exempt_when=is_machine_request,
)
login_manager = LoginManager()
sessions = ResilientSession()

LOCALES = ("pt_BR", "en")


def get_settings(app: Flask) -> Settings:
    """Return the settings as they are now: the environment's, and over them what the company changed."""
    found: Settings = app.extensions["prosa_current_settings"]()
    return found


def init_extensions(
    app: Flask, settings: Settings, *, list_prefetched_keys: Callable[[str], list[str]]
) -> None:
    """Bind every extension to the application, all on one Redis pool.

    `list_prefetched_keys` returns the keys that are read together with a session, given its copy id.
    """
    app.extensions["prosa_settings"] = settings
    app.extensions["prosa_current_settings"] = lambda: app.extensions["prosa_settings"]
    _init_database(app)
    client = _init_redis(app, settings)
    cache.init_app(app)
    sessions.init_app(app, client, list_prefetched_keys)
    # Before the CSRF check, so that floods of invalid forms are limited too.
    init_rate_limits(app, client, settings.web_workers)
    limiter.init_app(app)
    csrf.init_app(app)
    login_manager.init_app(app)
    bootstrap.init_app(app)
    babel.init_app(app, locale_selector=_select_locale)
    _init_metrics(app)
    _reset_redis_data_on_recovery(app)


def _init_database(app: Flask) -> None:
    db.init_app(app)
    # Remove the teardown of asynchronous sessions: we have none, and each request would start a thread
    # for it, a fifth of the cost of a webhook request.
    teardown_funcs = app.teardown_appcontext_funcs
    teardown_funcs[:] = [
        teardown for teardown in teardown_funcs if not iscoroutinefunction(teardown)
    ]
    alembic.init_app(app)
    with app.app_context():
        configure_engine(db.engine)
        after_commit.init_after_commit(db.sessionmaker)
        invalidation.init_invalidation(db.sessionmaker, db.engine)


def _init_redis(app: Flask, settings: Settings) -> redis.Redis:
    pool = create_pool(settings.redis_url, max_connections=settings.redis_connections)
    client = redis.Redis(connection_pool=pool)
    app.extensions["prosa_redis"] = RedisState(settings.redis_url, pool, client)
    return client


def _init_metrics(app: Flask) -> None:
    pool: BreakerPool = app.extensions["prosa_redis"].pool

    def gauges() -> dict[str, float]:
        (_idle, _), (in_use, _) = pool.get_connection_count()
        return {
            "breaker_open": int(pool.breaker.is_open),
            "pool_in_use": in_use,
            "pool_size": pool.max_connections,
        }

    def totals() -> dict[str, float]:
        breaker = pool.breaker
        return {
            "redis_trips": breaker.trips,
            "redis_commands": breaker.commands,
            "redis_timeouts": breaker.timeouts,
        }

    with app.app_context():
        metrics.init_metrics(app, metrics.Metrics(db.engine, gauges, totals))


def _reset_redis_data_on_recovery(app: Flask) -> None:
    with app.app_context():
        engine: sa.Engine = db.engine
    breaker = app.extensions["prosa_redis"].pool.breaker
    breaker.on_recovery += [
        store.start_cache_epoch,
        lambda client: delete_stale_sessions(
            engine, client, breaker.opened_at, app.permanent_session_lifetime
        ),
        live_events.start_live_epoch,
    ]


def _select_locale() -> str:
    """Return the reader's language: their choice, else the browser's, else the setting."""
    default = get_settings(current_app).locale
    if not request:
        return default
    chosen = request.cookies.get("locale")
    if chosen in LOCALES:
        return str(chosen)
    # Any Portuguese counts as pt_BR; a browser that asks for neither language gets the setting.
    wanted = (language.partition("-")[0].lower() for language in request.accept_languages.values())
    known = {locale.partition("_")[0]: locale for locale in LOCALES}
    return next((known[language] for language in wanted if language in known), default)


def flask_config(settings: Settings) -> dict[str, object]:
    """Return our settings under the names that Flask and its extensions use."""
    return {
        "SECRET_KEY": settings.secret_key,
        "SECRET_KEY_FALLBACKS": list(settings.secret_key_fallbacks),
        "SQLALCHEMY_ENGINES": {"default": _engine_options(settings)},
        "ALEMBIC": {"script_location": str(ROOT / "migrations")},
        "ALEMBIC_CONTEXT": {"render_as_batch": True, "compare_server_default": False},
        "CACHE_TYPE": "chatbot.core.cache.backend.SafeRedisCache",
        "CACHE_DEFAULT_TIMEOUT": 60,
        "SESSION_COOKIE_NAME": "prosa",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.is_production,
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": 14 * 86400,
        "RATELIMIT_STORAGE_URI": f"{ResilientStorage.STORAGE_SCHEME[0]}://",
        "RATELIMIT_STRATEGY": "fixed-window",
        "RATELIMIT_HEADERS_ENABLED": False,
        "WTF_CSRF_TIME_LIMIT": None,  # a form stays valid as long as the session
        "MAX_CONTENT_LENGTH": 20 * 1024 * 1024,
        "BOOTSTRAP_SERVE_LOCAL": True,
        "BABEL_DEFAULT_LOCALE": settings.locale,
        "BABEL_DEFAULT_TIMEZONE": settings.timezone,
        "BABEL_TRANSLATION_DIRECTORIES": str(Path("translations")),
    }


def _engine_options(settings: Settings) -> dict[str, object]:
    url = settings.database_url
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", "-wal", "-shm", "-journal"):
            tighten(Path(f"{path}{suffix}"))
        return {
            "url": url,
            "hide_parameters": True,
            "connect_args": {"factory": SQLiteConnection},
        }
    return {
        "url": url,
        "hide_parameters": True,  # errors are logged, and rows hold secrets and personal data
        **postgresql_options(
            connections=settings.database_connections,
            idle=settings.database_idle_connections,
            statement_timeout_s=settings.database_statement_timeout_s,
        ),
    }

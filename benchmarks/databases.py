"""Databases of the benchmarks: on a PostgreSQL server if one answers, else SQLite in `var/bench`.

`BENCH_DATABASE_URL` names another server; its user must be allowed to create databases.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.core.db import db
from chatbot.extensions import alembic
from tests.support.settings import make_settings

HOME = Path(__file__).parents[1] / "var" / "bench"
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
# Waiting for a shared disk would make the figures of one run incomparable.
DURABILITY = "ALTER DATABASE {} SET synchronous_commit = off"


def get_persistent_url(name: str) -> str:
    """Return the URL of a database that is kept after the run, so that its rows are created once."""
    return _on_server(name, is_fresh=False) or f"sqlite:///{_folder() / name}.db"


def create_empty_database(name: str) -> str:
    """Return the URL of an empty database; drop any of the same name."""
    for path in _folder().glob(f"{name}.db*"):
        path.unlink()
    return _on_server(name, is_fresh=True) or f"sqlite:///{_folder() / name}.db"


def _folder() -> Path:
    HOME.mkdir(parents=True, exist_ok=True)
    return HOME


def _on_server(name: str, *, is_fresh: bool) -> str | None:
    """Return the URL of the database on PostgreSQL, or None if no server answers."""
    url = sa.make_url(os.environ.get("BENCH_DATABASE_URL", SERVER))
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 3},
    )
    try:
        with engine.connect() as connection:
            if is_fresh:
                connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
            if not connection.scalar(known, {"name": name}):
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
                connection.execute(sa.text(DURABILITY.format(name)))
    except sa.exc.OperationalError:
        return None
    finally:
        engine.dispose()
    found = url.set(drivername="postgresql", database=name)
    return found.render_as_string(hide_password=False)


def get_backend_name(url: str) -> str:
    """Return the name of the database system, without the password of the URL."""
    return sa.make_url(url).get_backend_name()


@contextmanager
def app_on(url: str, redis_url: str | None, **changes: Any) -> Iterator[Flask]:
    """Yield an application in its context, on a migrated database."""
    home = Path(tempfile.mkdtemp(prefix="prosa-bench-"))
    app = create_app(make_settings(home, DATABASE_URL=url, REDIS_URL=redis_url, **changes))
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with app.app_context():
        alembic.upgrade()
        yield app
        db.session.rollback()
        app.extensions["prosa_metrics"].stop()
        db.engine.dispose()

"""Fixtures of all tests: a real database (also PostgreSQL with TEST_DATABASE_URL), a real Redis, and an
application on both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from chatbot import create_app
from chatbot.core import metrics
from chatbot.core.cache import stats
from chatbot.core.db import db, mark_request_writable
from chatbot.extensions import alembic
from tests.support.alert_receiver import AlertReceiver
from tests.support.browser import CHROMIUM
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings

# Without Chromium the tests that need it are skipped.
HAS_CHROMIUM = CHROMIUM is not None
TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL")
# Tests count statements, to which the flusher thread must not add; a test that needs it flushes itself.
metrics.FLUSH_EVERY_S = 3600.0
# With pytest-xdist each process has its own database.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
SHARED_SAMPLES = Path(__file__).parents[2] / "shared" / "samples"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if HAS_CHROMIUM:
        return
    skip = pytest.mark.skip(reason="no Chromium here (Debian: apt-get install chromium)")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    if server.is_running:
        server.thaw()
        server.kill()


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """Return the server, running and empty."""
    if not _redis_server.is_running:
        _redis_server.start()
    _redis_server.thaw()
    _redis_server.flush()
    return _redis_server


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a database by the real migrations once; it is copied for each test."""
    path = tmp_path_factory.mktemp("schema") / "schema.db"
    _migrate(f"sqlite:///{path}", path.parent)
    return path


@pytest.fixture(scope="session")
def _migrated_postgresql(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = _own_postgresql()
    engine = sa.create_engine(_with_driver(url))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
        name = connection.scalar(sa.text("SELECT current_database()"))
        # Test data need not survive a power cut.
        connection.execute(sa.text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    engine.dispose()
    _migrate(url, tmp_path_factory.mktemp("postgresql"))
    return url


def _own_postgresql() -> str:
    """Return the test database, or one of its own for this process of pytest-xdist."""
    assert TEST_DATABASE_URL is not None
    if WORKER is None:
        return TEST_DATABASE_URL
    server, _, name = TEST_DATABASE_URL.rpartition("/")
    own = f"{name}_{WORKER}"
    engine = sa.create_engine(_with_driver(TEST_DATABASE_URL), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {own} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {own}"))
    engine.dispose()
    return f"{server}/{own}"


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _migrate(url: str, home: Path) -> None:
    app = create_app(make_settings(home, DATABASE_URL=url))
    with app.app_context():
        alembic.upgrade()
        db.engine.dispose()  # SQLite puts its log into the file when the last connection closes


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    shutil.copy(_migrated_sqlite, tmp_path / "prosa.db")
    return f"sqlite:///{tmp_path / 'prosa.db'}"


@pytest.fixture
def postgresql_url(_migrated_postgresql: str) -> str:
    """Empty the shared test database.

    Rows are deleted and sequences restarted; TRUNCATE would create a new file for every table and index,
    which takes longer than most tests.
    """
    engine = sa.create_engine(_with_driver(_migrated_postgresql))
    with engine.begin() as connection:
        connection.execute(sa.text(_EMPTY_POSTGRESQL))
    engine.dispose()
    return _migrated_postgresql


_EMPTY_POSTGRESQL = """
DO $$ DECLARE name text; BEGIN
  SET LOCAL session_replication_role = replica;  -- no foreign keys, so any order of deletion works
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
                AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
  FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'
                AND last_value IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE %I RESTART', name);
  END LOOP;
END $$
"""


@pytest.fixture(params=["sqlite", *(["postgresql"] if TEST_DATABASE_URL else [])])
def database_url(request: pytest.FixtureRequest) -> str:
    """Run the test once per available database."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path, redis_server: RedisServer) -> Iterator[Flask]:
    """Create an application on SQLite and a real Redis."""
    yield from _running(sqlite_url, tmp_path, redis_server)


@pytest.fixture
def any_app(database_url: str, tmp_path: Path, redis_server: RedisServer) -> Iterator[Flask]:
    """Create an application on every available database."""
    yield from _running(database_url, tmp_path, redis_server)


@pytest.fixture
def richest_app(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer
) -> Iterator[Flask]:
    """Create an application on PostgreSQL if available, else on SQLite: for slow tests."""
    url = request.getfixturevalue("postgresql_url" if TEST_DATABASE_URL else "sqlite_url")
    yield from _running(url, tmp_path, redis_server)


def _running(url: str, home: Path, server: RedisServer) -> Iterator[Flask]:
    made = create_app(make_settings(home, DATABASE_URL=url, REDIS_URL=server.url))
    made.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    stats._counts.clear()  # of the last test
    mark_request_writable()  # a GET of the last test may have left the context read-only
    with made.app_context():
        yield made
        db.session.rollback()
        made.extensions["prosa_metrics"].stop()
        # A probe that outlives the test must not use the engine again when Redis is back.
        made.extensions["prosa_redis"].pool.breaker.on_recovery.clear()
        db.engine.dispose()
    made.extensions["prosa_redis"].pool.disconnect()


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    """Start a receiver of alerts."""
    found = AlertReceiver()
    yield found
    found.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()

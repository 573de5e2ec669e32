"""Fixtures of all tests: a real database (also PostgreSQL with TEST_DATABASE_URL), a real Redis, and an
application on both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from jinja2 import FileSystemBytecodeCache

from chatbot import create_app
from chatbot.accounts import passwords
from chatbot.company import service as company
from chatbot.core import metrics
from chatbot.core.db import db
from chatbot.extensions import alembic
from tests.support.alert_receiver import AlertReceiver
from tests.support.browser import CHROMIUM
from tests.support.redis_server import RedisServer
from tests.support.scale import is_full_scale
from tests.support.settings import make_settings
from tests.support.shared_app import SharedApp

# Without Chromium the tests that need it are skipped.
HAS_CHROMIUM = CHROMIUM is not None
TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL")
# A hash as in production takes a tenth of a second and 64 MiB, and every second test signs in.
PRODUCTION_HASHER = passwords._hasher
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
# Templates are compiled once for all applications.
Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
# Tests count statements, to which the flusher thread must not add; a test that needs it flushes itself.
metrics.FLUSH_EVERY_S = 3600.0
# Nor may the settings be read again in the middle of a count; tests of settings set a time of their own.
company.REFRESH_S = float("inf")
FLOW_TIMEOUT_S = 300  # processes start, and some are killed, beside other tests on two cores
# With pytest-xdist each process has its own database.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_full_scale():
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    for item in items:
        if item.get_closest_marker("flow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FLOW_TIMEOUT_S))
    # Flows wait a lot: begun first, they run beside the other workers' short tests.
    items.sort(key=lambda item: item.get_closest_marker("flow") is None)
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


@pytest.fixture(scope="session")
def _sqlite_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqlite") / "prosa.db"


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, _sqlite_path: Path) -> str:
    """An empty database, always at the same address: the shared application keeps it."""
    shutil.rmtree(_sqlite_path.parent)
    _sqlite_path.parent.mkdir()
    shutil.copy(_migrated_sqlite, _sqlite_path)
    return f"sqlite:///{_sqlite_path}"


@pytest.fixture(scope="session")
def _postgresql_connection(_migrated_postgresql: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(_with_driver(_migrated_postgresql), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def postgresql_url(_migrated_postgresql: str, _postgresql_connection: sa.Connection) -> str:
    """Return the test database, emptied.

    Rows are deleted and sequences set back, since TRUNCATE makes a new file of every table and index,
    which takes longer than most tests.
    """
    _postgresql_connection.execute(sa.text(_EMPTY_POSTGRESQL))
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


@pytest.fixture(scope="session")
def _shared_apps() -> dict[str, SharedApp]:
    return {}


@pytest.fixture
def _run_app(
    _shared_apps: dict[str, SharedApp],
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> Callable[[str], Iterator[Flask]]:
    def run(database_url: str) -> Iterator[Flask]:
        if database_url not in _shared_apps:
            home = tmp_path_factory.mktemp("app")
            _shared_apps[database_url] = SharedApp(home, database_url, redis_server.url)
        yield from _shared_apps[database_url].run()

    return run


AppRunner = Callable[[str], Iterator[Flask]]


@pytest.fixture
def app(sqlite_url: str, _run_app: AppRunner) -> Iterator[Flask]:
    """An application on SQLite and a real Redis. It is shared: tests may change its settings, extensions
    and view functions, and whatever is in its stores, but not add routes."""
    yield from _run_app(sqlite_url)


@pytest.fixture
def fresh_app(sqlite_url: str, tmp_path: Path, redis_server: RedisServer) -> Iterator[Flask]:
    """Return an application of this test alone, for tests that add routes."""
    yield from SharedApp(tmp_path, sqlite_url, redis_server.url).run()


@pytest.fixture
def any_app(database_url: str, _run_app: AppRunner) -> Iterator[Flask]:
    """Return an application on each database there is, for dialect SQL, locks and isolation."""
    yield from _run_app(database_url)


@pytest.fixture
def richest_app(request: pytest.FixtureRequest, _run_app: AppRunner) -> Iterator[Flask]:
    """On PostgreSQL where there is one, else on SQLite: for what is too long to run on both."""
    yield from _run_app(
        request.getfixturevalue("postgresql_url" if TEST_DATABASE_URL else "sqlite_url")
    )


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

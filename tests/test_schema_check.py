"""Commands and processes on a database without our schema end with one sentence and exit code 1."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.fork_server import run_module
from tests.support.settings import environment


def run(home: Path, url: str, *arguments: str) -> tuple[int, str]:
    settings = environment(home, DATABASE_URL=url, REDIS_ENABLED="false")
    env = {"PATH": os.environ["PATH"], **settings}
    code, _, errors = run_module(*arguments, environment=env)
    return code, errors.strip()


def with_version(schema: Path, path: Path, version: str) -> str:
    shutil.copy(schema, path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def databases(_migrated_sqlite: Path, tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Return addresses of databases that are not ours, each with what the sentence must say."""
    old = with_version(_migrated_sqlite, tmp_path / "old.db", "0012")
    return {
        "empty": (f"sqlite:///{tmp_path / 'empty.db'}", "run `flask db upgrade`"),
        "old": (old, "of version 0012, which this Prosa does not know"),
        "away": ("postgresql://nobody@127.0.0.1:1/prosa", "can't be reached"),
    }


@pytest.mark.parametrize("state", ["empty", "old", "away"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("flask", "contacts", "forget", "1"),
        ("workers.run", "campaigns"),
        ("workers.scheduler",),
        ("gunicorn", "-k", "asgi", "wsgi:asgi"),
    ],
    ids=" ".join,
)
def test_each_says_the_fix(
    tmp_path: Path,
    databases: dict[str, tuple[str, str]],
    state: str,
    arguments: tuple[str, ...],
) -> None:
    url, sentence = databases[state]
    code, said = run(tmp_path, url, *arguments)
    assert code == 1
    assert sentence in said
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "[INFO]" not in line]
    assert len(lines) == 1, said


def test_an_upgrade_of_an_unknown_version_says_what_to_do(
    tmp_path: Path, databases: dict[str, tuple[str, str]]
) -> None:
    code, said = run(tmp_path, databases["old"][0], "flask", "db", "upgrade")
    assert (code, "move the database away" in said, "Traceback" in said) == (1, True, False)
    code, said = run(tmp_path, databases["away"][0], "flask", "db", "upgrade")
    assert (code, "can't be reached" in said, "Traceback" in said) == (1, True, False)


def test_commands_that_need_no_schema_run_without_one(
    tmp_path: Path, databases: dict[str, tuple[str, str]]
) -> None:
    code, _ = run(tmp_path, databases["empty"][0], "flask", "prosa", "version")
    assert code == 0

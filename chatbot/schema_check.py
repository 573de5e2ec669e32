"""Refuse to start on a database that has another schema than this code, with one sentence that says the fix.

Checked once, when a process or a `flask` command starts: a process that runs already survives an outage.
"""

from __future__ import annotations

import sys

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from chatbot.core.db import db, read_only
from chatbot.extensions import alembic

UPGRADE = "run `flask db upgrade`."
UNREACHABLE = (
    "The database can't be reached ({reason}): check DATABASE_URL, and that the server runs "
    "and lets us in."
)
EMPTY = "The database has no tables of Prosa yet: " + UPGRADE
OUTDATED = "The database is of version {found}, and this Prosa needs {needed}: " + UPGRADE
UNKNOWN = (
    "The database is of version {found}, which this Prosa does not know: a newer Prosa made it, or one "
    "from before the first release. Start that Prosa, or move the database away (with `make run`, the "
    "folder var/) and run `flask db upgrade` for an empty one."
)


def find_schema_problem() -> str | None:
    """Return a sentence that says what is wrong with the database and the fix, or None."""
    needed = {script.revision for script in alembic.heads()}
    try:
        with read_only(), db.engine.connect() as connection:
            found = _read_versions(connection)
    except DBAPIError as error:
        return UNREACHABLE.format(reason=_first_line(error))
    if not found:
        return EMPTY
    if found == needed:
        return None
    text = UNKNOWN if found - _known_versions() else OUTDATED
    return text.format(found=", ".join(sorted(found)), needed=", ".join(sorted(needed)))


def _read_versions(connection: sa.Connection) -> set[str]:
    if not sa.inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))


def _known_versions() -> set[str]:
    return {script.revision for script in alembic.script_directory.walk_revisions()}


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def exit_without_schema(app: Flask) -> None:
    """End the process with exit code 1 unless the database has our schema."""
    with app.app_context():
        problem = find_schema_problem()
        db.engine.dispose()  # what was opened before gunicorn forks must not be shared
    if problem:
        print(f"Prosa can't start: {problem}", file=sys.stderr)
        raise SystemExit(1)

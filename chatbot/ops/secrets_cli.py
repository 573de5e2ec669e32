"""Commands of `flask secrets`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from chatbot.core import secrets
from chatbot.core.db import db

cli = AppGroup("secrets", help="Secrets that the database holds encrypted.")


@cli.command("rotate")
def rotate() -> None:
    """Encrypt all stored secrets again with SECRET_KEY; then SECRET_KEY_FALLBACKS may be emptied."""
    count = secrets.rotate(db.session.connection())
    db.session.commit()
    click.echo(f"Encrypted again with the present SECRET_KEY: {count} rows.")

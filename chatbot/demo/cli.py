"""Commands of `flask demo`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from chatbot.core.db import db
from chatbot.demo import data

cli = AppGroup("demo", help="Demo data.")


@cli.command("load")
def load() -> None:
    """Add a fictitious internet provider's customers, unless there are contacts already."""
    if data.is_loaded():
        click.echo("There are contacts already; nothing was added.")
        return
    count = data.load_demo_data()
    db.session.commit()
    click.echo(f"{count} demo customers added.")

"""Commands of `flask settings` and `flask prosa`."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from chatbot.company.service import change_settings, list_settings
from chatbot.core.db import db
from chatbot.core.errors import NotFound

cli = AppGroup(
    "settings", help="What the company may change: profile, sending hours, pace, language."
)

ACTOR = "flask settings"


prosa_cli = AppGroup("prosa", help="This installation.")


@prosa_cli.command("version")
def version() -> None:
    """Print the version."""
    click.echo(current_app.extensions["prosa_version"])


@cli.command("list")
def list_command() -> None:
    """Show every setting, its value, and who changed it."""
    for view in list_settings().values():
        source = f"  (changed by {view.changed_by})" if view.changed_by else ""
        click.echo(f"{view.name}={view.text}{source}")


@cli.command("get")
@click.argument("name")
def get(name: str) -> None:
    """Print the value of one setting."""
    view = list_settings().get(name.upper())
    if view is None:
        raise NotFound("There is no such setting: see `flask settings list`.", field=name)
    click.echo(view.text)


@cli.command("set")
@click.argument("name")
@click.argument("value")
def set_(name: str, value: str) -> None:
    """Change one setting; all processes use it within a few seconds."""
    changed = change_settings({name.upper(): value}, ACTOR)
    db.session.commit()
    click.echo(
        f"{name.upper()} is changed." if changed else f"{name.upper()} had this value already."
    )

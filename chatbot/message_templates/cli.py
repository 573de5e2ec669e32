"""`flask templates` commands."""

from __future__ import annotations

import click
import sqlalchemy as sa
from flask.cli import AppGroup

from chatbot.channels.service import get_default_channel
from chatbot.channels.whatsapp.client import GraphError
from chatbot.core.db import db
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import fetch_templates, store_templates

cli = AppGroup("templates", help="Message templates approved by Meta.")


@cli.command("sync")
def sync() -> None:
    """Fetch all message templates from Meta."""
    channel = get_default_channel()
    db.session.commit()
    try:
        payloads = fetch_templates(channel)
    except GraphError as error:
        raise click.ClickException(
            f"The templates could not be fetched: {error}. `flask channels check` finds the cause."
        ) from error
    count = store_templates(channel, payloads)
    db.session.commit()
    click.echo(f"{count} templates synced.")


@cli.command("list")
def list_templates() -> None:
    """Print the templates we know."""
    for row in db.session.scalars(sa.select(MessageTemplate).order_by(MessageTemplate.name)):
        click.echo(f"{row.name}\t{row.language}\t{row.category}\t{row.status}")

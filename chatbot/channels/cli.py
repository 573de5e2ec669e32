"""Commands `flask channels ...`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import BinaryIO

import click
from flask import current_app
from flask.cli import AppGroup

from chatbot.channels.checks import check_channel
from chatbot.channels.media.file_types import check_outbound_type
from chatbot.channels.service import get_default_channel, make_media_client, set_daily_limit
from chatbot.channels.whatsapp.client import GraphError, call_graph
from chatbot.channels.whatsapp.media import MediaError
from chatbot.core.db import db
from chatbot.extensions import get_settings

cli = AppGroup("channels", help="Our WhatsApp numbers.")


@cli.command("check")
def check() -> None:
    """Check token, number, account, webhook subscription and templates, and print what to fix."""
    is_ok = True
    for finding in check_channel(get_settings(current_app)):
        click.echo(f"{'ok  ' if finding.is_ok else 'FAIL'} {finding.subject}: {finding.detail}")
        if finding.fix:
            click.echo(f"     fix: {finding.fix}")
        is_ok = is_ok and finding.is_ok
    sys.exit(0 if is_ok else 1)


@cli.command("limit")
def limit() -> None:
    """Fetch from Meta how many people may be messaged per day. Later changes come by webhook."""
    settings, field = get_settings(current_app), "whatsapp_business_manager_messaging_limit"
    channel = get_default_channel()
    try:
        found = call_graph(
            settings.whatsapp_api_url,
            settings.whatsapp_token,
            channel.phone_number_id,
            params={"fields": field},
        )
    except GraphError as error:
        raise click.ClickException(f"Limit unknown: {error}") from error
    set_daily_limit(db.session.connection(), found.get(field))
    db.session.commit()
    db.session.refresh(channel)
    click.echo(str(channel.daily_limit or "no limit"))


@cli.command("subscribe")
def subscribe() -> None:
    """Subscribe our app to the account's webhooks."""
    settings = get_settings(current_app)
    path = f"{settings.whatsapp_business_account_id}/subscribed_apps"
    try:
        call_graph(settings.whatsapp_api_url, settings.whatsapp_token, path, method="POST")
    except GraphError as error:
        raise click.ClickException(f"Not subscribed: {error}") from error
    click.echo("Subscribed.")


@cli.command("upload")
@click.argument("file", type=click.File("rb"))
def upload(file: BinaryIO) -> None:
    """Upload a file to Meta and print its id, which a campaign's header may use for 30 days."""
    name = Path(file.name).name
    mime_type = check_outbound_type(file, name, file.seek(0, 2))
    file.seek(0)
    client = make_media_client(get_default_channel())
    db.session.commit()

    async def transfer() -> str:
        async with client:
            return await client.upload(file, mime_type, name)

    try:
        click.echo(asyncio.run(transfer()))
    except MediaError as error:
        raise click.ClickException(f"Not uploaded: {error}") from error

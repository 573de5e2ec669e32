"""Commands `flask webhooks ...`."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from chatbot.core.db import db
from chatbot.core.pagination import ROW_ID
from chatbot.webhooks.bodies import enqueue_drains, replay_body
from chatbot.webhooks.models import WebhookQueue
from chatbot.webhooks.queries import BodyFilters, get_body, list_bodies

cli = AppGroup("webhooks", help="Webhook bodies that Meta posted.")

TIMESTAMP = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
MAX_REPLAYED = 10_000


@cli.command("list")
@click.option(
    "--parked", "quarantined", is_flag=True, help="Only quarantined bodies, with the reason."
)
@click.option("--lane", "queue", type=click.Choice([queue.value for queue in WebhookQueue]))
@click.option("--since", type=TIMESTAMP, help="UTC, as 2026-11-26 or 2026-11-26T14:05.")
@click.option("--until", type=TIMESTAMP, help="UTC; before this time.")
@click.option("--text", help="A piece of the body, such as a phone number or a wamid.")
@click.option("--limit", default=50, show_default=True)
def list_(
    quarantined: bool,
    queue: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
    limit: int,
) -> None:
    """Print the latest bodies: id, time, queue, state, bytes, replays, reason."""
    filters = _build_filters(quarantined, queue, since, until, text)
    for line in list_bodies(filters, limit=limit).rows:
        timestamp = f"{line.received_at:%Y-%m-%dT%H:%M:%SZ}"
        parts = (
            line.id,
            timestamp,
            line.queue,
            line.state,
            line.size,
            line.replays,
            line.reason or "",
        )
        click.echo("\t".join(str(part) for part in parts))


def _build_filters(
    quarantined: bool,
    queue: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
) -> BodyFilters:
    return BodyFilters(
        quarantined=quarantined, queue=queue, since=_to_utc(since), until=_to_utc(until), text=text
    )


def _to_utc(timestamp: datetime | None) -> datetime | None:
    return timestamp.replace(tzinfo=UTC) if timestamp else None


@cli.command("show")
@click.argument("body_id", type=ROW_ID)
def show(body_id: int) -> None:
    """Print one body as it was received."""
    click.echo(get_body(body_id).raw.decode("utf-8", "replace"))


@cli.command("replay")
@click.argument("body_ids", type=ROW_ID, nargs=-1)
@click.option("--parked", "quarantined", is_flag=True, help="All quarantined bodies.")
@click.option("--since", type=TIMESTAMP, help="All bodies received since (UTC).")
@click.option("--until", type=TIMESTAMP, help="... and before this time.")
def replay(
    body_ids: tuple[int, ...], quarantined: bool, since: datetime | None, until: datetime | None
) -> None:
    """Apply bodies again, by number or by filter; what was applied already has no effect."""
    if not body_ids and not quarantined and since is None:
        raise click.UsageError("Name bodies, or use --parked or --since.")
    ids = list(body_ids)
    if not ids:
        filters = _build_filters(quarantined, None, since, until, None)
        ids = [line.id for line in list_bodies(filters, limit=MAX_REPLAYED).rows]
    for body_id in ids:
        if not replay_body(db.session.connection(), body_id):
            db.session.rollback()
            raise click.ClickException(f"There is no webhook body {body_id}.")
    enqueue_drains()
    db.session.commit()
    numbers = ", ".join(str(i) for i in ids) if len(ids) <= 10 else f"{len(ids)} of them"
    click.echo(f"Webhook bodies to be applied again: {numbers or 'none'}.")

"""`flask webhooks ...`"""

from __future__ import annotations

from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from chatbot.core.db import db
from chatbot.webhooks.lanes import replay as replay_body
from chatbot.webhooks.lanes import ring_lanes
from chatbot.webhooks.models import Lane
from chatbot.webhooks.queries import Filters, get_body, list_bodies

cli = AppGroup("webhooks", help="What Meta posted to us.")

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
MOST_REPLAYED = 10_000


@cli.command("list")
@click.option("--parked", is_flag=True, help="Only what was set aside, with the reason.")
@click.option("--lane", type=click.Choice([lane.value for lane in Lane]))
@click.option("--since", type=MOMENT, help="UTC, as 2026-11-26 or 2026-11-26T14:05.")
@click.option("--until", type=MOMENT, help="UTC; before this moment.")
@click.option("--text", help="A piece of the body, such as a phone number or a wamid.")
@click.option("--limit", default=50, show_default=True)
def list_(
    parked: bool,
    lane: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
    limit: int,
) -> None:
    """Print the latest bodies: id, time, lane, state, bytes, replays, reason."""
    filters = _filters(parked, lane, since, until, text)
    for line in list_bodies(filters, limit=limit).rows:
        moment = f"{line.received_at:%Y-%m-%dT%H:%M:%SZ}"
        parts = (line.id, moment, line.lane, line.state, line.size, line.replays, line.reason or "")
        click.echo("\t".join(str(part) for part in parts))


def _filters(
    parked: bool,
    lane: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
) -> Filters:
    return Filters(parked=parked, lane=lane, since=_utc(since), until=_utc(until), text=text)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


@cli.command("show")
@click.argument("body_id", type=int)
def show(body_id: int) -> None:
    """Print one body as it came."""
    click.echo(get_body(body_id).raw.decode("utf-8", "replace"))


@cli.command("replay")
@click.argument("body_ids", type=int, nargs=-1)
@click.option("--parked", is_flag=True, help="All that was set aside.")
@click.option("--since", type=MOMENT, help="All that came since (UTC).")
@click.option("--until", type=MOMENT, help="... and before this moment.")
def replay(
    body_ids: tuple[int, ...], parked: bool, since: datetime | None, until: datetime | None
) -> None:
    """Apply bodies again, by number or by filter; what they did already is not done twice."""
    if not body_ids and not parked and since is None:
        raise click.UsageError("Name bodies, or use --parked or --since.")
    ids = list(body_ids)
    if not ids:
        filters = _filters(parked, None, since, until, None)
        ids = [line.id for line in list_bodies(filters, limit=MOST_REPLAYED).rows]
    for body_id in ids:
        if not replay_body(db.session.connection(), body_id):
            db.session.rollback()
            raise click.ClickException(f"There is no webhook body {body_id}.")
    ring_lanes()
    db.session.commit()
    numbers = ", ".join(str(i) for i in ids) if len(ids) <= 10 else f"{len(ids)} of them"
    click.echo(f"Webhook bodies to be applied again: {numbers or 'none'}.")

"""Commands of `flask segments`."""

from __future__ import annotations

import click
import msgspec
from flask.cli import AppGroup

from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.core.pagination import ROW_ID
from chatbot.segments import service
from chatbot.segments.rules import parse_rule

cli = AppGroup("segments", help="Saved filters over contacts.")

ACTOR = "CLI"


@cli.command("create")
@click.option("--name", required=True)
@click.option(
    "--rule",
    required=True,
    help='Groups that must all hold, as JSON: [[{"kind": "tag", "value": "vip"}]]; in a group one '
    "condition is enough. A condition has kind, name, value, negated.",
)
def create(name: str, rule: str) -> None:
    """Save a segment and print its id."""
    try:
        typed = msgspec.json.decode(rule.encode())
    except msgspec.DecodeError as error:
        raise InvalidInput(
            "The rule is not valid JSON: %(fault)s", field="rule", fault=str(error)
        ) from None
    segment = service.save_segment(None, name, parse_rule(typed), ACTOR)
    db.session.commit()
    click.echo(segment.id)


@cli.command("list")
def list_all() -> None:
    """Print all segments."""
    for segment in service.list_segments():
        click.echo(f"{segment.id}\t{segment.name}")


@cli.command("show")
@click.argument("segment_id", type=ROW_ID)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(segment_id: int, as_json: bool) -> None:
    """Print a segment's rule, its number of contacts, and the first few."""
    segment = service.get_segment(segment_id)
    preview = service.preview_rule(parse_rule(segment.rule))
    if as_json:
        described = {
            "id": segment.id,
            "name": segment.name,
            "rule": segment.rule,
            "count": preview.count,
        }
        click.echo(msgspec.json.encode(described).decode())
        return
    click.echo(f"{segment.name}: {preview.count}")
    for group in service.describe_rule(segment.rule):
        click.echo("  - " + " / ".join(group))
    for contact in preview.sample:
        click.echo(f"  {contact.id}\t{contact.name}")

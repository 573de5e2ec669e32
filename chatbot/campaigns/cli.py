"""Commands of `flask campaigns`."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec
from flask.cli import AppGroup

from chatbot.campaigns import service
from chatbot.campaigns.audience import build_segment_audience, count_without_consent
from chatbot.campaigns.models import Campaign, ConsentBasis, OnDoubt
from chatbot.campaigns.parameters import parse_parameters
from chatbot.campaigns.previews.preview_sends import Requester, queue_preview_send
from chatbot.campaigns.progress import watch_progress
from chatbot.campaigns.queries import describe_campaign, list_campaigns
from chatbot.campaigns.scheduling import parse_local_time, schedule_campaign, unschedule_campaign
from chatbot.campaigns.sending.resend import resend_unknown, retry_failed
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.core.pagination import ROW_ID

cli = AppGroup("campaigns", help="One message template to many contacts.")

ACTOR = "CLI"
json_option = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@cli.command("create")
@click.option("--name", required=True)
@click.option("--template", required=True, help="The template's name at Meta.")
@click.option("--language", default="pt_BR", show_default=True)
@click.option("--all", "everybody", is_flag=True, help="To all contacts.")
@click.option("--tag", help="To the contacts with this tag.")
@click.option("--segment", type=ROW_ID, help="To the contacts in the segment with this id.")
@click.option(
    "--param",
    "params",
    multiple=True,
    help="1=field:name, 2=text:10/12, header:1=..., header:image=text:LINK, button:0=...; repeatable.",
)
@click.option(
    "--on-doubt",
    type=click.Choice([choice.value for choice in OnDoubt]),
    default=OnDoubt.SHOW.value,
    show_default=True,
    help="What to do with a message that may or may not have been sent.",
)
@click.option(
    "--customers-by",
    default="",
    metavar="NAME",
    help="Marketing also to contacts without an opt-in who have written to us; NAME decided it.",
)
@click.option("--start", is_flag=True, help="Start it at once.")
@json_option
def create(
    name: str,
    template: str,
    language: str,
    everybody: bool,
    tag: str | None,
    segment: int | None,
    params: tuple[str, ...],
    on_doubt: str,
    customers_by: str,
    start: bool,
    as_json: bool,
) -> None:
    """Create a campaign and print its id."""
    audience = _build_audience(everybody, tag, segment)
    channel = get_default_channel()
    campaign = service.create_campaign(
        channel,
        service.CampaignDraft(
            name=name,
            template=template,
            language=language,
            audience=audience,
            parameters=parse_parameters(params),
            on_doubt=on_doubt,
            created_by=ACTOR,
            consent_basis=ConsentBasis.CUSTOMERS if customers_by else ConsentBasis.OPT_IN,
            consent_basis_by=customers_by,
        ),
    )
    without_consent = count_without_consent(db.session.connection(), campaign)
    if start:
        service.start_campaign(campaign.id, ACTOR)
    db.session.commit()
    _print(campaign, as_json, plain=str(campaign.id))
    if without_consent:  # beside the output: a script reads the id or the JSON
        click.echo(f"{without_consent} without recorded consent: they are skipped.", err=True)


def _build_audience(everybody: bool, tag: str | None, segment: int | None) -> dict[str, Any]:
    if [everybody, bool(tag), segment is not None].count(True) != 1:
        raise click.UsageError("Say one of --all, --tag TAG or --segment ID.")
    if segment is not None:
        return build_segment_audience(segment)
    return {"kind": "all"} if everybody else {"kind": "tag", "name": tag}


@cli.command("start")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def start(campaign_id: int, as_json: bool) -> None:
    """Freeze the audience and begin to send."""
    campaign = service.start_campaign(campaign_id, ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("pause")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def pause(campaign_id: int, as_json: bool) -> None:
    """Stop sending. Messages in flight still arrive."""
    campaign = service.pause_campaign(campaign_id, ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("resume")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def resume(campaign_id: int, as_json: bool) -> None:
    """Resume a paused campaign."""
    campaign = service.resume_campaign(campaign_id, ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("cancel")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def cancel(campaign_id: int, as_json: bool) -> None:
    """Stop for good. Queued recipients are skipped."""
    campaign = service.cancel_campaign(campaign_id, ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("schedule")
@click.argument("campaign_id", type=ROW_ID)
@click.option(
    "--at", required=True, help='Date and time in the company\'s time zone: "2026-12-01 09:00".'
)
@json_option
def schedule(campaign_id: int, at: str, as_json: bool) -> None:
    """Start the campaign automatically at that time."""
    campaign = schedule_campaign(campaign_id, parse_local_time(at), ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("unschedule")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def unschedule(campaign_id: int, as_json: bool) -> None:
    """Turn a scheduled campaign back into a draft."""
    campaign = unschedule_campaign(campaign_id, ACTOR)
    db.session.commit()
    _print(campaign, as_json)


@cli.command("test")
@click.argument("campaign_id", type=ROW_ID)
@click.option("--to", "phone", required=True, help="The phone that gets the test.")
@click.option("--like", default="", help="With the values of this contact (id or phone).")
@click.option("--json", "as_json", is_flag=True, help="Print the message as JSON.")
def test(campaign_id: int, phone: str, like: str, as_json: bool) -> None:
    """Send a test to one phone, outside the campaign's figures. Print the message's id."""
    message = queue_preview_send(campaign_id, Requester(ACTOR), phone=phone, like=like)
    described = {
        "message_id": message.id,
        "conversation_id": message.conversation_id,
        "state": message.state,
        "text": message.text,
    }
    db.session.commit()
    click.echo(msgspec.json.encode(described).decode() if as_json else message.id)


@cli.command("retry-failed")
@click.argument("campaign_id", type=ROW_ID)
def retry(campaign_id: int) -> None:
    """Resend messages that failed for a temporary reason. Print how many."""
    count = retry_failed(campaign_id, ACTOR)
    db.session.commit()
    click.echo(count)


@cli.command("resend-unknown")
@click.argument("campaign_id", type=ROW_ID)
@click.confirmation_option(prompt="Recipients who did get it will get it twice. Continue?")
def resend(campaign_id: int) -> None:
    """Resend messages in state unknown. Print how many."""
    count = resend_unknown(campaign_id, ACTOR)
    db.session.commit()
    click.echo(count)


@cli.command("watch")
@click.argument("campaign_id", type=ROW_ID)
@click.option("--every", default=1.0, show_default=True, help="Seconds between two updates.")
def watch_campaign(campaign_id: int, every: float) -> None:
    """Show a campaign's progress until it ends. Ctrl-C stops the display, not the campaign."""
    service.get_campaign(campaign_id)
    for line in watch_progress(campaign_id, max(0.1, every)):
        click.echo(f"\r{line:<100}" if sys.stdout.isatty() else line, nl=not sys.stdout.isatty())
    click.echo()


@cli.command("show")
@click.argument("campaign_id", type=ROW_ID)
@json_option
def show(campaign_id: int, as_json: bool) -> None:
    """Print how many recipients are in each state."""
    _print(service.get_campaign(campaign_id), as_json)


@cli.command("list")
def list_all() -> None:
    """Print the latest campaigns."""
    for campaign in list_campaigns():
        click.echo(f"{campaign.id}\t{campaign.state}\t{campaign.name}")


def _print(campaign: Campaign, as_json: bool, plain: str | None = None) -> None:
    described = describe_campaign(campaign)
    if as_json:
        click.echo(msgspec.json.encode(described).decode())
    elif plain is not None:
        click.echo(plain)
    else:
        click.echo("  ".join(f"{name}: {value}" for name, value in described.items()))

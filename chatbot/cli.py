"""Commands of all features. An expected error is reported as one sentence with exit code 1."""

from __future__ import annotations

from typing import Any, cast

import click
from alembic.util import CommandError
from flask import Flask
from sqlalchemy.exc import DBAPIError

from chatbot.accounts.cli import cli as accounts
from chatbot.bot.cli import cli as bot
from chatbot.campaigns.cli import cli as campaigns
from chatbot.channels.cli import cli as channels
from chatbot.company.cli import cli as settings
from chatbot.company.cli import prosa_cli as prosa
from chatbot.contacts.cli import cli as contacts
from chatbot.core.errors import AppError
from chatbot.demo.cli import cli as demo
from chatbot.message_templates.cli import cli as templates
from chatbot.ops.cli import cli as redis
from chatbot.ops.secrets_cli import cli as secrets
from chatbot.privacy.cli import forget_command
from chatbot.schema_check import find_schema_problem
from chatbot.segments.cli import cli as segments
from chatbot.webhooks.cli import cli as webhooks

GROUPS = (
    accounts,
    bot,
    campaigns,
    channels,
    contacts,
    demo,
    prosa,
    redis,
    secrets,
    segments,
    settings,
    templates,
    webhooks,
)


# These run on a database without our schema: they make it, or don't need it.
WITHOUT_SCHEMA = {"db", "prosa", "redis"}


def init_cli(app: Flask) -> None:
    contacts.add_command(forget_command)
    for feature in GROUPS:
        app.cli.add_command(feature)
    groups: list[click.Group] = [*GROUPS, cast(click.Group, app.cli.commands["db"])]
    for group in groups:
        for command in group.commands.values():
            _report_errors(command, needs_schema=group.name not in WITHOUT_SCHEMA)


def _report_errors(command: click.Command, *, needs_schema: bool) -> None:
    callback = command.callback
    if callback is None or hasattr(callback, "reports_errors"):
        return

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        problem = find_schema_problem() if needs_schema else None
        if problem:
            raise click.ClickException(problem)
        try:
            return callback(*args, **kwargs)
        except AppError as error:
            field = f"{error.field}: " if error.field else ""
            raise click.ClickException(f"{field}{error}") from error
        except CommandError as error:  # Alembic's: a version that it does not know, and the like
            raise click.ClickException(find_schema_problem() or str(error)) from error
        except DBAPIError as error:
            problem = find_schema_problem()
            if problem is None:
                raise  # the database is there: a fault of ours, which its traceback explains
            raise click.ClickException(problem) from error

    wrapper.reports_errors = True  # type: ignore[attr-defined]
    command.callback = wrapper

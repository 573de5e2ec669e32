"""Commands of all features. An expected error is reported as one sentence with exit code 1."""

from __future__ import annotations

from typing import Any

import click
from flask import Flask

from chatbot.accounts.cli import cli as accounts
from chatbot.bot.cli import cli as bot
from chatbot.campaigns.cli import cli as campaigns
from chatbot.channels.cli import cli as channels
from chatbot.contacts.cli import cli as contacts
from chatbot.core.errors import AppError
from chatbot.demo.cli import cli as demo
from chatbot.message_templates.cli import cli as templates
from chatbot.ops.cli import cli as redis
from chatbot.privacy.cli import forget_command
from chatbot.segments.cli import cli as segments
from chatbot.webhooks.cli import cli as webhooks

GROUPS = (accounts, bot, campaigns, channels, contacts, demo, redis, segments, templates, webhooks)


def init_cli(app: Flask) -> None:
    contacts.add_command(forget_command)
    for group in GROUPS:
        for command in group.commands.values():
            _report_errors(command)
        app.cli.add_command(group)


def _report_errors(command: click.Command) -> None:
    callback = command.callback
    if callback is None or hasattr(callback, "reports_errors"):
        return

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except AppError as error:
            field = f"{error.field}: " if error.field else ""
            raise click.ClickException(f"{field}{error}") from error

    wrapper.reports_errors = True  # type: ignore[attr-defined]
    command.callback = wrapper

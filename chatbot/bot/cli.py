"""`flask bot` commands."""

from __future__ import annotations

import json
from datetime import date
from typing import TextIO

import click
from flask import current_app
from flask.cli import AppGroup
from flask_babel import force_locale

from chatbot.bot.engine import FetchInvoices, Say, SayVerbatim, Turn, detect_intent
from chatbot.bot.evaluation import UnreadableLine, evaluate, parse_lines
from chatbot.bot.handlers import HANDLERS
from chatbot.bot.rendering import render
from chatbot.extensions import get_settings

cli = AppGroup("bot", help="The automatic side.")


@cli.command("evaluate")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--json", "as_json", is_flag=True, help="Print all measures as JSON.")
def evaluate_file(file: TextIO, as_json: bool) -> None:
    """Measure the bot's understanding on FILE: lines of intent, tab, text, and optionally tab, style."""
    try:
        found = evaluate(parse_lines(file.read()))
    except (UnreadableLine, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for name in ("lines", "accuracy", "macro_f1", "top3", "confident_wrong", "ms"):
        click.echo(f"{name}: {found[name]:.4g}")
    for name, value in found["opt_out"].items():
        click.echo(f"opt_out.{name}: {value:.4g}")


@cli.command("try")
@click.argument("text")
def try_text(text: str) -> None:
    """Print the intent of TEXT and the bot's answer to a contact without invoices."""
    settings = get_settings(current_app)
    intent, confidence = detect_intent([text], None)
    turn = Turn(
        text=text,
        intent=intent,
        confidence=confidence,
        company_name=settings.company_name,
        today=date.today(),  # noqa: DTZ011 - only shown to the person at this terminal
    )
    click.echo(f"intent: {intent.value} ({confidence:.2f})")
    effects = HANDLERS[intent](turn)
    answer: object = None
    with force_locale(settings.locale):
        while True:
            try:
                effect = effects.send(answer)
            except StopIteration:
                return
            answer = [] if isinstance(effect, FetchInvoices) else None
            if isinstance(effect, Say | SayVerbatim):
                click.echo(f"bot: {render(effect)[0]}")
            else:
                click.echo(f"[{type(effect).__name__}]")

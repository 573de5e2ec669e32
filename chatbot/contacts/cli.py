"""Commands `flask contacts ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from flask.cli import AppGroup

from chatbot.contacts import service
from chatbot.contacts.details import parse_evidence
from chatbot.contacts.imports.csv_reader import REASONS, BadLine, CsvError
from chatbot.contacts.imports.importer import ImportReport, import_contacts
from chatbot.contacts.lookup import get_by_id_or_phone
from chatbot.core.db import db

cli = AppGroup("contacts", help="The people we talk to.")
MAX_PRINTED_ERRORS = 20


@cli.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_file(file: BinaryIO, as_json: bool) -> None:
    """Import contacts from the CSV FILE (`-` reads standard input).

    The header names the columns: phone is required; name, document, email, tags and opt_in
    are known; any other column becomes an attribute. Good lines are imported, bad ones reported.
    """
    bad_lines: list[BadLine] = []
    limit = None if as_json else MAX_PRINTED_ERRORS

    def keep(_report: ImportReport, bad: Sequence[BadLine]) -> None:
        bad_lines.extend(bad if limit is None else bad[: limit - len(bad_lines)])

    try:
        report = import_contacts(file, keep, file=_get_file_name(file))
    except CsvError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.encode(_build_json_report(report, bad_lines)).decode())
    else:
        _print_report(report, bad_lines)
    if report.good == 0 and report.bad:
        sys.exit(1)


def _get_file_name(file: BinaryIO) -> str:
    return Path(getattr(file, "name", "-")).name


@cli.command("opt-in")
@click.argument("contact")
@click.option("--evidence", required=True, help="How they agreed: where, when, in which words.")
def opt_in(contact: str, evidence: str) -> None:
    """Record that the CONTACT (id, or phone with its area code) agreed to campaigns."""
    found = get_by_id_or_phone(contact)
    service.opt_in(found, "cli", parse_evidence(evidence))
    db.session.commit()
    click.echo(f"Campaigns may go to contact {found.id}.")


@cli.command("opt-out")
@click.argument("contact")
@click.option("--evidence", default="", help="How they said so.")
def opt_out(contact: str, evidence: str) -> None:
    """Record that the CONTACT (id, or phone with its area code) wants no campaigns."""
    found = get_by_id_or_phone(contact)
    service.opt_out(found, "cli", evidence)
    db.session.commit()
    click.echo(f"No campaign goes to contact {found.id} any more.")


def _build_json_report(report: ImportReport, bad_lines: Sequence[BadLine]) -> dict[str, object]:
    return {
        "imported": report.good,
        "added": report.added,
        "updated": report.updated,
        "repeated": report.repeated,
        "opted_in": report.opted_in,
        "bad": report.bad,
        "errors": [
            {
                "line": bad.line,
                "column": bad.column,
                "reason": bad.reason,
                "message": _get_message(bad),
                "value": bad.value,
            }
            for bad in bad_lines
        ],
    }


def _print_report(report: ImportReport, bad_lines: Sequence[BadLine]) -> None:
    click.echo(
        f"{report.good} imported ({report.added} new, {report.updated} updated), "
        f"{report.repeated} repeated, {report.opted_in} opted in, {report.bad} bad."
    )
    for bad in bad_lines:
        click.echo(
            f"  line {bad.line}: {_get_message(bad)} ({bad.column or 'line'}: {bad.value!r})"
        )
    if report.bad > MAX_PRINTED_ERRORS:
        click.echo(f"  ... and {report.bad - MAX_PRINTED_ERRORS} more; --json prints them.")


def _get_message(bad: BadLine) -> str:
    return REASONS.get(bad.reason, bad.reason)

"""Command `flask contacts forget`; it is here because it erases data of several features."""

from __future__ import annotations

import click

from chatbot.contacts.lookup import get_by_id_or_phone
from chatbot.core.db import db
from chatbot.privacy.erasure import erase_contact


@click.command("forget")
@click.argument("contact")
@click.option("--yes", is_flag=True, help="Don't ask.")
def forget_command(contact: str, yes: bool) -> None:
    """Erase the personal data of the CONTACT (id, or phone with its area code) for good.

    An opt-out is kept, under a keyed hash.
    """
    found = get_by_id_or_phone(contact)
    if not yes:
        click.confirm(f"Erase contact {found.id} ({found.name or 'no name'}) for good?", abort=True)
    erase_contact(found)
    db.session.commit()
    click.echo(f"Contact {found.id} is erased.")

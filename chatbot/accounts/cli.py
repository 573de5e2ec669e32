"""Commands `flask accounts ...`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from chatbot.accounts import service, sign_in_limits
from chatbot.accounts.models import Role
from chatbot.accounts.passwords import generate_password
from chatbot.core.db import db

cli = AppGroup("accounts", help="Users of the panel.")


@cli.command("create-admin")
@click.option("--email", required=True, help="The address to sign in with.")
@click.option("--password", help="Made and printed when left out.")
@click.option("--name", default="", help="How the panel shows the user.")
def create_admin(email: str, password: str | None, name: str) -> None:
    """Create a user who may do everything."""
    chosen = password or generate_password()
    user = service.create_user(email, name, Role.ADMIN, chosen)
    db.session.commit()
    click.echo(f"Created admin {user.email}.")
    if password is None:
        click.echo(f"Password: {chosen}")


@cli.command("unlock")
@click.argument("email")
def unlock_account(email: str) -> None:
    """Let the user with this EMAIL try to sign in again, after too many failed attempts."""
    user = service.find_user(email)
    if user is None:
        raise click.ClickException(f"There is no user with the e-mail {email.strip()}.")
    number = sign_in_limits.unlock(user.email)
    db.session.commit()
    click.echo(f"{user.email} can sign in again ({number} failed attempts forgotten).")

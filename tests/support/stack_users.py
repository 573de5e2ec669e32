"""Users of each role on a running stack, and sign-in as one of them in a browser.

Run as a program, it creates the users. The test's process cannot, as Playwright's event loop runs there.
"""

from __future__ import annotations

from playwright.sync_api import Page

from chatbot import create_app
from chatbot.accounts.models import Role
from chatbot.accounts.service import create_user
from chatbot.core.db import db
from tests.support.stack import Stack

PASSWORD = "uma senha comprida"


def create_users(stack: Stack) -> None:
    stack.python("tests.support.stack_users")


def sign_in(page: Page, stack: Stack, role: str) -> None:
    page.goto(f"{stack.address}/login")
    page.locator("input[type=email]").fill(f"{role}@prosa.test")
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{stack.address}/")


if __name__ == "__main__":
    with create_app().app_context():
        for each in Role:
            create_user(f"{each.value}@prosa.test", f"{each.value.title()} Teste", each, PASSWORD)
        db.session.commit()

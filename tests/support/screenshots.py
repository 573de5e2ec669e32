"""Take screenshots of each page: `python -m tests.support.screenshots FOLDER` (`make screenshots`).

They show a stack with demo data, in both themes, 1280 and 390 px wide.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

from tests.support.browser import launch_chromium
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.stack_users import create_users, sign_in

SIZES = {"1280": (1280, 860), "390": (390, 844)}
THEMES = ("light", "dark")
PAGES = {
    "home": "/",
    "conversations": "/conversations/",
    "thread": "/conversations/1",
    "contacts": "/contacts/",
    "contact": "/contacts/1",
    "import": "/contacts/import",
    "campaigns": "/campaigns/",
    "campaign": "/campaigns/1",
    "recipients": "/campaigns/1/recipients",
    "new-campaign": "/campaigns/new",
    "draft-parameters": "/campaigns/2/parameters",
    "draft-audience": "/campaigns/2/audience",
    "draft-check": "/campaigns/2/check",
    "draft-test": "/campaigns/2/test",
    "thread-template": "/conversations/1/template?template_id=1",
    "templates": "/templates/",
    "template": "/templates/1",
    "prices": "/templates/prices/",
    "segments": "/segments/",
    "segment": "/segments/1",
    "redis": "/redis/",
    "users": "/users/",
    "settings": "/settings/",
    "account": "/account/",
    "not-found": "/nowhere",
}


def prepare(stack: Stack) -> None:
    """Create demo data, a sent campaign and a draft."""
    stack.flask("demo", "load")
    stack.flask("templates", "sync")
    create = ("campaigns", "create", "--template", "lembrete_fatura", "--all")
    params = ("--param", "1=field:name", "--param", "2=text:10/12")
    stack.flask(*create, "--name", "Lembrete de novembro", *params, "--start")
    stack.flask(*create, "--name", "Aviso de dezembro", *params)
    rule = (
        '[[{"kind": "tag", "value": "inadimplente"}, {"kind": "invoice_overdue", "value": "5"}],'
        ' [{"kind": "opted_out", "negated": true}]]'
    )
    stack.flask("segments", "create", "--name", "Em atraso", "--rule", rule)
    create_users(stack)
    stack.send_as_customer("5511987650001", "oi, me manda o boleto?", "Maria Souza")
    time.sleep(8)


def take_screenshots(browser: Browser, stack: Stack, folder: Path) -> None:
    for size, (width, height) in SIZES.items():
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                locale="pt-BR",
                timezone_id="America/Sao_Paulo",
                color_scheme=theme,  # type: ignore[arg-type]
            )
            page = context.new_page()
            page.goto(f"{stack.address}/login")
            page.screenshot(path=folder / f"sign-in-{theme}-{size}.png")
            sign_in(page, stack, "admin")
            for name, path in PAGES.items():
                page.goto(stack.address + path)
                page.wait_for_timeout(150)
                page.screenshot(path=folder / f"{name}-{theme}-{size}.png", full_page=True)
            context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    redis = RedisServer()
    redis.start()
    home = Path(tempfile.mkdtemp(prefix="prosa-screenshots-"))
    stack = Stack(home, f"sqlite:///{home / 'prosa.db'}", redis.url)
    try:
        stack.flask("db", "upgrade")
        prepare(stack.start())
        with launch_chromium() as browser:
            take_screenshots(browser, stack, folder)
    finally:
        stack.stop()
        redis.kill()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Access to every route by role, from one table.

A route without a line in the table fails, and so does a line without a route.
"""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.routing import Rule

from chatbot.accounts.models import Role
from tests.support.clients import PanelClient, make_client, make_signed_in_client

ANYBODY, META = "anybody", "meta"
AGENT, MANAGER, ADMIN = "agent", "manager", "admin"
RANKS = {ANYBODY: 0, META: 0, AGENT: 1, MANAGER: 2, ADMIN: 3}

# endpoint → lowest role that may use it
DECISIONS = {
    "static": ANYBODY,
    "bootstrap.static": ANYBODY,
    "ops.health": ANYBODY,
    "ops.live": ANYBODY,
    "ops.ready": ANYBODY,
    "ops.stats": ANYBODY,
    "ops.metrics": ANYBODY,
    "accounts.sign_in": ANYBODY,
    "company_logo.show_logo": ANYBODY,
    "accounts.sign_out": ANYBODY,
    "accounts.choose_language": ANYBODY,
    "accounts.welcome": ANYBODY,
    "account.change_password": AGENT,
    "account.show": AGENT,
    "account.sign_out_everywhere": AGENT,
    "contacts.edit": AGENT,
    "contacts.index": AGENT,
    "contacts.opt_in": AGENT,
    "contacts.opt_out": AGENT,
    "conversations.inbox": AGENT,
    "conversations.live": AGENT,
    "conversations.mark_read": AGENT,
    "conversations.change_state": AGENT,
    "conversations.reply": AGENT,
    "conversations.rows": AGENT,
    "conversations.assign_to_me": AGENT,
    "conversations.thread": AGENT,
    "panel.home": AGENT,
    "panel.now": AGENT,
    "profiles.show": AGENT,
    "sending.file": AGENT,
    "sending.send_template": AGENT,
    "sending.template": AGENT,
    "sending.template_preview": AGENT,
    "campaign_drafts.audience": MANAGER,
    "campaign_drafts.check": MANAGER,
    "campaign_drafts.delete": MANAGER,
    "campaign_drafts.edit": MANAGER,
    "campaign_drafts.new": MANAGER,
    "campaign_drafts.parameters": MANAGER,
    "campaign_drafts.schedule": MANAGER,
    "campaign_drafts.start": MANAGER,
    "campaign_preview_sends.new": MANAGER,
    "campaign_preview_sends.sent": MANAGER,
    "campaigns.export": MANAGER,
    "campaigns.index": MANAGER,
    "campaigns.move": MANAGER,
    "campaigns.progress": MANAGER,
    "campaigns.recipients": MANAGER,
    "campaigns.resend": MANAGER,
    "campaigns.show": MANAGER,
    "contact_imports.confirm": MANAGER,
    "contact_imports.discard": MANAGER,
    "contact_imports.export": MANAGER,
    "contact_imports.new": MANAGER,
    "contact_imports.progress": MANAGER,
    "contact_imports.report": MANAGER,
    "contact_imports.show": MANAGER,
    "channel.resume": MANAGER,
    "channel.show": MANAGER,
    "segments.delete": MANAGER,
    "segments.edit": MANAGER,
    "segments.index": MANAGER,
    "segments.new": MANAGER,
    "redis.figures": MANAGER,
    "redis.show": MANAGER,
    "message_templates.index": MANAGER,
    "message_templates.show": MANAGER,
    "message_templates.sync": MANAGER,
    "company.delete_logo": ADMIN,
    "company.index": ADMIN,
    "company.save": ADMIN,
    "company.upload_logo": ADMIN,
    "message_prices.delete": ADMIN,
    "message_prices.index": ADMIN,
    "message_prices.set_price": ADMIN,
    "webhook_log.index": MANAGER,
    "webhook_log.replay": MANAGER,
    "webhook_log.replay_quarantined": MANAGER,
    "webhook_log.show": MANAGER,
    "users.change_role": ADMIN,
    "users.close": ADMIN,
    "users.create": ADMIN,
    "users.index": ADMIN,
    "users.make_link": ADMIN,
    "users.reopen": ADMIN,
    "webhooks.receive": META,
    "webhooks.verify": META,
}

SIGN_OUT = {"accounts.sign_out", "account.sign_out_everywhere"}
ARGUMENTS = {"filename": "favicon.svg", "token": "x", "move": "close"}


def rules(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))


def test_every_route_has_a_decision_and_every_decision_a_route(app: Flask) -> None:
    assert {rule.endpoint for rule in rules(app)} == set(DECISIONS)


def may_open(client: PanelClient, app: Flask, rule: Rule, method: str) -> bool:
    """Return whether the policy lets the client in. The page may not exist, but must not crash."""
    values = {name: ARGUMENTS.get(name, 999_999) for name in rule.arguments} | dict(
        rule.defaults or {}
    )
    with app.test_request_context():
        url = app.url_for(rule.endpoint, **values, _method=method)
    answer = client.open(url, method=method)
    assert answer.status_code < 500, f"{method} {url}: {answer.status_code}"
    goes_to_sign_in = answer.status_code == 302 and "/login" in (answer.location or "")
    return answer.status_code not in (401, 403) and not goes_to_sign_in


@pytest.mark.parametrize("who", ["a stranger", *Role])
def test_every_route_admits_the_roles_of_the_table(app: Flask, who: str) -> None:
    client = make_client(app) if who == "a stranger" else make_signed_in_client(app, Role(who))[0]
    rank = RANKS.get(who, 0)
    wrong = []
    for rule in rules(app):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            wanted = rank >= RANKS[DECISIONS[rule.endpoint]]
            # The webhook checks a signature and refuses every request without one.
            if DECISIONS[rule.endpoint] == META or rule.endpoint in SIGN_OUT:
                continue
            if may_open(client, app, rule, method) != wanted:
                wrong.append(f"{method} {rule.rule} should {'open' if wanted else 'stay shut'}")
    assert wrong == []


@pytest.mark.parametrize("who", ["a stranger", *Role])
def test_metas_routes_admit_no_role(app: Flask, who: str) -> None:
    client = make_client(app) if who == "a stranger" else make_signed_in_client(app, Role(who))[0]
    for rule in rules(app):
        if DECISIONS[rule.endpoint] == META:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                assert not may_open(client, app, rule, method), f"{method} {rule.rule}"


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_sign_out(app: Flask, role: Role) -> None:
    for number, path in enumerate(("/logout", "/account/sign-out-everywhere")):
        client, _ = make_signed_in_client(app, role, f"Ana{number}")
        assert client.is_signed_in()
        assert client.post(path).status_code == 303
        assert not client.is_signed_in()


def test_an_anonymous_request_for_json_gets_no_page(app: Flask) -> None:
    answer = make_client(app).get("/now", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json == {"error": "Entre primeiro, por favor.", "field": None}


def test_the_navigation_offers_only_pages_that_the_user_may_access(app: Flask) -> None:
    pages = {role: make_signed_in_client(app, role, role)[0].get("/").text for role in Role}
    assert 'href="/redis/"' not in pages[Role.AGENT]
    assert 'href="/redis/"' in pages[Role.MANAGER]
    assert 'href="/users/"' not in pages[Role.MANAGER]
    assert 'href="/users/"' in pages[Role.ADMIN]
    assert all('href="/conversations/"' in page for page in pages.values())

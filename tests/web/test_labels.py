"""Each code that a page or a file of the panel shows has words for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum

import pytest
from flask import Flask

from chatbot.accounts.audit import AuditAction
from chatbot.accounts.labels import AUDIT_ACTION_LABELS, ROLE_LABELS, describe_audit_event
from chatbot.accounts.models import AuditEvent, Role
from chatbot.bot.handlers import HANDLERS
from chatbot.bot.handlers.handoff import hand_off_topic
from chatbot.campaigns import labels as campaign_labels
from chatbot.campaigns.models import CampaignState
from chatbot.channels import labels as channel_labels
from chatbot.channels.models import AccountState, Severity
from chatbot.contacts.models import IdentityKind
from chatbot.conversations.inbox import labels as conversation_labels
from chatbot.conversations.models import Author, ConversationState
from chatbot.delivery.models import MessageState
from chatbot.message_templates.prices import PriceCategory
from chatbot.panel.profile_routes import CONSENT_SOURCE_LABELS, IDENTITY_LABELS
from chatbot.web.formats import show_bytes, show_money, show_price
from chatbot.webhooks import account_events
from chatbot.webhooks.log_routes import QUEUE_LABELS
from chatbot.webhooks.models import WebhookQueue
from config import ROOT


def calls() -> Iterator[ast.Call]:
    """Return all calls in the product."""
    for path in sorted((ROOT / "chatbot").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield node


CALLS = list(calls())


def texts_given(function: str, position: int) -> set[str]:
    """Return the literal texts at a position of the calls of a function."""
    found = set()
    for call in CALLS:
        name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
        if name == function and len(call.args) > position:
            given = call.args[position]
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                found.add(given.value)
    return found


def skip_reasons(file: str) -> set[str]:
    """Return the keys of the dictionaries called `reasons` in a file, and literal skip reasons."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "chatbot" / file).read_text())):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            found |= {key for key in keys if isinstance(key, str)}
        if isinstance(node, ast.keyword) and node.arg == "skip_reason":
            found |= {node.value.value} if isinstance(node.value, ast.Constant) else set()
    return found


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        (Role, ROLE_LABELS),
        (AuditAction, AUDIT_ACTION_LABELS),
        (CampaignState, campaign_labels.STATE_LABELS),
        (ConversationState, conversation_labels.STATE_LABELS),
        (ConversationState, conversation_labels.STATE_ICONS),
        (MessageState, conversation_labels.TICKS),
        (set(Author) - {Author.CONTACT}, conversation_labels.AUTHOR_LABELS),
        (AccountState, channel_labels.ACCOUNT_STATES),
        (Severity, channel_labels.SEVERITY_ICONS),
        (IdentityKind, IDENTITY_LABELS),
        (PriceCategory, {code.lower() for code in campaign_labels.CATEGORY_LABELS} | {"service"}),
        (WebhookQueue, QUEUE_LABELS),
        (texts_given("opt_in", 1) | texts_given("opt_out", 1), CONSENT_SOURCE_LABELS),
        (texts_given("HandOff", 0), conversation_labels.HANDOFF_REASON_LABELS),
        (texts_given("hand_off", 1), conversation_labels.HANDOFF_REASON_LABELS),
        (
            {intent for intent, handler in HANDLERS.items() if handler is hand_off_topic},
            conversation_labels.HANDOFF_REASON_LABELS,
        ),
        (
            skip_reasons("campaigns/suppression.py")
            | skip_reasons("campaigns/service.py") & {"cancelled"}
            | {"erased"},
            campaign_labels.SKIP_REASON_LABELS,
        ),
        (
            skip_reasons("conversations/replies.py") | {"erased"},
            conversation_labels.SKIP_REASON_LABELS,
        ),
        (
            {
                code
                for name, table in vars(account_events).items()
                if name.startswith(("_SEVERITY_BY", "ACCOUNT_STATE_BY_EVENT"))
                and name not in ("_SEVERITY_BY_POLICY", "_SEVERITY_BY_ALERT")
                for code in table
            }
            | {"HALTED", "PAUSED", "CHANGED", "LIMIT"},
            channel_labels.EVENTS,
        ),
    ],
)
def test_each_code_has_words(
    codes: type[StrEnum] | set[str], labels: Mapping[str, object] | set[str]
) -> None:
    wanted = {str(code) for code in codes}
    assert wanted
    assert wanted - {str(code) for code in labels} == set()


def test_the_state_filter_knows_every_state(app: Flask) -> None:
    label = app.jinja_env.filters["state_label"]
    for state in (*MessageState, *CampaignState, *ConversationState):
        assert str(label(state.value)) != state.value


@pytest.mark.parametrize(
    ("action", "subject", "expected"),
    [
        (AuditAction.USER_CREATED, "admin@x.example (manager)", "admin@x.example (Gerente)"),
        (
            AuditAction.ROLE_CHANGED,
            "bia@x.example: agent → admin",
            "bia@x.example: Atendente → Administrador",
        ),
        (AuditAction.USER_CLOSED, "manager", "manager"),
    ],
)
def test_roles_in_the_log_of_accounts_are_words(
    app: Flask, action: AuditAction, subject: str, expected: str
) -> None:
    with app.test_request_context():
        event = AuditEvent(actor="ana@x.example", action=action, subject=subject)
        assert describe_audit_event(event).endswith(f" {expected}")


def test_amounts_and_sizes_are_written_as_brazilians_write_them(app: Flask) -> None:
    with app.test_request_context():
        assert show_money(Decimal("9.5"), "USD").replace("\xa0", " ") == "US$ 9,50"
        assert show_price(Decimal("0.0068"), "USD").replace("\xa0", " ") == "US$ 0,0068"
        assert show_price(Decimal("0.0625"), "BRL").replace("\xa0", " ") == "R$ 0,0625"
        assert show_bytes(6.13 * 1024 * 1024) == "6,1 MB"

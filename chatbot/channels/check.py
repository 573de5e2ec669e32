"""What a newcomer gets wrong first when connecting a number, each with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chatbot.channels.whatsapp.client import GraphError, call, verify_callback
from config import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `mend` says what to do where it is not right."""

    subject: str
    is_right: bool
    detail: str
    mend: str = ""


def check_channel(settings: Settings) -> Iterator[Finding]:
    """Token, number, account, webhook subscription and template access, in that order."""

    def get(path: str, **params: str) -> dict[str, Any]:
        return call(settings.whatsapp_api_url, settings.whatsapp_token, path, params=params)

    for check in CHECKS:
        finding = check(settings, get)
        yield finding
        if not finding.is_right and finding.subject == "token":
            return


Get = Callable[..., dict[str, Any]]


def _check_number(settings: Settings, get: Get) -> Finding:
    number = settings.whatsapp_phone_number_id
    try:
        found = get(number, fields="verified_name,display_phone_number,quality_rating")
    except GraphError as error:
        return _number_failed(number, error)
    return Finding(
        "number",
        True,
        f"{found.get('display_phone_number', '?')} ({found.get('verified_name', '?')}), "
        f"quality {found.get('quality_rating', 'unknown')}",
    )


def _number_failed(number: str, error: GraphError) -> Finding:
    if error.code == 190 or error.status == 401:
        return Finding(
            "token",
            False,
            str(error),
            "WHATSAPP_TOKEN is wrong or has expired: make a system user's token, which does not "
            "expire, in Meta Business Suite > Settings > System users, with the permissions "
            "whatsapp_business_messaging and whatsapp_business_management.",
        )
    if error.status == 0:
        return Finding(
            "token",
            False,
            str(error),
            "Meta's address does not answer from here: look at WHATSAPP_API_URL, the network and "
            "the firewall.",
        )
    return Finding(
        "number",
        False,
        str(error),
        f"WHATSAPP_PHONE_NUMBER_ID is {number}: it must be the *id* shown under WhatsApp > API "
        "Setup, not the phone number, and the token's system user must have access to it.",
    )


def _check_account(settings: Settings, get: Get) -> Finding:
    account = settings.whatsapp_business_account_id
    try:
        numbers = get(f"{account}/phone_numbers").get("data", [])
    except GraphError as error:
        return Finding(
            "account",
            False,
            str(error),
            f"WHATSAPP_BUSINESS_ACCOUNT_ID is {account}: take the WhatsApp Business Account id "
            "from API Setup (it is neither the app's nor the business portfolio's id).",
        )
    if not any(n.get("id") == settings.whatsapp_phone_number_id for n in numbers):
        return Finding(
            "account",
            False,
            f"account {account} has {len(numbers)} number(s), but not ours",
            "WHATSAPP_PHONE_NUMBER_ID and WHATSAPP_BUSINESS_ACCOUNT_ID belong to different "
            "accounts: take both from the same API Setup page.",
        )
    return Finding("account", True, f"{account} holds the number")


def _check_subscription(settings: Settings, get: Get) -> Finding:
    try:
        apps = get(f"{settings.whatsapp_business_account_id}/subscribed_apps").get("data", [])
    except GraphError as error:
        return Finding("webhook", False, str(error), "See the account above.")
    if not apps:
        return Finding(
            "webhook",
            False,
            "no app is subscribed to the account, so no message will reach Prosa",
            "Run `flask channels subscribe`; then, in the app's WhatsApp > Configuration, "
            "subscribe the webhook to the field `messages` (and to `message_template_status_update`, "
            "`account_update`, `user_preferences`).",
        )
    return Finding("webhook", True, f"{len(apps)} app(s) subscribed to the account")


def _check_templates(settings: Settings, get: Get) -> Finding:
    try:
        rows = get(f"{settings.whatsapp_business_account_id}/message_templates", limit="5")
    except GraphError as error:
        return Finding(
            "templates",
            False,
            str(error),
            "Give the token's system user the permission whatsapp_business_management.",
        )
    count = len(rows.get("data", []))
    return Finding("templates", True, "readable" if count else "readable, but there is none yet")


def _check_callback(settings: Settings, get: Get) -> Finding:
    """Meta tells where she posts to; we knock there as she would."""
    number = settings.whatsapp_phone_number_id
    try:
        found = get(number, fields="webhook_configuration").get("webhook_configuration") or {}
    except GraphError as error:
        return Finding("callback", False, str(error), "See the number above.")
    address = next((found[name] for name in CALLBACK_ORDER if found.get(name)), None)
    if address is None:
        return Finding("callback", False, "Meta knows no address to post to", CALLBACK_MEND)
    problem = verify_callback(str(address), settings.whatsapp_verify_token)
    if problem:
        return Finding("callback", False, f"{address}: {problem}", CALLBACK_MEND)
    return Finding("callback", True, f"{address} answers with our verify token")


# The most particular setting wins (whatsapp_cloud_api.md section 1.3).
CALLBACK_ORDER = ("phone_number", "whatsapp_business_account", "application")
CALLBACK_MEND = (
    "In the app's WhatsApp > Configuration set the callback to "
    "https://YOUR-HOST/webhooks/whatsapp with WHATSAPP_VERIFY_TOKEN as its verify token; "
    "WHATSAPP_APP_SECRET must be the secret of that same app (App settings > Basic)."
)
CHECKS = (_check_number, _check_account, _check_subscription, _check_templates, _check_callback)

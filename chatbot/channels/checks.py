"""Checks of the configuration of a number at Meta, each with its fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chatbot.channels.whatsapp.client import GraphError, call_graph, verify_callback
from config import Settings


@dataclass(frozen=True, slots=True)
class ChannelCheck:
    """Result of one check. `fix` says what to do if it failed."""

    subject: str
    is_ok: bool
    detail: str
    fix: str = ""


def check_channel(settings: Settings) -> Iterator[ChannelCheck]:
    """Check token, number, account, webhook subscription, templates and callback, in that order."""

    def get(path: str, **params: str) -> dict[str, Any]:
        return call_graph(settings.whatsapp_api_url, settings.whatsapp_token, path, params=params)

    for check in CHECKS:
        finding = check(settings, get)
        yield finding
        if not finding.is_ok and finding.subject == "token":
            return


GraphGet = Callable[..., dict[str, Any]]


def _check_number(settings: Settings, get: GraphGet) -> ChannelCheck:
    number = settings.whatsapp_phone_number_id
    try:
        found = get(number, fields="verified_name,display_phone_number,quality_rating")
    except GraphError as error:
        return _explain_number_error(number, error)
    return ChannelCheck(
        "number",
        True,
        f"{found.get('display_phone_number', '?')} ({found.get('verified_name', '?')}), "
        f"quality {found.get('quality_rating', 'unknown')}",
    )


def _explain_number_error(number: str, error: GraphError) -> ChannelCheck:
    if error.code == 190 or error.status == 401:
        return ChannelCheck(
            "token",
            False,
            str(error),
            "WHATSAPP_TOKEN is wrong or has expired: make a system user's token, which does not "
            "expire, in Meta Business Suite > Settings > System users, with the permissions "
            "whatsapp_business_messaging and whatsapp_business_management.",
        )
    if error.status == 0:
        return ChannelCheck(
            "token",
            False,
            str(error),
            "Meta's address does not answer from here: check WHATSAPP_API_URL, the network and "
            "the firewall.",
        )
    return ChannelCheck(
        "number",
        False,
        str(error),
        f"WHATSAPP_PHONE_NUMBER_ID is {number}: it must be the *id* shown under WhatsApp > API "
        "Setup, not the phone number, and the token's system user must have access to it.",
    )


def _check_account(settings: Settings, get: GraphGet) -> ChannelCheck:
    account = settings.whatsapp_business_account_id
    try:
        numbers = get(f"{account}/phone_numbers").get("data", [])
    except GraphError as error:
        return ChannelCheck(
            "account",
            False,
            str(error),
            f"WHATSAPP_BUSINESS_ACCOUNT_ID is {account}: take the WhatsApp Business Account id "
            "from API Setup (it is neither the app's nor the business portfolio's id).",
        )
    if not any(n.get("id") == settings.whatsapp_phone_number_id for n in numbers):
        return ChannelCheck(
            "account",
            False,
            f"account {account} has {len(numbers)} number(s), but not ours",
            "WHATSAPP_PHONE_NUMBER_ID and WHATSAPP_BUSINESS_ACCOUNT_ID belong to different "
            "accounts: take both from the same API Setup page.",
        )
    return ChannelCheck("account", True, f"{account} holds the number")


def _check_subscription(settings: Settings, get: GraphGet) -> ChannelCheck:
    try:
        apps = get(f"{settings.whatsapp_business_account_id}/subscribed_apps").get("data", [])
    except GraphError as error:
        return ChannelCheck("webhook", False, str(error), "See the account above.")
    if not apps:
        return ChannelCheck(
            "webhook",
            False,
            "no app is subscribed to the account, so no message will reach Prosa",
            "Run `flask channels subscribe`; then, in the app's WhatsApp > Configuration, "
            "subscribe the webhook to the field `messages` (and to `message_template_status_update`, "
            "`account_update`, `user_preferences`).",
        )
    return ChannelCheck("webhook", True, f"{len(apps)} app(s) subscribed to the account")


def _check_templates(settings: Settings, get: GraphGet) -> ChannelCheck:
    try:
        rows = get(f"{settings.whatsapp_business_account_id}/message_templates", limit="5")
    except GraphError as error:
        return ChannelCheck(
            "templates",
            False,
            str(error),
            "Give the token's system user the permission whatsapp_business_management.",
        )
    count = len(rows.get("data", []))
    return ChannelCheck(
        "templates", True, "readable" if count else "readable, but there is none yet"
    )


def _check_callback(settings: Settings, get: GraphGet) -> ChannelCheck:
    """Verify the callback address that Meta has on record, as Meta would."""
    number = settings.whatsapp_phone_number_id
    try:
        found = get(number, fields="webhook_configuration").get("webhook_configuration") or {}
    except GraphError as error:
        return ChannelCheck("callback", False, str(error), "See the number above.")
    address = next((found[name] for name in CALLBACK_ORDER if found.get(name)), None)
    if address is None:
        return ChannelCheck("callback", False, "Meta knows no address to post to", CALLBACK_FIX)
    problem = verify_callback(str(address), settings.whatsapp_verify_token)
    if problem:
        return ChannelCheck("callback", False, f"{address}: {problem}", CALLBACK_FIX)
    return ChannelCheck("callback", True, f"{address} answers with our verify token")


# Meta uses the most specific setting.
CALLBACK_ORDER = ("phone_number", "whatsapp_business_account", "application")
CALLBACK_FIX = (
    "In the app's WhatsApp > Configuration set the callback to "
    "https://YOUR-HOST/webhooks/whatsapp with WHATSAPP_VERIFY_TOKEN as its verify token; "
    "WHATSAPP_APP_SECRET must be the secret of that same app (App settings > Basic)."
)
CHECKS = (_check_number, _check_account, _check_subscription, _check_templates, _check_callback)

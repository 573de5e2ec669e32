"""Alert notifications by Apprise: e-mail, Telegram, Slack, webhooks and many more."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import apprise
from flask import current_app

from chatbot.extensions import get_settings
from chatbot.ops.alerts import AlertNotice

log = logging.getLogger(__name__)


def send_notification(notice: AlertNotice) -> bool:
    """Send a notice to each of ALERT_URLS. Return whether at least one accepted it.

    One is enough: otherwise a failing address would make the others get it again and again.
    """
    settings = get_settings(current_app)
    title = f"{settings.company_name} · Prosa: {notice.title}"
    kind = apprise.NotifyType.SUCCESS
    if notice.is_firing:
        kind = apprise.NotifyType.FAILURE if notice.is_severe else apprise.NotifyType.WARNING
    reached = [_send_to_url(url, title, notice.sentence, kind) for url in settings.alert_urls]
    return any(reached)


def _send_to_url(url: str, title: str, body: str, kind: apprise.NotifyType) -> bool:
    sender = apprise.Apprise()
    # An invalid URL and a failed delivery are handled alike.
    if sender.add(url) and sender.notify(body=body, title=title, notify_type=kind):
        return True
    log.warning("alert not sent by %s", urlsplit(url).scheme)  # the rest of the URL is secret
    return False

"""Alerts to people's own addresses, by Apprise: mail, Telegram, Slack, a webhook, a hundred more."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import apprise
from flask import current_app

from chatbot.extensions import get_settings
from chatbot.ops.alerts import AlertNotice

log = logging.getLogger(__name__)


def send_notification(notice: AlertNotice) -> bool:
    """Send it to each of ALERT_URLS; whether it reached one.

    One address that does not answer must not make the others hear everything again and again.
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
    # What Apprise can't read, and what it can't reach, is one and the same here: nobody was told.
    if sender.add(url) and sender.notify(body=body, title=title, notify_type=kind):
        return True
    log.warning("alert not sent by %s", urlsplit(url).scheme)  # the rest of it is secret
    return False

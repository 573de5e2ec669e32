"""Task that evaluates the alerts; every long-lived process may run it."""

from __future__ import annotations

from flask import current_app
from flask_babel import force_locale

from chatbot.extensions import get_settings
from chatbot.ops.alerts import evaluate_alerts, is_evaluation_due
from chatbot.ops.notifications import send_notification


def check_alerts() -> None:
    """Evaluate the alerts, in the default language. Safe to run twice: a lease in SQL lets one do it."""
    with force_locale(get_settings(current_app).locale):
        evaluate_alerts(send_notification)


def list_due_alert_checks() -> list[tuple[()]]:
    return [()] if is_evaluation_due() else []

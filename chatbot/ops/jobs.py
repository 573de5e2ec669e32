"""The look at the alerts, by whoever is alive to do it."""

from __future__ import annotations

from flask import current_app
from flask_babel import force_locale

from chatbot.extensions import settings_of
from chatbot.ops.alerts import is_due, look
from chatbot.ops.telling import tell


def watch() -> None:
    """Twice at once, or twice, is harmless: the turn is taken in SQL."""
    with force_locale(settings_of(current_app).locale):
        look(tell)


def watch_due() -> list[tuple[()]]:
    return [()] if is_due() else []

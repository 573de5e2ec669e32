"""How pages write moments, money, numbers, phones and states: as the reader's language does."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from flask import Flask
from flask_babel import LazyString, format_currency, format_date, format_decimal
from flask_babel import format_datetime as babel_datetime
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from chatbot.accounts.models import Role
from chatbot.campaigns.models import CampaignState
from chatbot.conversations.models import ConversationState
from chatbot.core.phone import format_phone
from chatbot.delivery.states import State

STATE_LABELS: dict[str, LazyString] = {
    ConversationState.BOT: _l("With the bot"),
    ConversationState.WAITING: _l("Waiting for a person"),
    ConversationState.ASSIGNED: _l("With an agent"),
    ConversationState.CLOSED: _l("Closed"),
    CampaignState.DRAFT: _l("Draft"),
    CampaignState.SCHEDULED: _l("Scheduled"),
    CampaignState.RUNNING: _l("Running"),
    CampaignState.PAUSED: _l("Paused"),
    CampaignState.FINISHED: _l("Finished"),
    CampaignState.CANCELLED: _l("Cancelled"),
    State.QUEUED: _l("Waits to be sent"),
    State.SENDING: _l("Is being sent"),
    State.ACCEPTED: _l("Handed to WhatsApp"),
    State.SENT: _l("Sent"),
    State.DELIVERED: _l("Delivered"),
    State.READ: _l("Read"),
    State.FAILED: _l("Failed"),
    State.SKIPPED: _l("Not sent"),
    State.UNKNOWN: _l("In doubt"),
}
ROLE_LABELS: dict[str, LazyString] = {
    Role.AGENT: _l("Agent"),
    Role.MANAGER: _l("Manager"),
    Role.ADMIN: _l("Administrator"),
}


def init_formats(app: Flask) -> None:
    app.jinja_env.filters.update(
        moment=show_moment,
        day=show_day,
        clock=show_clock,
        money=show_money,
        price=show_price,
        number=show_number,
        percent=show_percent,
        coded=show_code,
        bytes=show_bytes,
        phone=show_address,
        initials=initials,
        state_label=state_label,
        role_label=role_label,
    )


def show_moment(value: datetime | None) -> str:
    """23/11/2026 14:05, in the company's time zone."""
    return str(babel_datetime(value, "short")) if value else "–"


def show_address(value: str) -> str:
    """A phone number; who hides it is shown by the user id, as Meta writes it."""
    return value if value[:2].isalpha() else format_phone(value)


def show_day(value: date | datetime | None) -> str:
    return str(format_date(value, "short")) if value else "–"


def show_clock(value: datetime | None) -> str:
    return str(babel_datetime(value, "HH:mm")) if value else "–"


def show_money(value: Decimal | int | float | None) -> str:
    """Reais, whoever reads: R$ 1.234,50 or R$1,234.50."""
    return "–" if value is None else str(format_currency(value, "BRL"))


def show_price(value: Decimal) -> str:
    """What one message costs, in fractions of a cent: 0,0068."""
    return str(format_decimal(value, format="#,##0.00####"))


def show_number(value: Decimal | int | float | None) -> str:
    return "–" if value is None else str(format_decimal(value))


def show_percent(value: float | None) -> str:
    """A number of percent (not a share): 97.5 → 97,5 %."""
    return "–" if value is None else f"{format_decimal(round(value, 1))} %"


def show_bytes(value: float) -> str:
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{format_decimal(round(value, 1))} {unit}"
        value /= 1024
    return f"{format_decimal(round(value, 1))} GB"


def show_code(text: str) -> Markup:
    """What stands between backticks is to be typed as it is."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def initials(name: str) -> str:
    """The first letters of first and last name; a sign for who has none."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[0], *words[1:][-1:])).upper() if words else "?"


def state_label(state: str | None) -> LazyString | str:
    return STATE_LABELS.get(state or "") or state or "–"


def role_label(role: str) -> LazyString | str:
    return ROLE_LABELS.get(role) or role

"""Template filters that write times, money, numbers, phones and states in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from flask import Flask
from flask_babel import LazyString, format_currency, format_date, format_decimal
from flask_babel import format_datetime as babel_datetime
from markupsafe import Markup, escape

from chatbot.brazil.phone import format_phone


def init_formats(
    app: Flask,
    *,
    state_labels: Mapping[str, LazyString],
    role_labels: Mapping[str, LazyString],
) -> None:
    """Register the template filters. The labels come from the features' `labels` modules."""
    app.jinja_env.filters.update(
        datetime=show_datetime,
        date=show_date,
        time=show_time,
        money=show_money,
        price=show_price,
        number=show_number,
        percent=show_percent,
        code=render_code,
        bytes=show_bytes,
        phone=show_phone,
        initials=get_initials,
        state_label=lambda state: state_labels.get(state or "") or state or "–",
        role_label=lambda role: role_labels.get(role) or role,
    )


def show_datetime(value: datetime | None) -> str:
    """Format as 23/11/2026 14:05 in the company's time zone."""
    return str(babel_datetime(value, "short")) if value else "–"


def show_phone(value: str) -> str:
    """Format a phone number, or return the Meta user id of a contact without one unchanged."""
    return value if value[:2].isalpha() else format_phone(value)


def show_date(value: date | datetime | None) -> str:
    return str(format_date(value, "short")) if value else "–"


def show_time(value: datetime | None) -> str:
    return str(babel_datetime(value, "HH:mm")) if value else "–"


def show_money(value: Decimal | int | float | None, currency: str = "BRL") -> str:
    """Format an amount, of reais if nothing else is said: R$ 1.234,50 or R$1,234.50."""
    return "–" if value is None else str(format_currency(value, currency))


def show_price(value: Decimal, currency: str) -> str:
    """Format the price of one message, which may be a fraction of a cent: US$ 0,0068."""
    return str(format_currency(value, currency, format="¤ #,##0.00####", currency_digits=False))


def show_number(value: Decimal | int | float | None) -> str:
    return "–" if value is None else str(format_decimal(value))


def show_percent(value: float | None) -> str:
    """Format a percentage from 0 to 100: 97.5 → 97,5 %."""
    return "–" if value is None else f"{format_decimal(round(value, 1))} %"


def show_bytes(value: float) -> str:
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{format_decimal(round(value, 1))} {unit}"
        value /= 1024
    return f"{format_decimal(round(value, 1))} GB"


def render_code(text: str) -> Markup:
    """Render text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def get_initials(name: str) -> str:
    """Return the first letters of first and last name, or "?" for an empty name."""
    names = [part for part in name.split() if part[0].isalnum()]
    return "".join(part[0] for part in (names[0], *names[1:][-1:])).upper() if names else "?"

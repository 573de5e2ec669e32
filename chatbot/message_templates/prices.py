"""Meta's prices per message, by category, country and first day.

An administrator adds rows. The built-in ones are Meta's list prices for Brazil (Meta, "Pricing on the
WhatsApp Business Platform"), for which sources disagree: check them against your own bill.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, db
from chatbot.core.errors import InvalidInput, NotFound

MAX_AMOUNT = Decimal(100)
CURRENCIES = ("USD", "BRL")
_COUNTRY = re.compile(r"[A-Z]{2}")


class PriceCategory(StrEnum):
    """Category that Meta charges by; `service` is all but templates (charged since 1 October 2026)."""

    MARKETING = "marketing"
    UTILITY = "utility"
    AUTHENTICATION = "authentication"
    SERVICE = "service"


class MessagePrice(Base):
    """A price that an administrator entered; it is valid until the next one's first day."""

    __tablename__ = "message_prices"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    category: Mapped[str] = mapped_column(sa.String(20))
    country: Mapped[str] = mapped_column(sa.String(2))
    valid_from: Mapped[date]
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(10, 6))
    currency: Mapped[str] = mapped_column(sa.String(3))

    __table_args__ = (sa.UniqueConstraint("country", "category", "valid_from"),)


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one message. `row_id` is None for a built-in price."""

    category: str
    country: str
    valid_from: date
    amount: Decimal
    currency: str
    row_id: int | None = None


_SINCE = date(2025, 7, 1)  # per-message pricing began
_SERVICE_SINCE = date(2026, 10, 1)  # until then non-template messages were free
BUILT_IN_PRICES = (
    Price(PriceCategory.MARKETING, "BR", _SINCE, Decimal("0.0625"), "USD"),
    Price(PriceCategory.UTILITY, "BR", _SINCE, Decimal("0.0068"), "USD"),
    Price(PriceCategory.AUTHENTICATION, "BR", _SINCE, Decimal("0.0068"), "USD"),
    Price(PriceCategory.SERVICE, "BR", _SINCE, Decimal(0), "USD"),
    Price(PriceCategory.SERVICE, "BR", _SERVICE_SINCE, Decimal("0.0068"), "USD"),
)


def find_price(category: str, country: str, on_date: date) -> Price | None:
    """Return the price of one message on that day, or None if there is none.

    `category` is Meta's, in any case; `country` has two letters.
    """
    wanted = (category.lower(), country.upper())
    found = [
        price
        for price in list_prices()
        if (price.category, price.country) == wanted and price.valid_from <= on_date
    ]
    return max(found, key=lambda price: price.valid_from, default=None)


def list_prices() -> list[Price]:
    """Return all prices, by country and category, newest first.

    An entered price replaces a built-in one of the same day.
    """
    entered = [
        Price(row.category, row.country, row.valid_from, row.amount, row.currency, row.id)
        for row in db.session.scalars(sa.select(MessagePrice))
    ]
    prices = {(p.country, p.category, p.valid_from): p for p in (*BUILT_IN_PRICES, *entered)}
    newest_first = sorted(prices.values(), key=lambda price: price.valid_from, reverse=True)
    return sorted(newest_first, key=lambda price: (price.country, price.category))


def set_price(
    category: str, country: str, valid_from: date, amount: Decimal, currency: str
) -> MessagePrice:
    """Add or replace a price. Raise InvalidInput, naming the field."""
    if category not in set(PriceCategory):
        raise InvalidInput("Choose one of the categories.", field="category")
    if not _COUNTRY.fullmatch(country.upper()):
        raise InvalidInput("Enter the country in two letters, such as BR.", field="country")
    if not 2000 <= valid_from.year < 2100:
        raise InvalidInput("Choose a start date between 2000 and 2099.", field="valid_from")
    if currency not in CURRENCIES:
        raise InvalidInput("The currency must be USD or BRL.", field="currency")
    if not (amount.is_finite() and 0 <= amount <= MAX_AMOUNT):
        raise InvalidInput("The price of a message must be between 0 and 100.", field="amount")
    where = {"category": category, "country": country.upper(), "valid_from": valid_from}
    row = db.session.scalar(sa.select(MessagePrice).filter_by(**where).with_for_update())
    if row is None:
        row = MessagePrice(**where)
        db.session.add(row)
    row.amount, row.currency = amount, currency
    db.session.flush()
    return row


def delete_price(price_id: int) -> None:
    """Delete an entered price. Raise NotFound."""
    row = db.session.get(MessagePrice, price_id)
    if row is None:
        raise NotFound("This price has already been deleted.")
    db.session.delete(row)

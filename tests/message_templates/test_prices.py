from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.prices import delete_price, find_price, set_price
from tests.support.panel import sign_in

TODAY = date(2026, 11, 26)


def amount(category: str, country: str = "BR", on: date = TODAY) -> Decimal | None:
    price = find_price(category, country, on)
    return price.amount if price else None


def test_a_price_is_valid_from_its_day_until_the_next_one(any_app: Flask) -> None:
    assert amount("MARKETING") == Decimal("0.0625")
    assert amount("service", on=date(2026, 9, 30)) == 0
    assert amount("service", on=date(2026, 10, 1)) == Decimal("0.0068")
    assert amount("marketing", on=date(2025, 6, 30)) is None
    assert amount("marketing", "PT") is None
    set_price("marketing", "br", date(2027, 1, 1), Decimal("0.34"), "BRL")
    row = set_price("marketing", "PT", date(2026, 1, 1), Decimal("0.05"), "USD")
    db.session.commit()
    assert amount("marketing") == Decimal("0.0625")
    later = find_price("marketing", "BR", date(2027, 1, 1))
    assert later is not None
    assert (later.amount, later.currency) == (Decimal("0.34"), "BRL")
    assert amount("marketing", "pt") == Decimal("0.05")
    delete_price(row.id)
    assert amount("marketing", "PT") is None


def test_an_entered_price_replaces_the_built_in_one_of_its_day_and_can_be_corrected(
    any_app: Flask,
) -> None:
    for cents in ("0.06", "0.07"):
        set_price("marketing", "BR", date(2025, 7, 1), Decimal(cents), "USD")
        db.session.commit()
    assert amount("marketing") == Decimal("0.07")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("category", "spam"),
        ("country", "BRA"),
        ("currency", "EUR"),
        ("amount", Decimal("-1")),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("100.01")),
        ("valid_from", date(1, 1, 1)),
        ("valid_from", date(9999, 12, 31)),
    ],
)
def test_an_invalid_price_names_its_field(app: Flask, field: str, value: Any) -> None:
    right: dict[str, Any] = {
        "category": "utility",
        "country": "BR",
        "currency": "USD",
        "amount": Decimal("0.01"),
    }
    with pytest.raises(InvalidInput) as refusal:
        set_price(**({"valid_from": TODAY} | right | {field: value}))
    assert refusal.value.field == field


def test_only_an_administrator_enters_prices(app: Flask) -> None:
    form = {
        "category": "utility",
        "country": "br",
        "valid_from": "2026-07-01",
        "amount": "0,0354",
        "currency": "BRL",
    }
    manager = sign_in(app, "Marta", Role.MANAGER)
    assert manager.get("/templates/").status_code == 200
    assert manager.post("/templates/prices/", data=form).status_code == 403
    admin = sign_in(app, "Rita", Role.ADMIN)
    assert admin.post("/templates/prices/", data=form).status_code == 303
    assert amount("utility") == Decimal("0.0354")
    for wrong in ({"amount": "muito"}, {"amount": "NaN"}, {"country": "1x"}, {"valid_from": ""}):
        answer = admin.post("/templates/prices/", data=form | wrong)
        assert answer.status_code == 422
        assert "field-error" in answer.text
    page = admin.get("/templates/prices/").text
    assert "0,0354" in page or "0.0354" in page

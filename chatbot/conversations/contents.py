"""Content of an inbound message besides the customer's words: what agents read, and the bot answers.

Payloads come from outside: any key may be missing or of another type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from chatbot.core.text import clean_text

MAX_DETAILS = 40
MAX_TEXT = 500
MAX_AMOUNT = Decimal(10) ** 12
_CURRENCY = re.compile(r"[A-Z]{3}")
# Meta names the fields of forms made in its builder screen_0_Nome_1.
_BUILDER_FIELD = re.compile(r"screen_\d+_(.+?)_\d+")
_SENT_WITH_EVERY_FORM = frozenset({"flow_token"})


@dataclass(frozen=True, slots=True)
class Detail:
    """One line of content. `label` is a key of the inbox's labels, unless `is_named_by_sender`."""

    label: str
    value: str
    url: str | None = None
    amount: Decimal | None = None
    currency: str = ""
    is_named_by_sender: bool = False


@dataclass(frozen=True, slots=True)
class OrderItem:
    product: str
    quantity: Decimal
    price: Decimal | None
    currency: str


def list_details(kind: str, payload: Mapping[str, Any]) -> list[Detail]:
    """Return the content of a message of this kind, and the ad or product that it came from."""
    describe = _DESCRIBERS.get(kind)
    found = [*describe(payload)] if describe else []
    found += _describe_referral(_object(payload, "referral"))
    found += _describe_product(_object(_object(payload, "context"), "referred_product"))
    return [detail for detail in found if detail.value or detail.amount is not None][:MAX_DETAILS]


def list_order_items(payload: Mapping[str, Any]) -> list[OrderItem]:
    return [
        OrderItem(
            product=_text(item, "product_retailer_id"),
            quantity=_decimal(item.get("quantity")) or Decimal(1),
            price=_decimal(item.get("item_price")),
            currency=_currency(item),
        )
        for item in islice(_objects(payload.get("product_items")), MAX_DETAILS)
    ]


def compute_total(items: list[OrderItem]) -> tuple[Decimal, str] | None:
    """Return the sum and its currency, or None if a price is missing or the currencies differ."""
    currencies = {item.currency for item in items}
    if len(currencies) != 1 or "" in currencies or any(item.price is None for item in items):
        return None
    total = sum((item.quantity * (item.price or 0) for item in items), Decimal(0))
    return total, currencies.pop()


def get_ad_headline(payload: Mapping[str, Any]) -> str | None:
    """Return the headline of the ad that led here, "" for an ad without one, None if there was none."""
    referral = _object(payload, "referral")
    return _text(referral, "headline", 80) if referral else None


def _describe_location(payload: Mapping[str, Any]) -> Iterator[Detail]:
    yield Detail("place", _text(payload, "name"))
    yield Detail("address", _text(payload, "address"))
    latitude, longitude = (_degrees(payload.get(name)) for name in ("latitude", "longitude"))
    if latitude is not None and longitude is not None:
        place = f"{latitude},{longitude}"
        url = f"https://www.google.com/maps/search/?api=1&query={place}"
        yield Detail("coordinates", place.replace(",", ", "), url)
    yield Detail("link", _text(payload, "url"), _url(payload, "url"))


def _describe_order(payload: Mapping[str, Any]) -> Iterator[Detail]:
    items = list_order_items(payload)
    for item in items:
        name = f"{item.quantity.normalize():f} × {item.product or '?'}"
        yield Detail("item", name, amount=item.price, currency=item.currency)
    if (total := compute_total(items)) is not None:
        yield Detail("total", "", amount=total[0], currency=total[1])


def _describe_cards(payload: Mapping[str, Any]) -> Iterator[Detail]:
    for card in _objects(payload.get("content")):
        yield Detail("name", _text(_object(card, "name"), "formatted_name"))
        for phone in _objects(card.get("phones")):
            yield Detail("phone", _text(phone, "phone") or _text(phone, "wa_id"))
        for email in _objects(card.get("emails")):
            yield Detail("email", _text(email, "email"))
        yield Detail("company", _text(_object(card, "org"), "company"))


def _describe_form(payload: Mapping[str, Any]) -> Iterator[Detail]:
    reply = _object(payload, "nfm_reply")
    raw = reply.get("response_json")
    try:
        answers = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        yield Detail("answer", _to_text(raw))
        return
    for name, value in answers.items():
        if name not in _SENT_WITH_EVERY_FORM:
            yield Detail(_name_field(name), _to_text(value), is_named_by_sender=True)


def _name_field(name: str) -> str:
    found = _BUILDER_FIELD.fullmatch(name)
    return clean_text((found[1] if found else name).replace("_", " "), 80) or "?"


def _describe_call_permission(payload: Mapping[str, Any]) -> Iterator[Detail]:
    yield Detail("call_permission", _text(_object(payload, "call_permission_reply"), "response"))


def _describe_list_choice(payload: Mapping[str, Any]) -> Iterator[Detail]:
    yield Detail("description", _text(_object(payload, "list_reply"), "description"))


def _describe_document(payload: Mapping[str, Any]) -> Iterator[Detail]:
    yield Detail("file_name", _text(payload, "filename"))


def _describe_referral(referral: Mapping[str, Any]) -> Iterator[Detail]:
    if referral:
        yield Detail("ad", _text(referral, "headline") or _text(referral, "source_id"))
        yield Detail("ad_text", _text(referral, "body"))
        yield Detail("ad_link", _text(referral, "source_url"), _url(referral, "source_url"))


def _describe_product(product: Mapping[str, Any]) -> Iterator[Detail]:
    yield Detail("product", _text(product, "product_retailer_id"))


_DESCRIBERS = {
    "location": _describe_location,
    "order": _describe_order,
    "contacts": _describe_cards,
    "nfm_reply": _describe_form,
    "call_permission_reply": _describe_call_permission,
    "interactive": _describe_list_choice,
    "document": _describe_document,
}


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _text(value: Mapping[str, Any], name: str, max_length: int = MAX_TEXT) -> str:
    return _to_text(value.get(name))[:max_length]


def _to_text(value: object) -> str:
    """Return a value of JSON as people read it; a list as its items."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_to_text, value)))[:MAX_TEXT]
    if value is None or isinstance(value, str):
        return clean_text(value or "", MAX_TEXT)
    return clean_text(json.dumps(value, ensure_ascii=False), MAX_TEXT)


def _url(value: Mapping[str, Any], name: str) -> str | None:
    found = _text(value, name)
    return found if found.startswith(("https://", "http://")) else None


def _currency(item: Mapping[str, Any]) -> str:
    found = _text(item, "currency").upper()
    return found if _CURRENCY.fullmatch(found) else ""


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found < MAX_AMOUNT else None


def _degrees(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    return found if found is not None and -180 <= found <= 180 else None

"""Content of messages that are not text, as agents read it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from chatbot.conversations.contents import Detail, compute_total, list_details, list_order_items
from tests.support.panel import make_contact, make_conversation, make_message, sign_in

FORM = {
    "flow_token": "unused",
    "screen_0_Nota_0": "Excelente",
    "cores": ["azul", "verde"],
    "idade": 7,
}


def show(kind: str, payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(detail.label, detail.value) for detail in list_details(kind, payload)]


def make_form(answers: object) -> dict[str, Any]:
    return {"type": "nfm_reply", "nfm_reply": {"response_json": answers, "body": "Sent"}}


def test_answers_of_a_form_are_shown_by_their_field() -> None:
    expected = [("Nota", "Excelente"), ("cores", "azul, verde"), ("idade", "7")]
    assert show("nfm_reply", make_form(json.dumps(FORM))) == expected
    assert show("nfm_reply", make_form(FORM)) == expected
    assert show("nfm_reply", make_form("{broken")) == [("answer", "{broken")]


def test_a_location_without_a_name_has_coordinates_and_a_map() -> None:
    (detail,) = list_details("location", {"latitude": -23.5, "longitude": -46.6})
    assert detail.value == "-23.5, -46.6"
    assert detail.url is not None
    assert detail.url.endswith("query=-23.5,-46.6")
    assert list_details("location", {"latitude": "nan", "longitude": {}}) == []


def test_an_order_has_items_amounts_and_a_total() -> None:
    item = {"product_retailer_id": "sku1", "quantity": 2, "item_price": 49.9, "currency": "BRL"}
    other = {"product_retailer_id": "sku2", "quantity": "1", "item_price": "10", "currency": "BRL"}
    order = {"product_items": [item, other]}
    assert list_details("order", order) == [
        Detail("item", "2 × sku1", amount=Decimal("49.9"), currency="BRL"),
        Detail("item", "1 × sku2", amount=Decimal(10), currency="BRL"),
        Detail("total", "", amount=Decimal("109.8"), currency="BRL"),
    ]


@pytest.mark.parametrize(
    "change", [{"item_price": None}, {"currency": "USD"}, {"currency": "!"}, {"item_price": "1e99"}]
)
def test_an_order_whose_prices_do_not_add_up_has_no_total(change: dict[str, Any]) -> None:
    item = {"product_retailer_id": "a", "quantity": 1, "item_price": 5, "currency": "BRL"}
    assert compute_total(list_order_items({"product_items": [item, item | change]})) is None


def test_a_contact_card_has_its_phones() -> None:
    card = {"name": {"formatted_name": "Maria"}, "phones": [{"phone": "+55 11 98700-0135"}]}
    expected = [("name", "Maria"), ("phone", "+55 11 98700-0135")]
    assert show("contacts", {"content": [card, "odd"]}) == expected


def test_an_ad_is_named_whatever_the_kind_of_message() -> None:
    referral = {"headline": "Plano 500 mega", "source_url": "javascript:alert(1)", "body": "Fibra"}
    for kind in ("text", "image", "location"):
        assert show(kind, {"referral": referral})[:2] == [
            ("ad", "Plano 500 mega"),
            ("ad_text", "Fibra"),
        ]
    assert all(detail.url is None for detail in list_details("text", {"referral": referral}))
    product = {"context": {"referred_product": {"product_retailer_id": "sku9"}}}
    assert show("text", product) == [("product", "sku9")]


def test_no_content_of_any_shape_is_an_error() -> None:
    odd: list[Any] = [None, 1, "x", [], {}, [1], [{}], {"a": [{}]}, True, float("inf")]
    names = (
        "content", "product_items", "nfm_reply", "referral", "context", "latitude", "longitude",
        "list_reply", "call_permission_reply", "filename", "name",
    )  # fmt: skip
    for kind in ("location", "order", "contacts", "nfm_reply", "interactive", "document", "text"):
        for value in odd:
            list_details(kind, dict.fromkeys(names, value))
            list_details(kind, {"content": [{"phones": value, "org": value}]})


def test_a_thread_shows_the_content_of_every_kind(any_app: Flask) -> None:
    ana = sign_in(any_app, "Ana")
    conversation = make_conversation(make_contact("Maria"))
    items = [{"product_retailer_id": "sku1", "quantity": 2, "item_price": 49.9, "currency": "BRL"}]
    form = {"nfm_reply": {"response_json": '{"Nota": "<b>Boa</b>"}'}}
    make_message(conversation, "", kind="nfm_reply", payload=form)
    make_message(conversation, "", kind="location", payload={"latitude": -23.5, "longitude": -46.6})
    make_message(conversation, "hoje", kind="order", payload={"product_items": items})
    make_message(conversation, "", kind="call_permission_reply",
                 payload={"call_permission_reply": {"response": "accept"}})  # fmt: skip
    make_message(conversation, "oi", payload={"referral": {"headline": "Plano 500"}})
    page = ana.get(f"/conversations/{conversation.id}").text
    assert "Respostas de um formulário" in page
    assert "<dt>Nota</dt>" in page
    assert "&lt;b&gt;Boa" in page
    assert "query=-23.5,-46.6" in page
    for expected in ("2 × sku1 R$\xa049,90", "R$\xa099,80", "vocês podem ligar", "Plano 500"):
        assert expected in page

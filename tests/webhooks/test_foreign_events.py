"""Statuses and events of numbers, installations and messages that are not ours change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.models import DoubleAcceptance
from chatbot.delivery.outbound import CallbackId
from chatbot.webhooks.models import WaitingStatus, WebhookCount, WebhookUpdate
from tests.support.factories import (
    make_campaign,
    make_channel,
    make_message_value,
    make_recipients,
    make_status_value,
)
from tests.support.webhook_fields import FIELD_VALUES
from tests.support.webhooks import drain_queues, list_all, own_callback, store_webhook

OTHER_NUMBER = {"phone_number_id": "999000111", "display_phone_number": "551140009999"}
OPTED_OUT, BAD_TOKEN = 131050, 190


@pytest.fixture
def row_id(any_app: Flask) -> int:
    (row_id,) = make_recipients(make_campaign(), 1, state="accepted", attempt=1, wamid="wamid.ours")
    return row_id


def other_callback(row_id: int) -> str:
    return str(CallbackId("r", row_id, 1, "ffffffffff"))


def failed_with(code: int) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "x"}]}


def receive(value: dict[str, Any], field: str = "messages") -> None:
    store_webhook(value, field=field)
    drain_queues()


def assert_unchanged(state: str = "accepted") -> None:
    (row,), (contact,), (channel,) = list_all(Recipient), list_all(Contact), list_all(Channel)
    assert (row.state, row.wamid, row.error_code) == (state, "wamid.ours", None)
    assert (contact.opted_out_at, contact.unreachable_at) == (None, None)
    assert (channel.halted_reason, channel.quality, channel.daily_limit) == (None, "UNKNOWN", None)


def count_of(kind: str) -> int:
    return sum(row.number for row in list_all(WebhookCount) if row.kind == kind)


@pytest.mark.parametrize("status", ["read", "failed"])
@pytest.mark.parametrize("code", [OPTED_OUT, BAD_TOKEN])
@pytest.mark.parametrize("whose", ["foreign number", "other installation", "both"])
def test_a_status_of_somebody_elses_row_is_only_counted(
    row_id: int, whose: str, code: int, status: str
) -> None:
    callback = own_callback(row_id) if whose == "foreign number" else other_callback(row_id)
    value = make_status_value(
        "wamid.theirs",
        status,
        biz_opaque_callback_data=callback,
        **(failed_with(code) if status == "failed" else {}),
    )
    if whose != "other installation":
        value["metadata"] = OTHER_NUMBER
    receive(value)
    assert_unchanged()
    assert list_all(DoubleAcceptance) == []
    assert list_all(WaitingStatus) == []
    assert list_all(WebhookUpdate) == []
    assert count_of("status:foreign") == 1


@pytest.mark.parametrize("code", [OPTED_OUT, BAD_TOKEN])
def test_a_second_message_of_a_row_raises_the_alarm_and_has_no_other_effect(
    row_id: int, code: int
) -> None:
    receive(make_status_value("wamid.second", "failed", biz_opaque_callback_data=own_callback(row_id),
                              **failed_with(code)))  # fmt: skip
    receive(
        make_status_value("wamid.second", "read", biz_opaque_callback_data=own_callback(row_id))
    )
    assert_unchanged()
    assert [double.wamid for double in list_all(DoubleAcceptance)] == ["wamid.second"]


def test_a_status_without_a_number_belongs_to_the_account(row_id: int) -> None:
    value = make_status_value("wamid.ours", "read", biz_opaque_callback_data=own_callback(row_id))
    receive(value | {"metadata": {}})
    assert_unchanged("read")


@pytest.mark.parametrize("knows_its_phone", [True, False])
def test_events_of_a_sister_number_change_nothing(any_app: Flask, knows_its_phone: bool) -> None:
    make_recipients(make_campaign(), 1, state="accepted", attempt=1, wamid="wamid.ours")
    phone = "551140000000" if knows_its_phone else ""
    db.session.execute(sa.update(Channel).values(display_phone=phone))
    db.session.commit()
    quality = dict(FIELD_VALUES)["phone_number_quality_update"]
    receive(
        quality | {"display_phone_number": "551140009999", "current_limit": "TIER_50"},
        field="phone_number_quality_update",
    )
    receive({"metadata": OTHER_NUMBER, "errors": [{"code": BAD_TOKEN, "title": "AuthException"}]})
    assert_unchanged()
    assert list_all(WebhookUpdate) == []
    assert count_of("event:foreign") == 2


@pytest.mark.parametrize(
    "value", [make_status_value("wamid.ours", "sent"), make_message_value("oi")]
)
def test_our_phone_is_learned_from_whatever_comes_first(
    any_app: Flask, value: dict[str, Any]
) -> None:
    make_channel()
    receive(value)
    assert list_all(Channel)[0].display_phone == "551140000000"


def test_the_id_of_the_installation_is_made_once(any_app: Flask) -> None:
    with db.engine.begin() as connection:
        first = get_installation_id(connection)
    with db.engine.begin() as connection:
        assert get_installation_id(connection) == first

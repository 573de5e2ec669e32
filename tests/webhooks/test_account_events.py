"""Events of templates, account and number take effect once and show on the channel's page."""

from __future__ import annotations

import json
import time
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.campaigns.models import Campaign
from chatbot.channels.models import Channel, ChannelEvent
from chatbot.core.db import db
from chatbot.message_templates.models import MessageTemplate
from chatbot.webhooks.account_events import DESCRIPTIONS
from chatbot.webhooks.bodies import store_body
from chatbot.webhooks.events import AccountEvent
from chatbot.webhooks.models import WebhookCount, WebhookUpdate
from tests.support.clients import make_signed_in_client
from tests.support.factories import (
    make_campaign,
    make_channel,
    make_message_value,
    make_template,
    make_webhook_body,
)
from tests.support.webhook_fields import FIELD_VALUES, TEMPLATE
from tests.support.webhooks import drain_queues, list_all

VALUES = dict(FIELD_VALUES)
NOW = int(time.time())


def receive_field(field: str, at: int = NOW, **changes: Any) -> None:
    """Receive a webhook of a field with Meta's timestamp `at`."""
    body = json.loads(make_webhook_body({**VALUES.get(field, {}), **changes}, field=field))
    body["entry"][0]["time"] = at
    store_body(json.dumps(body).encode())
    drain_queues(2)


def get_channel() -> Channel:
    return list_all(Channel)[0]  # type: ignore[no-any-return]


def get_campaign() -> Campaign:
    return list_all(Campaign)[0]  # type: ignore[no-any-return]


def make_running_campaign() -> None:
    make_campaign(template=make_template(name="aviso"))


def name_channel(phone: str = "551140000000") -> None:
    db.session.execute(sa.update(Channel).values(display_phone=phone))
    db.session.commit()


def list_events() -> list[tuple[str, str, str]]:
    return [(e.field, e.event, e.severity) for e in list_all(ChannelEvent)]


def test_each_type_of_account_event_has_a_description() -> None:
    assert set(DESCRIPTIONS) == set(get_args(AccountEvent))


def test_a_paused_template_pauses_its_campaigns_until_it_is_approved_again(any_app: Flask) -> None:
    make_running_campaign()
    make_campaign(template=make_template(name="outro"))
    receive_field("message_template_status_update")
    assert [c.state for c in list_all(Campaign)] == ["paused", "running"]
    assert get_campaign().paused_reason == "The template aviso is PAUSED at Meta."
    receive_field("message_template_status_update", at=NOW + 1, event="APPROVED")
    assert (get_campaign().state, get_campaign().paused_reason) == ("running", None)


def test_a_campaign_paused_by_a_user_stays_paused(any_app: Flask) -> None:
    make_running_campaign()
    db.session.execute(sa.update(Campaign).values(state="paused"))
    db.session.commit()
    receive_field("message_template_status_update", event="APPROVED")
    assert get_campaign().state == "paused"


def test_a_late_event_about_a_template_changes_nothing(any_app: Flask) -> None:
    make_running_campaign()
    receive_field("message_template_status_update", at=NOW, event="APPROVED")
    receive_field("message_template_status_update", at=NOW - 60, event="PAUSED")
    assert (list_all(MessageTemplate)[0].status, get_campaign().state) == ("APPROVED", "running")
    assert len(list_events()) == 2, "but it is recorded"


def test_the_same_webhook_twice_is_one_event(any_app: Flask) -> None:
    make_running_campaign()
    for _ in range(2):
        receive_field("message_template_status_update")
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", "1"])
    drain_queues(2)
    assert list_events() == [("template_status", "PAUSED", "bad")]


def test_red_quality_of_a_template_pauses_and_yellow_warns(any_app: Flask) -> None:
    make_running_campaign()
    receive_field("message_template_quality_update", new_quality_score="YELLOW")
    assert (get_campaign().state, list_all(MessageTemplate)[0].quality) == ("running", "YELLOW")
    receive_field("message_template_quality_update", at=NOW + 1)
    assert (get_campaign().state, list_all(MessageTemplate)[0].quality) == ("paused", "RED")
    assert [severity for _, _, severity in list_events()] == ["warn", "bad"]


def test_a_quality_update_with_a_wrong_name_is_detected_by_its_keys(app: Flask) -> None:
    make_running_campaign()
    receive_field("message_template_status_update", event=None, new_quality_score="RED")
    assert get_campaign().state == "paused"


def test_a_category_changes_with_the_event_and_not_with_its_notice(any_app: Flask) -> None:
    make_running_campaign()
    db.session.execute(sa.update(MessageTemplate).values(category="MARKETING"))
    db.session.commit()
    notice = {"correct_category": "UTILITY", "new_category": "MARKETING"}
    receive_field("template_category_update", at=NOW, **notice)
    assert list_all(MessageTemplate)[0].category == "MARKETING"
    receive_field("template_category_update", at=NOW + 9, new_category="UTILITY")
    assert list_all(MessageTemplate)[0].category == "UTILITY"


@pytest.mark.parametrize("field", ["message_template_components_update",
                                   "message_template_status_update"])  # fmt: skip
def test_an_unknown_or_changed_template_requests_a_sync(app: Flask, field: str) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(templates_synced_at=sa.func.now()))
    db.session.commit()
    receive_field(field)
    assert get_channel().templates_synced_at is None


@pytest.mark.parametrize(
    ("changes", "state", "is_halted"),
    [
        ({}, "restricted", False),
        ({"event": "DISABLED_UPDATE", "restriction_info": None,
          "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}}, "restricted", False),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "disabled", True),
        ({"event": "ACCOUNT_DELETED"}, "deleted", True),
    ],
)  # fmt: skip
def test_a_restricted_account_stops_its_campaigns(
    app: Flask, changes: dict[str, Any], state: str, is_halted: bool
) -> None:
    make_running_campaign()
    receive_field("account_update", **changes)
    assert (get_channel().account_state, get_campaign().state) == (state, "paused")
    assert (get_channel().halted_reason is not None) == is_halted
    assert ("account", changes.get("event", "ACCOUNT_RESTRICTION"), "bad") in list_events()


def test_an_account_that_is_reinstated_is_active_again(app: Flask) -> None:
    make_channel()
    receive_field("account_update", event="DISABLED_UPDATE", ban_info={"waba_ban_state": "DISABLE"})
    receive_field("account_update", at=NOW + 1, event="DISABLED_UPDATE", restriction_info=[],
         ban_info={"waba_ban_state": "REINSTATE"})  # fmt: skip
    assert get_channel().account_state == "active"


def test_other_events_of_the_account_stop_nothing(app: Flask) -> None:
    make_running_campaign()
    receive_field("account_update", event="VERIFIED_ACCOUNT", restriction_info=[])
    assert (get_channel().account_state, get_campaign().state) == ("active", "running")


@pytest.mark.parametrize(
    ("value", "limit"),
    [("TIER_2K", 2000), (10_000, 10_000), ("250", 250), (-1, None), ("TIER_UNLIMITED", None)],
)
def test_the_daily_limit_is_stored_with_the_channel(
    app: Flask, value: object, limit: int | None
) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(daily_limit=7))
    db.session.commit()
    receive_field("business_capability_update", max_daily_conversations_per_business=value)
    assert get_channel().daily_limit == limit


def test_an_unreadable_limit_changes_nothing(app: Flask) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(daily_limit=7))
    db.session.commit()
    receive_field("business_capability_update", max_daily_conversations_per_business="many")
    assert get_channel().daily_limit == 7


def test_a_flagged_number_pauses_all_campaigns_and_an_upgrade_raises_the_throughput(
    any_app: Flask,
) -> None:
    make_running_campaign()
    name_channel()
    receive_field("phone_number_quality_update")
    found = get_channel()
    assert (found.quality, found.daily_limit, get_campaign().state) == ("RED", 10_000, "paused")
    receive_field("phone_number_quality_update", at=NOW + 1, event="THROUGHPUT_UPGRADE",
         current_limit="TIER_UNLIMITED")  # fmt: skip
    assert (get_channel().throughput, get_channel().daily_limit) == ("HIGH", None)


def test_an_error_without_a_message_halts_the_channel_if_our_token_is_invalid(app: Flask) -> None:
    make_running_campaign()
    store_body(make_webhook_body({"metadata": {"phone_number_id": make_channel().phone_number_id},
                        "errors": [{"code": 0, "title": "AuthException"}]}))  # fmt: skip
    drain_queues(2)
    assert get_channel().halted_reason == "(0) AuthException"
    assert get_campaign().state == "paused"


def test_an_event_of_an_unknown_account_is_quarantined(app: Flask) -> None:
    make_channel()
    body = json.loads(make_webhook_body(VALUES["security"], field="security"))
    body["entry"][0]["id"] = "999"
    store_body(json.dumps(body).encode())
    drain_queues(2)
    (quarantined,) = list_all(WebhookUpdate)
    assert quarantined.reason == "account 999 is not one of ours"


def test_an_unknown_field_is_kept_and_counted(any_app: Flask) -> None:
    make_channel()
    receive_field("brand_new_field", x=1)
    assert {c.kind: c.number for c in list_all(WebhookCount)} == {"field:brand_new_field": 1}
    assert list_all(WebhookUpdate) == []


def test_all_events_show_on_the_channels_page_in_both_languages(app: Flask) -> None:
    make_running_campaign()
    store_body(make_webhook_body(make_message_value()))  # contains our phone number
    for number, (field, value) in enumerate(FIELD_VALUES):
        receive_field(field, at=NOW + number, **value)
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    page = manager.get("/channel/").text
    for words in (
        "+55 (11) 4000-0000",
        "Restrita pela Meta",
        "Ruim",
        "Qualidade de um modelo: aviso (pt_BR)",
        "Segurança do número",
        "PIN alterado",
        "Look at it",
    ):
        assert words in page, words
    manager.set_cookie("locale", "en")
    page = manager.get("/channel/").text
    assert "Restricted by Meta" in page
    assert "Quality of a template" in page
    assert TEMPLATE["message_template_name"] in page


def test_a_halted_number_shows_the_reason_and_can_be_resumed(app: Flask) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(halted_reason="(190) Session has expired"))
    db.session.commit()
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    assert "renovar o token" in manager.get("/channel/").text
    assert manager.post(f"/channel/{get_channel().id}/resume").status_code == 303
    assert get_channel().halted_reason is None

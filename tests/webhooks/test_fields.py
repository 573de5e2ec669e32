"""What Meta says of templates, account and number takes effect, once, and shows on the channel's page."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.campaigns.models import Campaign
from chatbot.channels.models import Channel, ChannelEvent
from chatbot.core.db import db
from chatbot.message_templates.models import MessageTemplate
from chatbot.webhooks.door import store_body
from chatbot.webhooks.models import WebhookCount, WebhookUpdate
from tests.support.fields import FIELD_VALUES, TEMPLATE
from tests.support.making import body_of, make_campaign, make_channel, make_template, message_value
from tests.support.visitors import signed_in
from tests.support.webhooks import all_of, drain

VALUES = dict(FIELD_VALUES)
NOW = int(time.time())


def hear(field: str, at: int = NOW, **changes: Any) -> None:
    """Meta says it, `at` a moment of Meta's."""
    body = json.loads(body_of({**VALUES.get(field, {}), **changes}, field=field))
    body["entry"][0]["time"] = at
    store_body(json.dumps(body).encode())
    drain(2)


def channel() -> Channel:
    return all_of(Channel)[0]  # type: ignore[no-any-return]


def campaign() -> Campaign:
    return all_of(Campaign)[0]  # type: ignore[no-any-return]


def running() -> None:
    make_campaign(template=make_template(name="aviso"))


def events() -> list[tuple[str, str, str]]:
    return [(e.field, e.event, e.severity) for e in all_of(ChannelEvent)]


def test_a_paused_template_pauses_its_campaigns_and_they_go_on_with_it(any_app: Flask) -> None:
    running()
    make_campaign(template=make_template(name="outro"))
    hear("message_template_status_update")
    assert [c.state for c in all_of(Campaign)] == ["paused", "running"]
    assert campaign().paused_reason == "The template aviso is PAUSED at Meta."
    hear("message_template_status_update", at=NOW + 1, event="APPROVED")
    assert (campaign().state, campaign().paused_reason) == ("running", None)


def test_what_a_person_paused_stays_paused(any_app: Flask) -> None:
    running()
    db.session.execute(sa.update(Campaign).values(state="paused"))
    db.session.commit()
    hear("message_template_status_update", event="APPROVED")
    assert campaign().state == "paused"


def test_a_late_word_about_a_template_changes_nothing(any_app: Flask) -> None:
    running()
    hear("message_template_status_update", at=NOW, event="APPROVED")
    hear("message_template_status_update", at=NOW - 60, event="PAUSED")
    assert (all_of(MessageTemplate)[0].status, campaign().state) == ("APPROVED", "running")
    assert len(events()) == 2, "but it is written down"


def test_the_same_word_twice_is_one_event(any_app: Flask) -> None:
    running()
    for _ in range(2):
        hear("message_template_status_update")
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", "1"])
    drain(2)
    assert events() == [("template_status", "PAUSED", "bad")]


def test_red_quality_of_a_template_pauses_and_yellow_warns(any_app: Flask) -> None:
    running()
    hear("message_template_quality_update", new_quality_score="YELLOW")
    assert (campaign().state, all_of(MessageTemplate)[0].quality) == ("running", "YELLOW")
    hear("message_template_quality_update", at=NOW + 1)
    assert (campaign().state, all_of(MessageTemplate)[0].quality) == ("paused", "RED")
    assert [severity for _, _, severity in events()] == ["warn", "bad"]


def test_a_quality_update_under_a_wrong_name_is_known_by_its_keys(app: Flask) -> None:
    running()
    hear("message_template_status_update", event=None, new_quality_score="RED")
    assert campaign().state == "paused"


def test_a_category_changes_when_it_does_and_not_with_the_notice(any_app: Flask) -> None:
    running()
    notice = {"correct_category": "UTILITY", "new_category": "MARKETING"}
    hear("template_category_update", at=NOW, **notice)
    assert all_of(MessageTemplate)[0].category == "MARKETING"
    hear("template_category_update", at=NOW + 9, new_category="UTILITY")
    assert all_of(MessageTemplate)[0].category == "UTILITY"


@pytest.mark.parametrize("field", ["message_template_components_update",
                                   "message_template_status_update"])  # fmt: skip
def test_what_we_do_not_know_of_a_template_is_fetched_anew(app: Flask, field: str) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(templates_synced_at=sa.func.now()))
    db.session.commit()
    hear(field)
    assert channel().templates_synced_at is None


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
    running()
    hear("account_update", **changes)
    assert (channel().account_state, campaign().state) == (state, "paused")
    assert (channel().halted_reason is not None) == is_halted
    assert ("account", changes.get("event", "ACCOUNT_RESTRICTION"), "bad") in events()


def test_an_account_that_is_reinstated_is_active_again(app: Flask) -> None:
    make_channel()
    hear("account_update", event="DISABLED_UPDATE", ban_info={"waba_ban_state": "DISABLE"})
    hear("account_update", at=NOW + 1, event="DISABLED_UPDATE", restriction_info=[],
         ban_info={"waba_ban_state": "REINSTATE"})  # fmt: skip
    assert channel().account_state == "active"


def test_other_events_of_the_account_stop_nothing(app: Flask) -> None:
    running()
    hear("account_update", event="VERIFIED_ACCOUNT", restriction_info=[])
    assert (channel().account_state, campaign().state) == ("active", "running")


@pytest.mark.parametrize(
    ("value", "limit"),
    [("TIER_2K", 2000), (10_000, 10_000), ("250", 250), (-1, None), ("TIER_UNLIMITED", None)],
)
def test_the_limit_of_people_a_day_is_the_channels(
    app: Flask, value: object, limit: int | None
) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(daily_limit=7))
    db.session.commit()
    hear("business_capability_update", max_daily_conversations_per_business=value)
    assert channel().daily_limit == limit


def test_a_limit_nobody_can_read_changes_nothing(app: Flask) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(daily_limit=7))
    db.session.commit()
    hear("business_capability_update", max_daily_conversations_per_business="many")
    assert channel().daily_limit == 7


def test_a_flagged_number_pauses_all_and_an_upgrade_is_faster(any_app: Flask) -> None:
    running()
    hear("phone_number_quality_update")
    found = channel()
    assert (found.quality, found.daily_limit, campaign().state) == ("RED", 10_000, "paused")
    hear("phone_number_quality_update", at=NOW + 1, event="THROUGHPUT_UPGRADE",
         current_limit="TIER_UNLIMITED")  # fmt: skip
    assert (channel().throughput, channel().daily_limit) == ("HIGH", None)


def test_an_error_without_a_message_halts_when_our_access_is_dead(app: Flask) -> None:
    running()
    store_body(body_of({"metadata": {"phone_number_id": make_channel().phone_number_id},
                        "errors": [{"code": 0, "title": "AuthException"}]}))  # fmt: skip
    drain(2)
    assert channel().halted_reason == "(0) AuthException"
    assert campaign().state == "paused"


def test_an_account_that_is_not_ours_is_set_aside(app: Flask) -> None:
    make_channel()
    body = json.loads(body_of(VALUES["security"], field="security"))
    body["entry"][0]["id"] = "999"
    store_body(json.dumps(body).encode())
    drain(2)
    (parked,) = all_of(WebhookUpdate)
    assert parked.reason == "account 999 is not one of ours"


def test_a_field_nobody_knows_is_kept_and_counted(any_app: Flask) -> None:
    make_channel()
    hear("brand_new_field", x=1)
    assert {c.kind: c.number for c in all_of(WebhookCount)} == {"field:brand_new_field": 1}
    assert all_of(WebhookUpdate) == []


def test_all_of_it_shows_on_the_channels_page_in_both_languages(app: Flask) -> None:
    running()
    store_body(body_of(message_value()))  # which says what our number is
    for number, (field, value) in enumerate(FIELD_VALUES):
        hear(field, at=NOW + number, **value)
    manager, _ = signed_in(app, Role.MANAGER)
    page = manager.get("/channel/").text
    for words in (
        "+55 (11) 4000-0000",
        "Restrita pela Meta",
        "Ruim",
        "Qualidade de um modelo: aviso (pt_BR)",
        "Segurança do número",
        "PIN_CHANGED",
        "Look at it",
    ):
        assert words in page, words
    manager.set_cookie("locale", "en")
    page = manager.get("/channel/").text
    assert "Restricted by Meta" in page
    assert "Quality of a template" in page
    assert TEMPLATE["message_template_name"] in page


def test_a_halted_number_says_why_and_a_person_lets_it_go_on(app: Flask) -> None:
    make_channel()
    db.session.execute(sa.update(Channel).values(halted_reason="(190) Session has expired"))
    db.session.commit()
    manager, _ = signed_in(app, Role.MANAGER)
    assert "renovar o token" in manager.get("/channel/").text
    assert manager.post(f"/channel/{channel().id}/resume").status_code == 303
    assert channel().halted_reason is None

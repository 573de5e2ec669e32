"""`flask channels check`: what a newcomer gets wrong first, each with its fix."""

from __future__ import annotations

import pytest

from tests.flows.conftest import StackMaker

pytestmark = pytest.mark.flow


def test_all_is_right_on_a_stack_of_our_own(make_stack: StackMaker) -> None:
    settings = '{"tier_limit": 100000}'
    stack = make_stack(None, SIMULATOR_SETTINGS=settings).start("simulator", "web")
    told = stack.flask("channels", "check")
    for subject in ("number", "account", "webhook", "templates", "callback"):
        assert f"ok   {subject}: " in told
    assert stack.flask("channels", "limit").strip() == "100000", "people a day, as Meta says"


FIXES = [
    ("WHATSAPP_TOKEN", "token", "system user's token"),
    ("WHATSAPP_PHONE_NUMBER_ID", "number", "not the phone number"),
    ("WHATSAPP_BUSINESS_ACCOUNT_ID", "account", "WhatsApp Business Account id"),
]


def test_what_is_wrong_is_named_with_its_fix(make_stack: StackMaker) -> None:
    stack = make_stack(None).start("simulator", "web")
    right = stack.environment
    for setting, subject, fix in FIXES:
        stack.environment = right | {setting: "000"}
        told = stack.flask("channels", "check", check=False)
        assert f"FAIL {subject}: " in told
        assert fix in told

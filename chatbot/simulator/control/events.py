"""Events of a user or of the account: each changes the state and sends its webhook."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from chatbot.simulator.errors import ERROR_CODES
from chatbot.simulator.identifiers import make_wamid
from chatbot.simulator.platform.rate_limits import get_tier_name
from chatbot.simulator.platform.update_scheduler import InboundUpdate
from chatbot.simulator.platform.whatsapp_users import WhatsAppUser
from chatbot.simulator.simulator import LOCKED, RESTRICTED, Simulator
from chatbot.simulator.webhooks.payloads import DISPLAY_PHONE_NUMBER

WEEK_S = 7 * 86_400
Value = dict[str, object]


class NumberChanged(
    msgspec.Struct, tag_field="event", tag="number_changed", forbid_unknown_fields=True
):
    """Move of the user `from` to the number `to`, which also changes the user id."""

    number: str = msgspec.field(name="from")
    to: str
    name: str = "Maria Souza"


class UserIdChanged(
    msgspec.Struct, tag_field="event", tag="user_id_changed", forbid_unknown_fields=True
):
    number: str = msgspec.field(name="from")
    name: str = "Maria Souza"


class IdentityChanged(
    msgspec.Struct, tag_field="event", tag="identity_changed", forbid_unknown_fields=True
):
    """Change of the user's security code, usually because of a new phone."""

    number: str = msgspec.field(name="from")


class MarketingPreferenceChanged(
    msgspec.Struct, tag_field="event", tag="marketing_choice", forbid_unknown_fields=True
):
    """Stop or resumption of marketing messages by the user (Meta: field `user_preferences`)."""

    number: str = msgspec.field(name="from")
    value: Literal["stop", "resume"]
    name: str = "Maria Souza"


class AccountEvent(msgspec.Struct, tag_field="event", tag="account", forbid_unknown_fields=True):
    """Event of the account; `name` is a key of `ACCOUNT_EVENTS`."""

    name: str


class StandaloneErrorEvent(
    msgspec.Struct, tag_field="event", tag="error", forbid_unknown_fields=True
):
    """Error without a message or status."""

    code: int


class FieldEvent(msgspec.Struct, tag_field="event", tag="field", forbid_unknown_fields=True):
    """Webhook of any field with any value."""

    field: str
    value: dict[str, object]


Event = (
    NumberChanged
    | UserIdChanged
    | IdentityChanged
    | MarketingPreferenceChanged
    | AccountEvent
    | StandaloneErrorEvent
    | FieldEvent
)


def apply_event(simulator: Simulator, event: Event) -> dict[str, object]:
    """Apply the event and return its result; raise ValueError or GraphError if it is invalid."""
    match event:
        case AccountEvent():
            return _apply_account_event(simulator, event.name)
        case FieldEvent():
            _publish_field(simulator, event.field, event.value)
            return {"field": event.field}
        case StandaloneErrorEvent():
            if event.code not in ERROR_CODES:
                raise ValueError(f"`code`: {event.code} is no error that the simulator knows")
            simulator.webhook_sender.submit(simulator.payloads.errors(event.code))
            return {"code": event.code}
    user = simulator.users.get_by_number_or_id(event.number, simulator.settings)
    match event:
        case NumberChanged():
            return _change_number(simulator, user, event)
        case UserIdChanged():
            return _change_user_id(simulator, user, event)
        case IdentityChanged():
            return _change_identity(simulator, user)
        case MarketingPreferenceChanged():
            return _change_marketing_preference(simulator, user, event)


def _change_number(simulator: Simulator, user: WhatsAppUser, event: NumberChanged) -> Value:
    target = simulator.users.get_by_number_or_id(event.to, simulator.settings)
    sender = simulator.render_sender(user)
    body = f"User {event.name} changed from {user.wa_id} to {target.wa_id}"
    change = {"body": body, "type": "user_changed_number", "wa_id": target.wa_id}
    _publish_system_message(simulator, user, sender, {**change, "user_id": target.user_id})
    simulator.users.change_number(user, target.key)
    return {"wa_id": target.wa_id, "user_id": target.user_id}


def _change_user_id(simulator: Simulator, user: WhatsAppUser, event: UserIdChanged) -> Value:
    before = simulator.users.change_user_id(user)
    body = f"User {event.name} changed user ID from {before} to {user.user_id}"
    ids = {"user_id": user.user_id, "previous_user_id": before}
    sender = simulator.render_sender(user) | {"from_user_id": before}
    _publish_system_message(
        simulator, user, sender, {"body": body, "type": "user_changed_user_id", **ids}
    )
    return dict(ids)


def _change_identity(simulator: Simulator, user: WhatsAppUser) -> Value:
    at = int(simulator.clock.now())
    identity = {"acknowledged": False, "created_timestamp": str(at), "hash": user.user_id[3:]}
    body = f"User {user.wa_id} changed security code"
    change = {"body": body, "type": "customer_identity_changed", "identity": identity}
    sender = {**simulator.render_sender(user), "identity": identity}
    _publish_system_message(simulator, user, sender, change, simulator.render_contact(user, ""))
    return {"hash": identity["hash"]}


def _change_marketing_preference(
    simulator: Simulator, user: WhatsAppUser, event: MarketingPreferenceChanged
) -> Value:
    simulator.marketing_opt_outs.discard(user.key)
    if event.value == "stop":
        simulator.marketing_opt_outs.add(user.key)
    contact = simulator.render_contact(user, event.name)
    preference: Value = {
        key: contact[key] for key in ("wa_id", "user_id") if key in contact
    }  # fmt: skip
    preference |= {
        "detail": f"User requested to {event.value} marketing messages",
        "category": "marketing_messages",
        "value": event.value,
        "timestamp": int(simulator.clock.now()),
    }
    simulator.webhook_sender.submit(simulator.payloads.preference(contact, preference))
    return preference


def _publish_system_message(
    simulator: Simulator,
    user: WhatsAppUser,
    sender: Value,
    change: Mapping[str, object],
    contact: Value | None = None,
) -> None:
    """Publish a `system` message, which is not stored in the thread.

    Meta sends no `contacts` with it; pywa needs one for a changed identity.
    """
    message: Value = {
        **sender,
        "id": make_wamid(user.key),
        "timestamp": str(int(simulator.clock.now())),
        "type": "system",
        "system": change,
    }
    simulator.publish_inbound(InboundUpdate(message, contact or {}, lambda: None))


def _publish_field(simulator: Simulator, field: str, value: Value) -> None:
    body = simulator.payloads.render_field(field, value, simulator.clock.now())
    simulator.webhook_sender.submit(body)


def _render_restriction(simulator: Simulator) -> Value:
    ends_at = int(simulator.clock.now()) + WEEK_S
    kind = "RESTRICTED_BIZ_INITIATED_MESSAGING"
    restriction = {"restriction_type": kind, "expiration": ends_at}
    return {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}


def _ban_renderer(state: str) -> Callable[[Simulator], Value]:
    ban = {"waba_ban_state": state, "waba_ban_date": "November 26, 2026"}
    return lambda _: {"event": "DISABLED_UPDATE", "ban_info": ban}


def _render_capability(simulator: Simulator) -> Value:
    tier = get_tier_name(simulator.settings.tier_limit)
    return {"max_daily_conversations_per_business": tier, "max_phone_numbers_per_business": 20}


def _quality_renderer(event: str, current: str, old: str) -> Callable[[Simulator], Value]:
    limits = {"current_limit": current, "old_limit": old}
    return lambda _: {"display_phone_number": DISPLAY_PHONE_NUMBER, "event": event, **limits}


def _constant_renderer(**value: object) -> Callable[[Simulator], Value]:
    return lambda _: value


# name -> (webhook field, its value, error code of sends from then on: 0 for none, None for no change)
ACCOUNT_EVENTS: dict[str, tuple[str, Callable[[Simulator], Value], int | None]] = {
    "restricted": ("account_update", _render_restriction, RESTRICTED),
    "violation": (
        "account_update",
        _constant_renderer(event="ACCOUNT_VIOLATION", violation_info={"violation_type": "SPAM"}),
        None,
    ),
    "ban_scheduled": ("account_update", _ban_renderer("SCHEDULE_FOR_DISABLE"), None),
    "disabled": ("account_update", _ban_renderer("DISABLE"), LOCKED),
    "reinstated": ("account_update", _ban_renderer("REINSTATE"), 0),
    "verified": ("account_update", _constant_renderer(event="VERIFIED_ACCOUNT"), None),
    "deleted": ("account_update", _constant_renderer(event="ACCOUNT_DELETED"), LOCKED),
    "review_rejected": ("account_review_update", _constant_renderer(decision="REJECTED"), None),
    "alert": (
        "account_alerts",
        _constant_renderer(
            entity_type="BUSINESS",
            entity_id="1",
            alert_info={
                "alert_severity": "WARNING",
                "alert_status": "NONE",
                "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED",
                "alert_description": "The messaging limit was not raised.",
            },
        ),
        None,
    ),
    "tier": ("business_capability_update", _render_capability, None),
    "throughput_upgraded": (
        "phone_number_quality_update",
        _quality_renderer("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "TIER_100K"),
        None,
    ),
    "quality_flagged": (
        "phone_number_quality_update",
        _quality_renderer("FLAGGED", "TIER_10K", "TIER_10K"),
        None,
    ),
    "quality_unflagged": (
        "phone_number_quality_update",
        _quality_renderer("UNFLAGGED", "TIER_10K", "TIER_10K"),
        None,
    ),
    "name_rejected": (
        "phone_number_name_update",
        _constant_renderer(
            display_phone_number=DISPLAY_PHONE_NUMBER,
            decision="REJECTED",
            requested_verified_name="Prosa",
            rejection_reason="NAME_NOT_CONSISTENT",
        ),
        None,
    ),
    "pin_changed": (
        "security",
        _constant_renderer(
            display_phone_number=DISPLAY_PHONE_NUMBER, event="PIN_CHANGED", requester="1"
        ),
        None,
    ),
}


def _apply_account_event(simulator: Simulator, name: str) -> Value:
    if name not in ACCOUNT_EVENTS:
        raise ValueError(f"`name`: {name!r} is none of {', '.join(ACCOUNT_EVENTS)}")
    field, make_value, restriction_code = ACCOUNT_EVENTS[name]
    if restriction_code is not None:
        simulator.restriction_code = restriction_code
    value = make_value(simulator)
    _publish_field(simulator, field, value)
    return value

"""What happens to a person or to the account: each changes the platform and tells it (2.3, 7.5)."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from chatbot.simulator.errors import KNOWN
from chatbot.simulator.identity import make_wamid
from chatbot.simulator.limits import tier_of
from chatbot.simulator.outbox import Written
from chatbot.simulator.payloads import DISPLAY_PHONE_NUMBER
from chatbot.simulator.people import Person
from chatbot.simulator.simulator import LOCKED, RESTRICTED, Simulator

WEEK_S = 7 * 86_400
Value = dict[str, object]


class NumberChanged(
    msgspec.Struct, tag_field="event", tag="number_changed", forbid_unknown_fields=True
):
    """The person `from` has the number `to` now, and with it another user id."""

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
    """The person's security code is another one: a new telephone, most often."""

    number: str = msgspec.field(name="from")


class MarketingChoice(
    msgspec.Struct, tag_field="event", tag="marketing_choice", forbid_unknown_fields=True
):
    """The person stops or resumes marketing inside WhatsApp (section 7.4)."""

    number: str = msgspec.field(name="from")
    value: Literal["stop", "resume"]
    name: str = "Maria Souza"


class AccountEvent(msgspec.Struct, tag_field="event", tag="account", forbid_unknown_fields=True):
    """One of the names of `ACCOUNT_EVENTS`."""

    name: str


class LooseError(msgspec.Struct, tag_field="event", tag="error", forbid_unknown_fields=True):
    """An error that belongs to no message and no status."""

    code: int


class FieldEvent(msgspec.Struct, tag_field="event", tag="field", forbid_unknown_fields=True):
    """Any field at all, with any value."""

    field: str
    value: dict[str, object]


Event = (
    NumberChanged
    | UserIdChanged
    | IdentityChanged
    | MarketingChoice
    | AccountEvent
    | LooseError
    | FieldEvent
)


def happen(simulator: Simulator, event: Event) -> dict[str, object]:
    """Let it happen; ValueError or GraphError names what is wrong."""
    match event:
        case AccountEvent():
            return _account(simulator, event.name)
        case FieldEvent():
            _tell(simulator, event.field, event.value)
            return {"field": event.field}
        case LooseError():
            if event.code not in KNOWN:
                raise ValueError(f"`code`: {event.code} is no error that the simulator knows")
            simulator.delivery.submit(simulator.envelopes.errors(event.code))
            return {"code": event.code}
    person = simulator.people.dialled(event.number, simulator.settings)
    match event:
        case NumberChanged():
            return _number_changed(simulator, person, event)
        case UserIdChanged():
            return _user_id_changed(simulator, person, event)
        case IdentityChanged():
            return _identity_changed(simulator, person)
        case MarketingChoice():
            return _marketing(simulator, person, event)


def _number_changed(simulator: Simulator, person: Person, event: NumberChanged) -> Value:
    target = simulator.people.dialled(event.to, simulator.settings)
    sender = simulator.sender_of(person)
    body = f"User {event.name} changed from {person.wa_id} to {target.wa_id}"
    change = {"body": body, "type": "user_changed_number", "wa_id": target.wa_id}
    _system(simulator, person, sender, {**change, "user_id": target.user_id})
    simulator.people.change_number(person, target.key)
    return {"wa_id": target.wa_id, "user_id": target.user_id}


def _user_id_changed(simulator: Simulator, person: Person, event: UserIdChanged) -> Value:
    before = simulator.people.change_user_id(person)
    body = f"User {event.name} changed user ID from {before} to {person.user_id}"
    ids = {"user_id": person.user_id, "previous_user_id": before}
    sender = simulator.sender_of(person) | {"from_user_id": before}
    _system(simulator, person, sender, {"body": body, "type": "user_changed_user_id", **ids})
    return dict(ids)


def _identity_changed(simulator: Simulator, person: Person) -> Value:
    at = int(simulator.clock.now())
    identity = {"acknowledged": False, "created_timestamp": str(at), "hash": person.user_id[3:]}
    body = f"User {person.wa_id} changed security code"
    change = {"body": body, "type": "customer_identity_changed", "identity": identity}
    sender = {**simulator.sender_of(person), "identity": identity}
    _system(simulator, person, sender, change, simulator.contact_of(person, ""))
    return {"hash": identity["hash"]}


def _marketing(simulator: Simulator, person: Person, event: MarketingChoice) -> Value:
    simulator.refuses_marketing.discard(person.key)
    if event.value == "stop":
        simulator.refuses_marketing.add(person.key)
    contact = simulator.contact_of(person, event.name)
    preference: Value = {
        key: contact[key] for key in ("wa_id", "user_id") if key in contact
    }  # fmt: skip
    preference |= {
        "detail": f"User requested to {event.value} marketing messages",
        "category": "marketing_messages",
        "value": event.value,
        "timestamp": int(simulator.clock.now()),
    }
    simulator.delivery.submit(simulator.envelopes.preference(contact, preference))
    return preference


def _system(
    simulator: Simulator,
    person: Person,
    sender: Value,
    change: Mapping[str, object],
    contact: Value | None = None,
) -> None:
    """A `system` message has no place in the thread, and contacts only where pywa looks for them
    (section 2.3 knows none)."""
    message: Value = {
        **sender,
        "id": make_wamid(person.key),
        "timestamp": str(int(simulator.clock.now())),
        "type": "system",
        "system": change,
    }
    simulator.tell(Written(message, contact or {}, lambda: None))


def _tell(simulator: Simulator, field: str, value: Value) -> None:
    body = simulator.envelopes.management(field, value, simulator.clock.now())
    simulator.delivery.submit(body)


def _restriction(simulator: Simulator) -> Value:
    ends_at = int(simulator.clock.now()) + WEEK_S
    kind = "RESTRICTED_BIZ_INITIATED_MESSAGING"
    restriction = {"restriction_type": kind, "expiration": ends_at}
    return {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}


def _ban(state: str) -> Callable[[Simulator], Value]:
    ban = {"waba_ban_state": state, "waba_ban_date": "November 26, 2026"}
    return lambda _: {"event": "DISABLED_UPDATE", "ban_info": ban}


def _capability(simulator: Simulator) -> Value:
    tier = tier_of(simulator.settings.tier_limit)
    return {"max_daily_conversations_per_business": tier, "max_phone_numbers_per_business": 20}


def _quality(event: str, current: str, old: str) -> Callable[[Simulator], Value]:
    limits = {"current_limit": current, "old_limit": old}
    return lambda _: {"display_phone_number": DISPLAY_PHONE_NUMBER, "event": event, **limits}


def _fixed(**value: object) -> Callable[[Simulator], Value]:
    return lambda _: value


# name -> (webhook field, its value, the code that sends are answered with from then on or None)
ACCOUNT_EVENTS: dict[str, tuple[str, Callable[[Simulator], Value], int | None]] = {
    "restricted": ("account_update", _restriction, RESTRICTED),
    "violation": (
        "account_update",
        _fixed(event="ACCOUNT_VIOLATION", violation_info={"violation_type": "SPAM"}),
        None,
    ),
    "ban_scheduled": ("account_update", _ban("SCHEDULE_FOR_DISABLE"), None),
    "disabled": ("account_update", _ban("DISABLE"), LOCKED),
    "reinstated": ("account_update", _ban("REINSTATE"), 0),
    "verified": ("account_update", _fixed(event="VERIFIED_ACCOUNT"), None),
    "deleted": ("account_update", _fixed(event="ACCOUNT_DELETED"), LOCKED),
    "review_rejected": ("account_review_update", _fixed(decision="REJECTED"), None),
    "alert": (
        "account_alerts",
        _fixed(
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
    "tier": ("business_capability_update", _capability, None),
    "throughput_upgraded": (
        "phone_number_quality_update",
        _quality("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "TIER_100K"),
        None,
    ),
    "quality_flagged": (
        "phone_number_quality_update",
        _quality("FLAGGED", "TIER_10K", "TIER_10K"),
        None,
    ),
    "quality_unflagged": (
        "phone_number_quality_update",
        _quality("UNFLAGGED", "TIER_10K", "TIER_10K"),
        None,
    ),
    "name_rejected": (
        "phone_number_name_update",
        _fixed(
            display_phone_number=DISPLAY_PHONE_NUMBER,
            decision="REJECTED",
            requested_verified_name="Prosa",
            rejection_reason="NAME_NOT_CONSISTENT",
        ),
        None,
    ),
    "pin_changed": (
        "security",
        _fixed(display_phone_number=DISPLAY_PHONE_NUMBER, event="PIN_CHANGED", requester="1"),
        None,
    ),
}


def _account(simulator: Simulator, name: str) -> Value:
    if name not in ACCOUNT_EVENTS:
        raise ValueError(f"`name`: {name!r} is none of {', '.join(ACCOUNT_EVENTS)}")
    field, make_value, standing = ACCOUNT_EVENTS[name]
    if standing is not None:
        simulator.standing = standing
    value = make_value(simulator)
    _tell(simulator, field, value)
    return value

"""Malformed webhook bodies, the same ones for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.factories import make_message_value, make_status_value, make_webhook_body
from tests.support.settings import SECRETS
from tests.support.webhook_fields import FIELD_VALUES

SAMPLES = sorted((Path(__file__).parents[1] / "data/webhooks").glob("*.json"))

ODD_VALUES: list[Any] = [
    None, True, 0, -1, 2**70, 1e308, "", " ", "\x00", "a\x00b", "\ud83d", "💚" * 300, "9" * 400,
    "x" * 5000, "NaN", "-1", "1e400", "٣", [], {}, [[]], [None], {"a": {"b": []}}, "BR.abc", [1, "x"],
]  # fmt: skip


def _list_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            found += _list_paths(inner, (*path, name))
    return found


def mutate(body: Any, rng: random.Random) -> Any:
    mutated = copy.deepcopy(body)
    for _ in range(rng.randint(1, 3)):
        paths = _list_paths(mutated)
        if not paths:
            break
        *way, last = rng.choice(paths)
        inner = mutated
        for name in way:
            inner = inner[name]
        action = rng.random()
        if action < 0.25:
            del inner[last]
        elif action < 0.35 and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
        else:
            # A copy, so that a second mutation inside it cannot change ODD_VALUES or make a cycle.
            inner[last] = copy.deepcopy(rng.choice(ODD_VALUES))
    return mutated


def make_seed_bodies() -> list[Any]:
    ours = [
        make_webhook_body(make_message_value(), make_status_value("w", biz_opaque_callback_data="r:1:1")),
        make_webhook_body(make_message_value(type="interactive", text=None,
                              interactive={"type": "button_reply",
                                           "button_reply": {"id": "x", "title": "y"}})),
        make_webhook_body(make_message_value(type="system", text=None,
                              system={"type": "user_changed_number", "wa_id": "5521976543210"})),
        make_webhook_body(make_message_value(type="contacts", text=None, contacts=[
            {"origin": "contact_request", "name": {"formatted_name": "A"},
             "phones": [{"wa_id": "5511987654321"}]}])),
        make_webhook_body(make_status_value(
            "w", "failed", errors=[{"code": 1, "error_data": {"details": "x"}}])),
        *(make_webhook_body(value, field=field) for field, value in FIELD_VALUES),
    ]  # fmt: skip
    return [
        _readdress_to_us(json.loads(raw)) for raw in [*ours, *(p.read_bytes() for p in SAMPLES)]
    ]


def _readdress_to_us(body: Any) -> Any:
    """Set our account and number ids; webhooks of other accounts are not processed further."""
    for entry in body["entry"]:
        entry["id"] = SECRETS["WHATSAPP_BUSINESS_ACCOUNT_ID"]
        for change in entry["changes"]:
            if "metadata" in change["value"]:
                change["value"]["metadata"]["phone_number_id"] = SECRETS["WHATSAPP_PHONE_NUMBER_ID"]
    return body


def mutated_bodies(count: int, seed: int) -> Iterator[bytes]:
    """Yield bodies with changed types, removed keys, doubled items, changed bytes or a cut end."""
    rng, known = random.Random(seed), make_seed_bodies()
    for _ in range(count):
        raw = json.dumps(mutate(rng.choice(known), rng)).encode()
        roll = rng.random()
        cut = rng.randrange(len(raw))
        if roll < 0.1:
            yield raw[:cut]
        elif roll < 0.25:
            yield raw[:cut] + bytes([rng.randrange(256)]) + raw[cut + 1 :]
        elif roll < 0.27:
            yield b"[" * rng.randrange(1, 5000) + raw
        elif roll < 0.29:
            yield raw.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp037")))
        else:
            yield raw

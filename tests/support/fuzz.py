"""Bodies of webhooks with faults in them, the same ones for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.conftest import SHARED_SAMPLES
from tests.support.fields import FIELD_VALUES
from tests.support.making import body_of, message_value, status_value
from tests.support.settings import SECRETS

SAMPLES = sorted((SHARED_SAMPLES / "webhooks").glob("*.json"))

ODD: list[Any] = [
    None, True, 0, -1, 2**70, 1e308, "", " ", "\x00", "a\x00b", "\ud83d", "💚" * 300, "9" * 400,
    "x" * 5000, "NaN", "-1", "1e400", "٣", [], {}, [[]], [None], {"a": {"b": []}}, "BR.abc", [1, "x"],
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            found += _places(inner, (*path, name))
    return found


def mutate(body: Any, chance: random.Random) -> Any:
    mutated = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        places = _places(mutated)
        if not places:
            break
        *way, last = chance.choice(places)
        inner = mutated
        for name in way:
            inner = inner[name]
        action = chance.random()
        if action < 0.25:
            del inner[last]
        elif action < 0.35 and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
        else:
            # A copy: a second mutation inside it must not change, or close a circle in, the next one's.
            inner[last] = copy.deepcopy(chance.choice(ODD))
    return mutated


def seeds() -> list[Any]:
    ours = [
        body_of(message_value(), status_value("w", biz_opaque_callback_data="r:1:1")),
        body_of(message_value(type="interactive", text=None,
                              interactive={"type": "button_reply",
                                           "button_reply": {"id": "x", "title": "y"}})),
        body_of(message_value(type="system", text=None,
                              system={"type": "user_changed_number", "wa_id": "5521976543210"})),
        body_of(message_value(type="contacts", text=None, contacts=[
            {"origin": "contact_request", "name": {"formatted_name": "A"},
             "phones": [{"wa_id": "5511987654321"}]}])),
        body_of(status_value("w", "failed", errors=[{"code": 1, "error_data": {"details": "x"}}])),
        *(body_of(value, field=field) for field, value in FIELD_VALUES),
    ]  # fmt: skip
    return [_of_our_number(json.loads(raw)) for raw in [*ours, *(p.read_bytes() for p in SAMPLES)]]


def _of_our_number(body: Any) -> Any:
    """Else the pipeline would set them aside before it looks at them."""
    for entry in body["entry"]:
        entry["id"] = SECRETS["WHATSAPP_BUSINESS_ACCOUNT_ID"]
        for change in entry["changes"]:
            if "metadata" in change["value"]:
                change["value"]["metadata"]["phone_number_id"] = SECRETS["WHATSAPP_PHONE_NUMBER_ID"]
    return body


def mutated_bodies(count: int, seed: int) -> Iterator[bytes]:
    """Types changed, keys removed, lists doubled, depth, sizes; some bytes changed, some cut short."""
    chance, known = random.Random(seed), seeds()
    for _ in range(count):
        raw = json.dumps(mutate(chance.choice(known), chance)).encode()
        fate = chance.random()
        cut = chance.randrange(len(raw))
        if fate < 0.1:
            yield raw[:cut]
        elif fate < 0.25:
            yield raw[:cut] + bytes([chance.randrange(256)]) + raw[cut + 1 :]
        elif fate < 0.27:
            yield b"[" * chance.randrange(1, 5000) + raw
        elif fate < 0.29:
            yield raw.decode().encode(chance.choice(("utf-16", "utf-32", "utf-8-sig", "cp037")))
        else:
            yield raw

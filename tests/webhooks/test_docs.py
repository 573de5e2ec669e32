"""docs/whatsapp.md says what the code's own tables say."""

from __future__ import annotations

from pathlib import Path

from chatbot.channels.whatsapp.errors import ACTIONS, CODES, ErrorPolicy, describe_action
from chatbot.webhooks.parsing.account_fields import FIELD_PARSERS
from chatbot.webhooks.parsing.treatments import (
    FIELD_EFFECTS,
    FIELD_TREATMENTS,
    MESSAGE_TREATMENTS,
    Treatment,
)

PAGE = (Path(__file__).parents[2] / "docs" / "whatsapp.md").read_text(encoding="utf-8")


def table(heading: str) -> list[tuple[str, ...]]:
    """The rows of the table under a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def test_the_table_of_message_kinds_is_the_codes() -> None:
    wanted = [(f"`{kind}`", treatment.value) for kind, treatment in MESSAGE_TREATMENTS.items()]
    assert table("Kinds of messages") == wanted


def test_the_table_of_fields_is_the_codes() -> None:
    applied = Treatment.APPLIED
    wanted = [
        (f"`{name}`", FIELD_EFFECTS[name] if treatment is applied else treatment.value)
        for name, treatment in FIELD_TREATMENTS.items()
    ]
    assert table("Fields of webhooks") == wanted


def test_what_the_table_calls_applied_is_read_and_nothing_else() -> None:
    applied = {
        name for name, treatment in FIELD_TREATMENTS.items() if treatment is Treatment.APPLIED
    }
    of_people = {"messages", "user_preferences", "user_id_update"}
    assert applied == set(FIELD_PARSERS) | of_people == set(FIELD_EFFECTS)


def test_the_table_of_error_codes_is_the_codes() -> None:
    wanted = [
        (str(code), known.meaning, known.policy.value, describe_action(code))
        for code, known in CODES.items()
    ]
    assert table("Error codes") == wanted


def test_each_class_has_an_action() -> None:
    assert set(ACTIONS) == set(ErrorPolicy)

"""docs/whatsapp.md has the same tables as the code."""

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
    """Return the rows of the table under a heading, without its header."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def test_the_table_of_message_kinds_matches_the_code() -> None:
    wanted = [(f"`{kind}`", treatment.value) for kind, treatment in MESSAGE_TREATMENTS.items()]
    assert table("Kinds of messages") == wanted


def test_the_table_of_fields_matches_the_code() -> None:
    applied = Treatment.APPLIED
    wanted = [
        (f"`{name}`", FIELD_EFFECTS[name] if treatment is applied else treatment.value)
        for name, treatment in FIELD_TREATMENTS.items()
    ]
    assert table("Fields of webhooks") == wanted


def test_exactly_the_applied_fields_have_a_parser() -> None:
    applied = {
        name for name, treatment in FIELD_TREATMENTS.items() if treatment is Treatment.APPLIED
    }
    of_people = {"messages", "user_preferences", "user_id_update"}
    assert applied == set(FIELD_PARSERS) | of_people == set(FIELD_EFFECTS)


def test_the_table_of_error_codes_matches_the_code() -> None:
    wanted = [
        (str(code), known.meaning, known.policy.value, describe_action(code))
        for code, known in CODES.items()
    ]
    assert table("Error codes") == wanted


def test_each_error_policy_has_an_action() -> None:
    assert set(ACTIONS) == set(ErrorPolicy)

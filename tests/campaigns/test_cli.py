from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from chatbot.core.db import db
from tests.support.factories import make_contact, make_template

KEYS = {"id", "state", "planned", "pending", "sending", "accepted", "sent", "delivered", "read",
        "failed", "skipped", "unknown"}  # fmt: skip


def run_command(app: Flask, *args: str) -> tuple[int, str]:
    db.session.rollback()
    db.session.expunge_all()
    result = app.test_cli_runner().invoke(args=["campaigns", *args])
    db.session.rollback()
    return result.exit_code, result.output.strip()


def create(app: Flask, *more: str) -> int:
    code, output = run_command(
        app, "create", "--name", "Natal", "--template", make_template(name="natal").name,
        "--language", "pt_BR", "--all", "--param", "1=field:name", *more,
    )  # fmt: skip
    assert code == 0, output
    return int(output)


def show(app: Flask, number: int) -> dict[str, Any]:
    code, output = run_command(app, "show", str(number), "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(output)
    return found


def test_create_prints_the_id_and_nothing_else(any_app: Flask) -> None:
    make_contact()
    number = create(any_app)
    found = show(any_app, number)
    assert set(found) >= KEYS
    assert (found["id"], found["state"], found["planned"]) == (number, "draft", 0)


def test_life_cycle_by_commands(any_app: Flask) -> None:
    make_contact()
    number = str(create(any_app))
    for command, state in (
        ("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled"),
    ):  # fmt: skip
        code, output = run_command(any_app, command, number, "--json")
        assert (code, json.loads(output)["state"]) == (0, state)
    found = show(any_app, int(number))
    assert (found["planned"], found["skipped"]) == (1, 1)


def test_create_can_start_at_once_and_print_json(any_app: Flask) -> None:
    make_contact()
    code, output = run_command(
        any_app, "create", "--name", "N", "--template", make_template("Oi").name, "--all",
        "--on-doubt", "resend", "--start", "--json",
    )  # fmt: skip
    found = json.loads(output)
    assert (code, found["state"], found["pending"], found["on_doubt"]) == (
        0,
        "running",
        1,
        "resend",
    )


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["show", "99", "--json"], 1, "There is no campaign 99"),
        (["start", "99"], 1, "There is no campaign 99"),
        (["start", "x"], 2, "not a valid integer"),
        (["create", "--name", "N", "--template", "t"], 2, "--all, --tag TAG or --segment"),
        (
            ["create", "--name", "N", "--template", "t", "--all", "--tag", "x"],
            2,
            "--all, --tag TAG or --segment",
        ),
        (["create", "--name", "N", "--template", "nada", "--all"], 1, "no template nada"),
        (["create", "--name", "N", "--template", "t", "--all", "--param", "1"], 1, "1=field:name"),
        (["create", "--name", "N", "--template", "t", "--all", "--on-doubt", "x"], 2, "resend"),
    ],
)
def test_failure_prints_a_message_and_exits_with_a_code(
    app: Flask, args: list[str], code: int, text: str
) -> None:
    found, output = run_command(app, *args)
    assert (found, text in output) == (code, True), output
    assert "Traceback" not in output


def test_refused_start_leaves_no_campaign(any_app: Flask) -> None:
    code, output = run_command(
        any_app, "create", "--name", "N", "--template", make_template("Oi").name, "--all", "--start"
    )
    assert (code, "audience is empty" in output) == (1, True)
    assert run_command(any_app, "list") == (0, "")


def test_second_start_names_who_was_first(any_app: Flask) -> None:
    make_contact()
    number = str(create(any_app, "--start"))
    code, output = run_command(any_app, "start", number)
    assert (code, "CLI has already started" in output) == (1, True)


def test_every_command_has_help(app: Flask) -> None:
    for command in ("create", "start", "pause", "resume", "cancel", "show", "list"):
        code, output = run_command(app, command, "--help")
        assert (code, "Usage:" in output) == (0, True)

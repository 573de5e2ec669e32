from __future__ import annotations

import pytest

from chatbot.delivery.outbound import CallbackId, parse_callback_id


@pytest.mark.parametrize("send_table", ["m", "r"])
def test_a_callback_id_survives_a_round_trip(send_table: str) -> None:
    written = CallbackId(send_table, 123_456_789_012, 7, "0a1b2c3d4e")
    assert parse_callback_id(str(written)) == written


def test_the_longest_id_fits_what_meta_echoes() -> None:
    assert len(str(CallbackId("r", 10**18 - 1, 10**9 - 1, "f" * 20))) <= 512


@pytest.mark.parametrize(
    "foreign",
    [None, 12, "", "r:1", "r:1:1", "r:1:1:", "x:1:1:a", "r:1:1:a ", " r:1:1:a", "r:-1:1:a", "r:1:1:a:1",
     "R:1:1:a", "r:1:1:A", "r:१:1:a", "r:" + "9" * 19 + ":1:a", "r:1:" + "9" * 10 + ":a", "r:1:1:a\n",
     "r:1:1:" + "a" * 21, ["r:1:1:a"], {"id": "r:1:1:a"}],
)  # fmt: skip
def test_a_foreign_callback_id_is_not_parsed(foreign: object) -> None:
    assert parse_callback_id(foreign) is None

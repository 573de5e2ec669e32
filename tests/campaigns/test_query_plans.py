from __future__ import annotations

import pytest
from flask import Flask

from chatbot.campaigns import queries
from tests.support.panel import explain_query


@pytest.mark.parametrize("after", [None, "77"])
@pytest.mark.parametrize(
    ("state", "index"), [("", "autoindex_recipients"), ("failed", "ix_recipients_figures")]
)
def test_recipients_are_read_in_the_order_of_an_index(
    app: Flask, state: str, index: str, after: str | None
) -> None:
    plan = explain_query(queries.select_recipients(1, state, after).limit(31))
    assert "TEMP B-TREE" not in plan, plan
    assert index in plan.splitlines()[0], plan
    assert ("contact_id>?" in plan) == (after is not None), plan

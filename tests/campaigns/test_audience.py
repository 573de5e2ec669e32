from __future__ import annotations

from flask import Flask

from chatbot.campaigns.audience import freeze_audience
from chatbot.core.db import db
from tests.support.factories import ago, make_campaign, make_contact


def test_freezing_twice_adds_nothing_and_returns_the_number_of_new_rows(
    any_app: Flask,
) -> None:
    make_contact("Ana")
    make_contact("Bia", opted_out_at=ago(1))
    campaign = make_campaign()
    for made in (2, 0):
        with db.engine.begin() as connection:
            assert freeze_audience(connection, campaign) == made
    make_contact("Caio")
    with db.engine.begin() as connection:
        assert freeze_audience(connection, campaign) == 1

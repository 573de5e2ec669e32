"""Property test: under any sequence of events, states add up and nobody gets a message twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatbot.campaigns import service
from chatbot.campaigns.models import TRANSITIONS, CampaignState, Recipient
from chatbot.campaigns.queries import count_by_state
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.campaigns.tasks import reconcile_campaigns
from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import CallbackId, parse_callback_id
from chatbot.delivery.receipts import Receipt, advance_watermark, apply_receipts
from tests.support.campaigns import (
    get_campaign_state,
    make_draft,
    run_and_commit,
    run_campaign_sender,
)
from tests.support.factories import ago, make_channel, make_contact
from tests.support.gateways import ScriptedGateway

PEOPLE = 12
REPORTED_STATES = (
    MessageState.SENT,
    MessageState.DELIVERED,
    MessageState.READ,
    MessageState.FAILED,
)
MOVE_TO = {
    CampaignState.PAUSED: service.pause_campaign,
    CampaignState.CANCELLED: service.cancel_campaign,
}


class CampaignMachine(RuleBasedStateMachine):
    """A campaign, with a record of what really reached people."""

    def __init__(self) -> None:
        super().__init__()
        db.session.execute(sa.update(Contact).values(opted_out_at=ago(1)))
        self.people = {make_contact().id for _ in range(PEOPLE)}
        self.contacts = db.session.scalar(sa.select(sa.func.count()).select_from(Contact))
        db.session.rollback()
        self.campaign = make_draft("Olá!", ())
        self.reached: Counter[int] = Counter()  # by row
        self.sent: list[CallbackId] = []
        self.claims = 0

    def is_now(self, *states: CampaignState) -> bool:
        return get_campaign_state(self.campaign) in states

    @rule(on=st.sampled_from([CampaignState.RUNNING, *MOVE_TO]))
    def move(self, on: CampaignState) -> None:
        """Start, pause, resume or cancel, if that is allowed now."""
        now = CampaignState(get_campaign_state(self.campaign))
        if on not in TRANSITIONS[now]:
            return
        if now == CampaignState.PAUSED and on == CampaignState.RUNNING:
            run_and_commit(service.resume_campaign, self.campaign, "ana")
        elif on == CampaignState.RUNNING:
            run_and_commit(service.start_campaign, self.campaign, "ana")
        else:
            run_and_commit(MOVE_TO[on], self.campaign)

    @rule(outcomes=st.lists(st.sampled_from("afdur"), min_size=PEOPLE, max_size=PEOPLE))
    def work(self, outcomes: list[str]) -> None:
        """Let a worker send what is due, with a random answer for each message."""
        left = iter(outcomes)
        opted_in_rows = self._list_opted_in_rows()
        running = self.is_now(CampaignState.RUNNING)

        def script(body: Mapping[str, Any]) -> GatewayAnswer:
            callback = parse_callback_id(body["biz_opaque_callback_data"])
            assert callback is not None
            assert running, "sent by a campaign that is not running"
            assert callback.row_id in opted_in_rows, "sent to a contact who has opted out"
            outcome = next(left, "a")
            if outcome in "ad":
                self._record_reached(callback)
            wamid = f"w{callback}"
            return {
                "a": Accepted(wamid),
                "d": Doubtful("reset after it was accepted"),
                "f": Refused(131026, "undeliverable"),
                "u": Unreachable("no connection"),
                "r": Refused(131000, "later", 500),
            }[outcome]

        run_campaign_sender(ScriptedGateway(script))

    def _list_opted_in_rows(self) -> set[int]:
        query = (
            sa.select(Recipient.id)
            .join(Contact, Contact.id == Recipient.contact_id)
            .where(Contact.opted_out_at.is_(None))
        )
        found = set(db.session.scalars(query))
        db.session.rollback()
        return found

    def _record_reached(self, callback: CallbackId) -> None:
        self.reached[callback.row_id] += 1
        self.sent.append(callback)

    @rule(size=st.integers(1, 5), sends=st.booleans())
    def crash(self, size: int, sends: bool) -> None:
        """Let a worker claim a batch and die before or after sending it."""
        self.claims += 1
        token = f"crash{id(self)}:{self.claims}"
        source = CampaignSource(db.engine, make_channel().id)
        source.claim(token, size, lease_s=-1)
        if sends:
            for queue in source.load(token):
                self._record_reached(CallbackId("r", queue[0].row_id, queue[0].attempt))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def receipts(self, data: Any) -> None:
        """Apply statuses of sent messages, in any order, some twice."""
        statuses = data.draw(
            st.lists(
                st.tuples(st.sampled_from(self.sent), st.sampled_from(REPORTED_STATES)), max_size=8
            )
        )
        now = datetime.now(UTC)
        with db.engine.begin() as connection:
            apply_receipts(
                connection,
                [SEND_TABLE],
                [
                    Receipt(wamid=f"w{callback}", state=to, happened_at=now, callback=callback)
                    for callback, to in statuses
                ],
            )

    @rule(data=st.data())
    def opt_out(self, data: Any) -> None:
        contact_id = data.draw(st.sampled_from(sorted(self.people)))
        db.session.execute(
            sa.update(Contact).where(Contact.id == contact_id).values(opted_out_at=ago(0))
        )
        db.session.commit()

    @rule(window_over=st.booleans())
    def sweep(self, window_over: bool) -> None:
        if window_over:
            query = sa.update(Recipient).where(Recipient.state == MessageState.UNKNOWN)
            db.session.execute(query.values(doubt_until=ago(1)))
            db.session.commit()
            channel_id = make_channel().id
            with db.engine.begin() as connection:
                advance_watermark(connection, [channel_id], 0)
        reconcile_campaigns()

    @rule()
    def make_due(self) -> None:
        """Make all queued rows due."""
        query = sa.update(Recipient).where(Recipient.state == MessageState.QUEUED)
        db.session.execute(query.values(due_at=ago(1)))
        db.session.commit()

    @invariant()
    def everybody_is_counted_once(self) -> None:
        found = count_by_state(self.campaign)
        db.session.rollback()
        planned = found.pop("planned")
        assert planned == sum(found.values())
        assert planned in ((0,) if self.is_now(CampaignState.DRAFT) else (0, self.contacts))

    @invariant()
    def nobody_is_written_to_twice(self) -> None:
        assert set(self.reached.values()) <= {1}


def test_states_add_up_and_nobody_gets_a_message_twice(
    app: Flask,
) -> None:
    run_state_machine_as_test(
        CampaignMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

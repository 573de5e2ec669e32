from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Recipient
from chatbot.campaigns.parameters import parse_parameters
from chatbot.campaigns.tasks import list_due_channels, reconcile_campaigns
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact, ContactTag
from chatbot.core.db import db
from chatbot.core.errors import AppError, Conflict, InvalidInput, NotFound
from tests.support.campaigns import (
    get_campaign_counts,
    get_campaign_state,
    get_start_refusal,
    make_draft,
    run_and_commit,
    run_campaign_sender,
    start_campaign,
)
from tests.support.factories import ago, make_campaign, make_contact, make_template


def test_life_cycle_from_draft_to_finished(any_app: Flask) -> None:
    for name in ("Ana", "Bia", "Caio"):
        make_contact(name)
    number = make_draft()
    assert (get_campaign_state(number), get_campaign_counts(number)) == ("draft", {})
    start_campaign(number)
    assert (get_campaign_state(number), get_campaign_counts(number)) == ("running", {"pending": 3})
    run_and_commit(service.pause_campaign, number, "ana")
    assert run_campaign_sender().sent == []
    assert list_due_channels() == []
    run_and_commit(service.resume_campaign, number, "ana")
    sent = run_campaign_sender().sent
    texts = [b["template"]["components"][0]["parameters"][0]["text"] for b in sent]
    assert sorted(texts) == ["Ana", "Bia", "Caio"]
    assert get_campaign_counts(number) == {"accepted": 3}
    reconcile_campaigns()
    assert get_campaign_state(number) == "finished"
    for action in (service.pause_campaign, service.cancel_campaign):
        with pytest.raises(Conflict):
            action(number, "ana")
        db.session.rollback()


def test_second_start_names_who_was_first(any_app: Flask) -> None:
    make_contact()
    number = make_draft()
    start_campaign(number, "bia@prosa.test")
    with pytest.raises(Conflict, match=r"bia@prosa\.test"):
        service.start_campaign(number, "caio@prosa.test")
    db.session.rollback()


def test_concurrent_starts_freeze_one_row_per_contact(any_app: Flask) -> None:
    for _ in range(20):
        make_contact()
    number = make_draft()
    barrier = threading.Barrier(4)
    results: list[str] = []

    def work(name: str) -> None:
        with any_app.app_context():
            barrier.wait()
            try:
                start_campaign(number, name)
                results.append("started")
            except Conflict as error:
                results.append(str(error))
            finally:
                db.session.rollback()

    threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("started") == 1
    assert all(text.startswith("u") for text in results if text != "started")
    assert get_campaign_counts(number) == {"pending": 20}


def test_empty_audience_is_refused(any_app: Flask) -> None:
    error = get_start_refusal(make_draft(audience={"kind": "tag", "name": "ninguém"}))
    assert (error.field, "audience is empty" in str(error)) == ("audience", True)


def test_missing_value_is_refused_with_the_field_and_count(any_app: Flask) -> None:
    make_contact("Ana", attributes={"plano": "fibra"})
    make_contact("")
    make_contact("  ", opted_out_at=ago(1))
    error = get_start_refusal(make_draft())
    assert (error.field, str(error).startswith("1 contact(s)"), "name" in str(error)) == (
        "param", True, True,
    )  # fmt: skip
    error = get_start_refusal(make_draft(params=("1=field:plano",)))
    assert "attribute plano" in str(error)


@pytest.mark.parametrize("status", ["PENDING", "PAUSED", "REJECTED", "DELETED"])
def test_unapproved_template_is_refused(any_app: Flask, status: str) -> None:
    make_contact()
    template = make_template(status=status)
    error = get_start_refusal(make_draft(template=template.name))
    assert (error.field, template.name in str(error), status in str(error)) == (
        "template", True, True,
    )  # fmt: skip


def test_a_template_that_we_cannot_fill_is_refused_at_creation_and_at_start(any_app: Flask) -> None:
    make_contact()
    flow = {"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "Agendar"}]}
    template = make_template(components=[{"type": "BODY", "text": "Oi"}, flow])
    with pytest.raises(InvalidInput, match="FLOW"):
        make_draft(template=template.name, params=())
    draft = make_campaign("draft", template=template)
    error = get_start_refusal(draft.id)
    assert (error.field, "FLOW" in str(error)) == ("template", True)


@pytest.mark.parametrize(
    ("more", "kind", "field"),
    [
        ({"name": " "}, InvalidInput, "name"),
        ({"template": "não_há"}, NotFound, "template"),
        ({"language": "en"}, NotFound, "language"),
        ({"params": ()}, InvalidInput, "param"),
        ({"params": ("1=text:a", "2=text:b")}, InvalidInput, "param"),
        ({"on_doubt": "guess"}, InvalidInput, "on_doubt"),
    ],
)
def test_invalid_draft_is_refused_with_the_field(
    app: Flask, more: dict[str, object], kind: type[AppError], field: str
) -> None:
    with pytest.raises(kind) as refusal:
        make_draft(**more)  # type: ignore[arg-type]
    assert refusal.value.field == field


@pytest.mark.parametrize("item", ["name", "1=", "1=name", "1=sql:x", "1=field: "])
def test_invalid_parameter_is_quoted_in_the_error(item: str) -> None:
    with pytest.raises(InvalidInput, match="1=field:name") as refusal:
        parse_parameters([item])
    assert repr(item) in str(refusal.value)


def test_audience_is_frozen_once_per_contact_with_skip_reasons(any_app: Flask) -> None:
    kept, gone, merged = make_contact("Ana"), make_contact("Bia"), make_contact("Caio")
    make_contact("Davi", opted_out_at=ago(9))
    db.session.execute(sa.update(Contact).where(Contact.id == gone.id).values(phone=None))
    db.session.execute(
        sa.update(Contact).where(Contact.id == merged.id).values(merged_into_id=kept.id)
    )
    db.session.commit()
    number = make_draft()
    start_campaign(number)
    make_contact("depois do começo")
    assert get_campaign_counts(number) == {"pending": 1, "skipped": 2}
    reasons = db.session.scalars(sa.select(Recipient.skip_reason)).all()
    assert sorted(reason or "" for reason in reasons) == ["", "no_address", "opted_out"]


def test_audience_by_tag(any_app: Flask) -> None:
    tagged = make_contact("Ana")
    make_contact("Bia")
    db.session.add(ContactTag(contact_id=tagged.id, name="vip"))
    db.session.commit()
    number = make_draft(audience={"kind": "tag", "name": "vip"})
    start_campaign(number)
    assert db.session.scalars(sa.select(Recipient.contact_id)).all() == [tagged.id]


@pytest.mark.parametrize(
    ("name", "reason"), [("  ", "needs"), ("\u200b", "needs"), ("x" * 201, "200")]
)
def test_a_bad_name_is_refused_by_the_command_as_in_the_form(
    app: Flask, name: str, reason: str
) -> None:
    template = make_template()
    channel = db.session.get_one(Channel, template.channel_id)
    draft = service.CampaignDraft(
        name=name, template=template.name, language="pt_BR", audience={"kind": "all"}, parameters={}
    )
    with pytest.raises(InvalidInput, match=reason) as refusal:
        service.create_campaign(channel, draft)
    assert refusal.value.field == "name"

"""Independent client: `pywa` sends, reads the answers and parses every webhook."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pywa import WhatsApp, errors, types
from pywa.types.sent_update import SentTemplateStatus
from pywa.types.templates import (
    BaseParams,
    BodyText,
    TemplateLanguage,
    TemplateStatus,
)

from .conftest import ACCOUNT, MARIA, PHONE, SECRET, TOKEN, VERIFY, Client, Receiver

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
ANA_HIDDEN = "5511987650001"
TAPPED = types.Button(title="Pagar", callback_data="pay")
CHOSEN = types.SectionRow(title="Segunda via", callback_data="second", description="Boleto")


class _SimulatorTransport(httpx.HTTPTransport):
    """Transport that sends pywa's requests for graph.facebook.com to the simulator."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return super().handle_request(request)


@pytest.fixture
def pywa(simulator: Client) -> Iterator[WhatsApp]:
    simulator.settings(service_window=False)
    with httpx.Client(transport=_SimulatorTransport(simulator.port)) as session:
        yield WhatsApp(
            phone_id=PHONE,
            token=TOKEN,
            session=session,
            server=None,
            verify_token=VERIFY,
            app_secret=SECRET,
            waba_id=ACCOUNT,
            skip_duplicate_updates=False,
        )


@pytest.fixture
def parsed(pywa: WhatsApp) -> list[Any]:
    """Return the list to which pywa's handlers add each parsed update, in order."""
    updates: list[Any] = []
    for register in (
        pywa.on_message,
        pywa.on_message_status,
        pywa.on_callback_button,
        pywa.on_callback_selection,
        pywa.on_phone_number_change,
        pywa.on_identity_change,
        pywa.on_template_status_update,
        pywa.on_template_category_update,
        pywa.on_template_quality_update,
        pywa.on_template_components_update,
        pywa.on_user_marketing_preferences,
        pywa.on_account_update,
    ):
        register(lambda _, update: updates.append(update))
    return updates


def single_updates(body: bytes) -> Iterator[bytes]:
    """Yield one body for each update, because pywa reads only the first one of a body."""
    envelope = json.loads(body)
    for entry in envelope["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            lists = [key for key in ("messages", "statuses") if key in value]
            for key in lists:
                for index, update in enumerate(value[key]):
                    contacts = _contact_for(update, value.get("contacts", []), index)
                    alone = {**value, key: [update], "contacts": contacts}
                    yield _enveloped(entry, {**change, "value": alone})
            if not lists:
                yield _enveloped(entry, change)


def _contact_for(update: Any, contacts: list[Any], index: int) -> list[Any]:
    ids = {update.get(key) for key in ("from_user_id", "recipient_user_id", "recipient_id")}
    return [c for c in contacts if ids & {c.get("user_id"), c.get("wa_id")}]


def _enveloped(entry: Any, change: Any) -> bytes:
    content = {"object": "whatsapp_business_account", "entry": [{**entry, "changes": [change]}]}
    return json.dumps(content).encode()


def feed_pywa(pywa: WhatsApp, simulator: Client, receiver: Receiver) -> int:
    """Check the signatures with pywa and pass it every update; return how many."""
    simulator.wait_until_idle()
    count = 0
    for post in receiver.received:
        assert pywa.webhook_update_validator(post.body, post.signature) is None
        for body in single_updates(post.body):
            assert pywa.webhook_update_handler(body) == ("ok", 200)
            count += 1
    return count


def test_pywa_sends_every_kind_and_reads_the_answers(pywa: WhatsApp, simulator: Client) -> None:
    text = pywa.send_message(MARIA, "Olá", tracker="r:1:1")
    assert (text.id[:6], text.chat.id) == ("wamid.", MARIA)
    pywa.send_message(MARIA, "Confirma?", header="Fatura", footer="Prosa", buttons=[TAPPED])
    rows = types.Section(title="Contas", rows=[CHOSEN])
    pywa.send_message(
        MARIA, "Escolha", buttons=types.SectionList(button_title="Ver", sections=[rows])
    )
    pywa.send_message(MARIA, "Veja", buttons=types.URLButton(title="Abrir", url="https://e.com"))
    pywa.send_location(MARIA, latitude=-23.5, longitude=-46.6, name="Sé", address="Centro")
    pywa.send_contact(MARIA, types.Contact(name=types.Contact.Name("Ana Lima", first_name="Ana")))
    pywa.send_reaction(MARIA, emoji="👍", message_id=text.id)
    assert pywa.mark_message_as_read(simulator.write())
    kinds = [entry["type"] for entry in simulator.control("/log").json["entries"]]
    interactive = ["interactive"] * 3
    assert kinds == ["text", *interactive, "location", "contacts", "reaction", "read"]
    assert all(entry["accepted"] for entry in simulator.control("/log").json["entries"])


def test_pywa_uploads_sends_looks_up_downloads_and_deletes_a_file(
    pywa: WhatsApp, simulator: Client, receiver: Receiver
) -> None:
    media = pywa.upload_media(PNG, mime_type="image/png", filename="foto.png")
    sent = pywa.send_image(MARIA, image=media.id, caption="A fatura")
    found = pywa.get_media_url(media.id)
    assert (found.mime_type, found.file_size) == ("image/png", len(PNG))
    assert pywa.get_media_bytes(found.url) == PNG
    simulator.wait_until_idle()
    assert {s["status"] for s in receiver.statuses() if s["id"] == sent.id} >= {"delivered"}
    assert pywa.delete_media(media.id)
    with pytest.raises(errors.WhatsAppError) as missing:
        pywa.get_media_url(media.id)
    assert missing.value.subcode == 33


def test_pywa_sends_and_manages_templates(pywa: WhatsApp, simulator: Client) -> None:
    portuguese = TemplateLanguage.PORTUGUESE_BR
    params: list[BaseParams | dict[Any, Any]] = [BodyText.params("Maria", "10/12")]
    sent = pywa.send_template(MARIA, "lembrete_fatura", portuguese, params)
    assert sent.status == SentTemplateStatus.ACCEPTED
    simulator.settings(held_share=1)
    held = pywa.send_template(MARIA, "lembrete_fatura", portuguese, params)
    assert held.status == SentTemplateStatus.HELD_FOR_QUALITY_ASSESSMENT
    listed = list(pywa.get_templates())
    assert {item.status for item in listed} >= {TemplateStatus.APPROVED, TemplateStatus.PENDING}
    assert pywa.get_template(listed[0].id).name == listed[0].name


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"refused": 1, "refused_code": 130429}, errors.RateLimitHit),
        ({"refused": 1, "refused_code": 131056}, errors.TooManyMessages),
        ({"refused": 1, "refused_code": 368}, errors.TemporarilyBlocked),
        ({"refused": 1, "refused_code": 190}, errors.ExpiredAccessToken),
        ({"html_502_before": 1}, errors.WhatsAppError),
        ({"service_window": True, "sync_131047": True}, errors.ReEngagementMessage),
    ],
)
def test_pywa_reads_our_errors(
    pywa: WhatsApp, simulator: Client, settings: dict[str, Any], kind: type[Exception]
) -> None:
    simulator.settings(**settings)
    with pytest.raises(kind):
        pywa.send_message(MARIA, "Oi")


def test_pywa_reads_every_message_and_status(
    pywa: WhatsApp,
    simulator: Client,
    receiver: Receiver,
    parsed: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulator.settings(magic_recipients=True, duplicate_status=0.5, mix_inbound=True)
    first = _write_one_of_each(simulator)
    pywa.send_message(MARIA, "Oi", tracker="r:1:1")
    pywa.send_message("5511987650026", "Oi", tracker="r:2:1")
    pywa.send_message(ANA_HIDDEN, "Oi")
    with caplog.at_level(logging.WARNING, logger="pywa"):
        count = feed_pywa(pywa, simulator, receiver)
    assert _pywa_warnings(caplog) == []
    assert len(parsed) == count
    messages = [update for update in parsed if isinstance(update, types.Message)]
    kinds = {str(message.type) for message in messages}
    assert kinds >= {"text", "image", "audio", "location", "contacts", "reaction", "unsupported"}
    assert {update.from_user.username for update in messages if not update.from_user.wa_id} == {
        f"cliente.{ANA_HIDDEN[-6:]}"
    }
    assert first in {message.id for message in messages}
    statuses = [update for update in parsed if isinstance(update, types.MessageStatus)]
    assert {str(status.status) for status in statuses} == {"sent", "delivered", "read", "failed"}
    failed = [status for status in statuses if status.error]
    assert {type(status.error) for status in failed} == {errors.MessageUndeliverable}
    assert {status.tracker for status in failed} == {"r:2:1"}
    buttons = [update for update in parsed if isinstance(update, types.CallbackButton)]
    assert {update.data for update in buttons} == {"pay", "sair"}


def _write_one_of_each(simulator: Client) -> str:
    photo = simulator.upload_file(PNG, "image/png", "foto.png")
    voice = simulator.upload_file(b"OggS" + b"\0" * 20, "audio/ogg; codecs=opus", "")
    first = simulator.write(text="Olá 😀")
    simulator.write(ANA_HIDDEN, text="Sem número", name="Ana")
    simulator.write(type="image", media_id=photo, text="Veja")
    simulator.write(type="document", media_id=photo)
    simulator.write(type="sticker", media_id=photo)
    simulator.write(type="audio", media_id=voice, voice=True)
    simulator.write(type="location", latitude=-23.5, longitude=-46.6, place="Sé", address="Centro")
    simulator.write(type="contacts", contact_name="Ana Lima", contact_phone="+55 11 98765-0001")
    simulator.write(type="reaction", message_id=first, emoji="👍")
    simulator.write(type="unsupported")
    simulator.write(type="button_reply", reply_id="pay", title="Pagar", context_id=first)
    simulator.write(type="list_reply", reply_id="second", title="Segunda via", context_id=first)
    simulator.write(type="button", text="SAIR", payload="sair", context_id=first)
    return first


def test_pywa_reads_every_event(
    pywa: WhatsApp,
    simulator: Client,
    receiver: Receiver,
    parsed: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for event in (
        {"event": "number_changed", "from": MARIA, "to": "5511912345678"},
        {"event": "identity_changed", "from": MARIA},
        {"event": "marketing_choice", "from": MARIA, "value": "stop"},
        {"event": "account", "name": "restricted"},
        {"event": "account", "name": "disabled"},
    ):
        assert simulator.control("/events", event).status == 200
    body = [{"type": "BODY", "text": "Outro texto"}]
    for change in (
        {"status": "PAUSED"},
        {"quality": "RED"},
        {"category": "UTILITY"},
        {"components": body},
    ):
        simulator.control("/templates", {"name": "promocao_fibra", **change})
    with caplog.at_level(logging.WARNING, logger="pywa"):
        feed_pywa(pywa, simulator, receiver)
    assert _pywa_warnings(caplog) == []
    assert {type(update).__name__ for update in parsed} == {
        "PhoneNumberChange",
        "IdentityChange",
        "UserMarketingPreferences",
        "AccountUpdate",
        "TemplateStatusUpdate",
        "TemplateQualityUpdate",
        "TemplateCategoryUpdate",
        "TemplateComponentsUpdate",
    }


def _pywa_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of pywa itself, not of its HTTP library."""
    return [r.message for r in caplog.records if r.name.startswith("pywa")]

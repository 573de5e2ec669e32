from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from flask_babel import force_locale

from chatbot.billing.service import OpenInvoice
from chatbot.bot import sentences
from chatbot.bot.engine import (
    Effect,
    FetchInvoices,
    HandOff,
    OptIn,
    OptOut,
    Say,
    SayVerbatim,
    Turn,
    detect_intent,
)
from chatbot.bot.handlers import ALWAYS_HANDLED, HANDLERS
from chatbot.bot.intents import Intent
from chatbot.bot.rendering import render
from chatbot.brazil.boleto import format_line, make_line
from chatbot.brazil.pix import make_pix
from chatbot.channels.whatsapp.payloads.limits import BODY, BUTTON

TODAY = date(2026, 11, 23)
LINE = make_line("756", f"{1:025d}", TODAY, Decimal("99.90"))
WRONG_LINE = LINE[:9] + str((int(LINE[9]) + 1) % 10) + LINE[10:]
PIX = make_pix("a@b.example", "VENTO SUL", "PORTO ALEGRE", Decimal("99.90"), "R1")


def invoice(line: str | None = LINE, pix: str | None = PIX, days: int = 3) -> OpenInvoice:
    return OpenInvoice(1, "Plano", TODAY + timedelta(days=days), Decimal("99.90"), line, pix)


def run_handler(
    intent: Intent, invoices: Sequence[OpenInvoice] = (), last: str | None = None
) -> list[Effect]:
    turn = Turn(text="x", intent=intent, last_intent=last, contact_name="MARIA souza",
                company_name="Vento Sul", today=TODAY)  # fmt: skip
    running, effects, answer = HANDLERS[intent](turn), [], None
    while True:
        try:
            effect = running.send(answer)
        except StopIteration:
            return effects
        effects.append(effect)
        answer = list(invoices) if isinstance(effect, FetchInvoices) else None


def rendered_text(effects: Sequence[Effect]) -> str:
    return "\n".join(render(e)[0] for e in effects if isinstance(e, Say | SayVerbatim))


def test_every_intent_has_a_handler() -> None:
    assert set(HANDLERS) == set(Intent)
    assert frozenset({Intent.OPT_IN, Intent.OPT_OUT}) == ALWAYS_HANDLED


@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("locale", ["pt_BR", "en"])
def test_every_handler_replies_with_a_body_that_meta_accepts(
    app: Flask, intent: Intent, count: int, locale: str
) -> None:
    with force_locale(locale):
        effects = run_handler(intent, [invoice()] * count)
        said = [e for e in effects if isinstance(e, Say | SayVerbatim)]
        bodies = [render(say)[1] for say in said]
    assert bodies
    for say in said:
        if isinstance(say, Say):
            assert set(say.values) >= say.sentence.variables
            assert not say.buttons or say.sentence.limit is BODY
            assert all(title.limit is BUTTON for _intent, title in say.buttons)
    assert all(body["type"] in ("text", "interactive") for body in bodies)


INVOICES = (Intent.INVOICE_COPY, Intent.PIX_PAYMENT, Intent.BALANCE_DUE, Intent.DUE_DATE)


@pytest.mark.parametrize("intent", INVOICES)
def test_a_contact_without_invoices_is_told_so_and_offered_a_person(
    app: Flask, intent: Intent
) -> None:
    effects = run_handler(intent)
    (say,) = (e for e in effects if isinstance(e, Say))
    assert say.sentence is sentences.NO_INVOICES
    assert say.buttons[0][0] == "talk_to_human"


def test_the_boleto_comes_before_its_pix_code_which_is_alone_in_a_message(app: Flask) -> None:
    effects = run_handler(Intent.INVOICE_COPY, [invoice()])
    assert format_line(LINE) in rendered_text(effects[:2])
    assert isinstance(effects[-1], SayVerbatim)
    assert effects[-1].text == PIX


@pytest.mark.parametrize("line", [WRONG_LINE, "123", ""])
def test_a_wrong_line_is_withheld(app: Flask, line: str) -> None:
    effects = run_handler(Intent.INVOICE_COPY, [invoice(line=line)])
    assert "Digitable" not in rendered_text(effects)
    assert PIX in rendered_text(effects)
    assert not any(line and line in text for text in rendered_text(effects).splitlines())


def test_a_wrong_pix_code_is_withheld(app: Flask) -> None:
    effects = run_handler(Intent.PIX_PAYMENT, [invoice(pix=PIX[:-1] + "X")])
    assert not any(isinstance(e, SayVerbatim) for e in effects)
    assert format_line(LINE) in rendered_text(effects)


def test_an_invoice_that_cannot_be_paid_goes_to_a_person(app: Flask) -> None:
    effects = run_handler(Intent.INVOICE_COPY, [invoice(line=WRONG_LINE, pix=None)])
    assert effects[-1] == HandOff("invoice_without_means")


def test_no_more_than_three_invoices_are_spelled_out(app: Flask) -> None:
    text = rendered_text(run_handler(Intent.INVOICE_COPY, [invoice()] * 5))
    assert text.count(format_line(LINE)) == 3
    assert "2" in text.splitlines()[-1]


def test_the_balance_is_the_sum(app: Flask) -> None:
    with force_locale("pt_BR"):
        assert "299,70" in rendered_text(run_handler(Intent.BALANCE_DUE, [invoice()] * 3))


def test_an_opt_out_is_recorded_and_confirmed() -> None:
    effects = run_handler(Intent.OPT_OUT)
    assert isinstance(effects[0], OptOut)
    assert isinstance(effects[1], Say)


def test_an_opt_in_is_recorded_and_says_how_to_stop(app: Flask) -> None:
    effects = run_handler(Intent.OPT_IN)
    assert isinstance(effects[0], OptIn)
    with force_locale("pt_BR"):
        assert "SAIR" in rendered_text(effects)


def test_a_second_fallback_in_a_row_hands_off() -> None:
    assert not any(isinstance(e, HandOff) for e in run_handler(Intent.FALLBACK))
    assert HandOff("not_understood") in run_handler(Intent.FALLBACK, last="fallback")


def test_the_greeting_names_the_contact(app: Flask) -> None:
    assert "Maria" in rendered_text(run_handler(Intent.GREETING))


def test_a_tapped_button_gives_its_intent_and_a_foreign_one_its_text() -> None:
    assert detect_intent(["x"], "intent:pix_payment") == (Intent.PIX_PAYMENT, 1.0)
    assert detect_intent(["quero meu boleto"], "intent:os.system")[0] is Intent.INVOICE_COPY
    assert detect_intent(["quero meu boleto"], "other")[0] is Intent.INVOICE_COPY

"""Open invoices: digitable line, Pix code, balance and due dates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from chatbot.billing.service import OpenInvoice
from chatbot.bot import sentences
from chatbot.bot.engine import Effects, FetchInvoices, HandOff, Say, SayVerbatim, Turn
from chatbot.brazil.boleto import InvalidBoleto, format_line, parse_line
from chatbot.brazil.pix import InvalidPix, parse_pix

MAX_INVOICES = 3  # invoices spelled out in one answer

_OFFER_PERSON = (("talk_to_human", sentences.BUTTON_PERSON),)


def send_open_invoices(turn: Turn) -> Effects:
    """Send each invoice, with its Pix code alone in a message, to be copied."""
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    for invoice in invoices[:MAX_INVOICES]:
        line = _find_valid_line(invoice, turn)
        pix = _find_valid_pix(invoice)
        yield _describe(invoice, turn, line)
        if pix:
            yield Say(sentences.PIX_FOLLOWS)
            yield SayVerbatim(pix)
        if not line and not pix:
            yield HandOff("invoice_without_means")
            return
    yield from _say_more_invoices(invoices)


def send_pix(turn: Turn) -> Effects:
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    invoice = invoices[0]
    pix = _find_valid_pix(invoice)
    if pix is None:
        yield from send_open_invoices(turn)
        return
    yield Say(sentences.PIX_OF_INVOICE, _invoice_values(invoice))
    yield SayVerbatim(pix)
    yield from _say_more_invoices(invoices, shown=1)


def send_balance(_turn: Turn) -> Effects:
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    total = sum((invoice.amount for invoice in invoices), Decimal(0))
    yield Say(
        sentences.BALANCE,
        {"count": len(invoices), "total": total},
        (("invoice_copy", sentences.BUTTON_SEND_ALL), ("pix_payment", sentences.BUTTON_PIX)),
    )


def send_due_dates(_turn: Turn) -> Effects:
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    yield Say(
        sentences.DUE_DATE,
        _invoice_values(invoices[0]),
        (("invoice_copy", sentences.BUTTON_SEND_ONE), ("pix_payment", sentences.BUTTON_PIX)),
    )


def _say_no_invoices() -> Effects:
    yield Say(sentences.NO_INVOICES, {}, _OFFER_PERSON)


def _say_more_invoices(invoices: Sequence[OpenInvoice], shown: int = MAX_INVOICES) -> Effects:
    if len(invoices) > shown:
        yield Say(
            sentences.MORE_INVOICES,
            {"count": len(invoices) - shown},
            _OFFER_PERSON,
        )


def _describe(invoice: OpenInvoice, turn: Turn, line: str | None) -> Say:
    values = _invoice_values(invoice)
    if line is None:
        return Say(sentences.INVOICE, values)
    is_overdue = invoice.is_overdue(turn.today)
    sentence = sentences.OVERDUE_INVOICE_WITH_LINE if is_overdue else sentences.INVOICE_WITH_LINE
    return Say(sentence, values | {"line": line})


def _invoice_values(invoice: OpenInvoice) -> dict[str, object]:
    return {
        "description": invoice.description,
        "amount": invoice.amount,
        "due": invoice.due_on,
    }


def _find_valid_line(invoice: OpenInvoice, turn: Turn) -> str | None:
    """Return the formatted line, or None if a check digit is wrong: no bank would take it."""
    if invoice.line is None:
        return None
    try:
        return format_line(parse_line(invoice.line, turn.today).line)
    except InvalidBoleto:
        return None


def _find_valid_pix(invoice: OpenInvoice) -> str | None:
    if invoice.pix_code is None:
        return None
    try:
        parse_pix(invoice.pix_code)
    except InvalidPix:
        return None
    return invoice.pix_code

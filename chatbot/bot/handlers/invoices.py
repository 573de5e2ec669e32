"""Open invoices: digitable line, Pix code, balance and due dates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from chatbot.billing.service import OpenInvoice
from chatbot.bot.engine import N_, Effects, FetchInvoices, HandOff, Say, SayVerbatim, Turn
from chatbot.brazil.boleto import InvalidBoleto, format_line, parse_line
from chatbot.brazil.pix import InvalidPix, parse_pix

MAX_INVOICES = 3  # invoices spelled out in one answer


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
            yield Say(N_("To pay by Pix, copy the code in the next message:"))
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
    yield Say(
        N_(
            "Pix for *%(description)s*: R$ %(amount)s, due on %(due)s. Copy the code in the "
            "next message and paste it into your bank's app:"
        ),
        _invoice_values(invoice),
    )
    yield SayVerbatim(pix)
    yield from _say_more_invoices(invoices, shown=1)


def send_balance(_turn: Turn) -> Effects:
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    total = sum((invoice.amount for invoice in invoices), Decimal(0))
    yield Say(
        N_("You have %(count)s open invoice(s), R$ %(total)s in all. Shall I send them?"),
        {"count": len(invoices), "total": total},
        (("invoice_copy", N_("Yes, send them")), ("pix_payment", N_("Pay by Pix"))),
    )


def send_due_dates(_turn: Turn) -> Effects:
    invoices: Sequence[OpenInvoice] = yield FetchInvoices()
    if not invoices:
        yield from _say_no_invoices()
        return
    yield Say(
        N_("Your invoice *%(description)s* of R$ %(amount)s is due on %(due)s. Shall I send it?"),
        _invoice_values(invoices[0]),
        (("invoice_copy", N_("Yes, send it")), ("pix_payment", N_("Pay by Pix"))),
    )


def _say_no_invoices() -> Effects:
    yield Say(
        N_(
            "I found no open invoice for this number. If you pay on behalf of someone else, I "
            "can call an agent."
        ),
        {},
        (("talk_to_human", N_("Talk to a person")),),
    )


def _say_more_invoices(invoices: Sequence[OpenInvoice], shown: int = MAX_INVOICES) -> Effects:
    if len(invoices) > shown:
        yield Say(
            N_("There are %(count)s more open invoices. Shall I call a person to help with them?"),
            {"count": len(invoices) - shown},
            (("talk_to_human", N_("Talk to a person")),),
        )


def _describe(invoice: OpenInvoice, turn: Turn, line: str | None) -> Say:
    values = _invoice_values(invoice) | {"line": line}
    if line is None:
        return Say(N_("*%(description)s*: R$ %(amount)s, due on %(due)s."), values)
    if invoice.is_overdue(turn.today):
        return Say(
            N_(
                "*%(description)s*: R$ %(amount)s, was due on %(due)s.\n\n"
                "Digitable line of the boleto:\n%(line)s"
            ),
            values,
        )
    return Say(
        N_(
            "*%(description)s*: R$ %(amount)s, due on %(due)s.\n\n"
            "Digitable line of the boleto:\n%(line)s"
        ),
        values,
    )


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

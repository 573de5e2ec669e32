"""Handlers by topic, and the handler of each intent."""

from __future__ import annotations

from chatbot.bot.engine import Handler
from chatbot.bot.handlers import consent, handoff, invoices, smalltalk
from chatbot.bot.understanding.classifier import Intent

HANDLERS: dict[Intent, Handler] = {
    Intent.GREETING: smalltalk.greet,
    Intent.THANKS: smalltalk.answer_thanks,
    Intent.GOODBYE: smalltalk.say_goodbye,
    Intent.FALLBACK: smalltalk.fall_back,
    Intent.INVOICE_COPY: invoices.send_open_invoices,
    Intent.PIX_PAYMENT: invoices.send_pix,
    Intent.BALANCE_DUE: invoices.send_balance,
    Intent.DUE_DATE: invoices.send_due_dates,
    Intent.OPT_IN: consent.opt_in,
    Intent.OPT_OUT: consent.opt_out,
    Intent.KEEP_CONSENT: consent.keep_consent,
    Intent.TALK_TO_HUMAN: handoff.hand_off_on_request,
    Intent.COMPLAINT: handoff.hand_off_complaint,
    Intent.CANCEL_SERVICE: handoff.hand_off_topic,
    Intent.TECHNICAL_SUPPORT: handoff.hand_off_topic,
    Intent.UNBLOCK_TRUST: handoff.hand_off_topic,
    Intent.PAYMENT_DONE: handoff.hand_off_payment,
    Intent.PLAN_UPGRADE: handoff.hand_off_topic,
    Intent.BUSINESS_HOURS: handoff.hand_off_topic,
    Intent.ADDRESS_LOCATION: handoff.hand_off_topic,
}

# Intents that are obeyed even while an agent has the conversation.
ALWAYS_HANDLED = frozenset({Intent.OPT_IN, Intent.OPT_OUT})

"""One module a topic; HANDLERS says which handler answers which intent."""

from __future__ import annotations

from chatbot.bot.engine import Handler
from chatbot.bot.handlers import consent, invoices, people, smalltalk
from chatbot.bot.nlu import Intent

HANDLERS: dict[Intent, Handler] = {
    Intent.GREETING: smalltalk.greet,
    Intent.THANKS: smalltalk.welcome,
    Intent.GOODBYE: smalltalk.say_goodbye,
    Intent.FALLBACK: smalltalk.fall_back,
    Intent.INVOICE_COPY: invoices.send_open_invoices,
    Intent.PIX_PAYMENT: invoices.send_pix,
    Intent.BALANCE_DUE: invoices.tell_balance,
    Intent.DUE_DATE: invoices.tell_due_dates,
    Intent.OPT_IN: consent.opt_in,
    Intent.OPT_OUT: consent.opt_out,
    Intent.TALK_TO_HUMAN: people.hand_off_on_request,
    Intent.COMPLAINT: people.hand_off_complaint,
    Intent.CANCEL_SERVICE: people.hand_off_topic,
    Intent.TECHNICAL_SUPPORT: people.hand_off_topic,
    Intent.UNBLOCK_TRUST: people.hand_off_topic,
    Intent.PAYMENT_DONE: people.hand_off_payment,
    Intent.PLAN_UPGRADE: people.hand_off_topic,
    Intent.BUSINESS_HOURS: people.hand_off_topic,
    Intent.ADDRESS_LOCATION: people.hand_off_topic,
}

# What is honoured even while a person has the conversation.
ALWAYS = frozenset({Intent.OPT_IN, Intent.OPT_OUT})

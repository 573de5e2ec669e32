"""Registry of all sentences and button titles that the bot sends, by key.

Each is an English text of the catalogue, translated when it is sent. Handlers refer to the constants below,
and `Say` accepts nothing else, so no sentence can reach a customer without being registered and translated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from flask_babel import format_date, format_decimal, gettext

from chatbot.channels.whatsapp.payloads.limits import BODY, BUTTON, TEXT, Limit
from chatbot.core.i18n import N_

MAX_VALUE = (
    200  # characters of a variable's value, so that a filled sentence stays within its limit
)
_VARIABLE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text with variables such as `%(company)s`, and WhatsApp's limit where it is used."""

    key: str
    text: str
    limit: Limit

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(_VARIABLE.findall(self.text))


SENTENCES: dict[str, Sentence] = {}


def _register(key: str, text: str, limit: Limit = TEXT) -> Sentence:
    if key in SENTENCES:
        raise ValueError(f"the key {key} is taken")
    SENTENCES[key] = Sentence(key, text, limit)
    return SENTENCES[key]


def translate(sentence: Sentence, values: Mapping[str, object]) -> str:
    """Return the sentence in the current language, with its variables filled in."""
    filled = {name: _format_value(value) for name, value in values.items()}
    return str(gettext(sentence.text, **filled))


def _format_value(value: object) -> str:
    """Format money and dates for Brazil."""
    if isinstance(value, Decimal):
        return str(format_decimal(value, format="#,##0.00"))
    if isinstance(value, date):
        return str(format_date(value, format="dd/MM/yyyy"))
    return str(value)[:MAX_VALUE]


# Buttons
BUTTON_INVOICE = _register("button_invoice", N_("My invoice"), BUTTON)
BUTTON_PIX = _register("button_pix", N_("Pay by Pix"), BUTTON)
BUTTON_PERSON = _register("button_person", N_("Talk to a person"), BUTTON)
BUTTON_SEND_ALL = _register("button_send_all", N_("Yes, send them"), BUTTON)
BUTTON_STOP = _register("button_stop", N_("Yes, stop"), BUTTON)
BUTTON_KEEP = _register("button_keep", N_("No, go on"), BUTTON)
BUTTON_START = _register("button_start", N_("Yes, I want them"), BUTTON)
BUTTON_NOT_NOW = _register("button_not_now", N_("Not now"), BUTTON)
BUTTON_SEND_ONE = _register("button_send_one", N_("Yes, send it"), BUTTON)

# Small talk
GREETING = _register(
    "greeting",
    N_(
        "Hello! I am the virtual assistant of %(company)s. I can send you your invoice or your "
        "Pix code, or call a person. What do you need?"
    ),
    BODY,
)
GREETING_BY_NAME = _register(
    "greeting_by_name",
    N_(
        "Hello, %(name)s! I am the virtual assistant of %(company)s. I can send you your invoice "
        "or your Pix code, or call a person. What do you need?"
    ),
    BODY,
)
AD_WELCOME = _register(
    "ad_welcome",
    N_(
        "Hello! I am the virtual assistant of %(company)s. Thank you for your interest in "
        "“%(ad)s”. Write what you would like to know, or choose an option:"
    ),
    BODY,
)
THANKS = _register("thanks", N_("You are welcome! If you need anything else, just write."))
GOODBYE = _register("goodbye", N_("Goodbye! Thank you for contacting %(company)s."))
NOT_UNDERSTOOD = _register(
    "not_understood",
    N_("I did not understand. Choose an option, or say it in other words:"),
    BODY,
)
NOT_UNDERSTOOD_AGAIN = _register(
    "not_understood_again",
    N_("I still did not understand. I am calling someone from our team to help you."),
)
UNREADABLE = _register(
    "unreadable",
    N_("I can only read text for now. Please write what you need, or ask for a person."),
)
FAILED = _register(
    "failed", N_("Something went wrong on our side. I am calling an agent to help you.")
)
FORM_RECEIVED = _register("form_received", N_("Thank you! We have received your answers."))
ORDER_RECEIVED = _register(
    "order_received",
    N_("Thank you for your order! I am calling an agent, who will confirm it here."),
)
ORDER_WITH_TOTAL = _register(
    "order_with_total",
    N_(
        "Thank you for your order of %(count)s item(s), R$ %(total)s in all! I am calling an "
        "agent, who will confirm it here."
    ),
)
LOCATION_RECEIVED = _register(
    "location_received",
    N_("Thank you, I have received the location. What do you need?"),
    BODY,
)
CARD_RECEIVED = _register(
    "card_received", N_("Thank you, I have received the contact. What do you need?"), BODY
)
LOOP = _register(
    "loop",
    N_(
        "It seems that an automatic system is answering me, so I will stop here. "
        "Our team has been told and will read your messages."
    ),
)

# Handing off to a person
CALLING_PERSON = _register(
    "calling_person",
    N_("All right! I am calling an agent. Someone will answer you here shortly."),
)
COMPLAINT = _register(
    "complaint", N_("I am sorry about that. I am calling an agent to look into it with you.")
)
PAYMENT_DONE = _register(
    "payment_done",
    N_(
        "Thank you for telling us! A boleto takes up to 2 working days to clear, Pix only "
        "minutes. I am passing your message to an agent, who will check it."
    ),
)
TOPIC_FOR_PERSON = _register(
    "topic_for_person",
    N_("An agent can answer that best. I am calling one; just a moment, please."),
)

# Consent
ASK_OPT_OUT = _register(
    "ask_opt_out", N_("Do you want to stop receiving the messages of %(company)s?")
)
ASK_OPT_IN = _register(
    "ask_opt_in", N_("Do you want to receive news and offers of %(company)s here?")
)
CONSENT_KEPT = _register("consent_kept", N_("All right, nothing changes. How can I help you?"))
OPTED_OUT = _register(
    "opted_out",
    N_(
        "Done: you will receive no more campaign messages from %(company)s. You can still "
        "write to us here whenever you need. To receive them again, write: I WANT TO "
        "RECEIVE."
    ),
)
OPTED_IN = _register(
    "opted_in",
    N_("Done: you will receive news from %(company)s here. To stop, write STOP at any time."),
)

# Invoices
NO_INVOICES = _register(
    "no_invoices",
    N_(
        "I found no open invoice for this number. If you pay on behalf of someone else, I "
        "can call an agent."
    ),
    BODY,
)
MORE_INVOICES = _register(
    "more_invoices",
    N_("There are %(count)s more open invoices. Shall I call a person to help with them?"),
    BODY,
)
INVOICE = _register("invoice", N_("*%(description)s*: R$ %(amount)s, due on %(due)s."))
INVOICE_WITH_LINE = _register(
    "invoice_with_line",
    N_(
        "*%(description)s*: R$ %(amount)s, due on %(due)s.\n\n"
        "Digitable line of the boleto:\n%(line)s"
    ),
)
OVERDUE_INVOICE_WITH_LINE = _register(
    "overdue_invoice_with_line",
    N_(
        "*%(description)s*: R$ %(amount)s, was due on %(due)s.\n\n"
        "Digitable line of the boleto:\n%(line)s"
    ),
)
PIX_FOLLOWS = _register("pix_follows", N_("To pay by Pix, copy the code in the next message:"))
PIX_OF_INVOICE = _register(
    "pix_of_invoice",
    N_(
        "Pix for *%(description)s*: R$ %(amount)s, due on %(due)s. Copy the code in the "
        "next message and paste it into your bank's app:"
    ),
)
BALANCE = _register(
    "balance",
    N_("You have %(count)s open invoice(s), R$ %(total)s in all. Shall I send them?"),
    BODY,
)
DUE_DATE = _register(
    "due_date",
    N_("Your invoice *%(description)s* of R$ %(amount)s is due on %(due)s. Shall I send it?"),
    BODY,
)

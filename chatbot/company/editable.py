"""Settings that a company may change: name, wording, limits and how each is checked.

A text is checked by the same reader that checks the environment (`config_readers.py`), so both accept the
same. Adding a line here is all that a new setting needs (docs/adding.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_babel import LazyString, get_locale
from flask_babel import lazy_gettext as _l

import config
from chatbot.brazil.documents import InvalidDocument, format_document, parse_document
from chatbot.core.errors import InvalidInput
from chatbot.core.i18n import N_
from chatbot.core.text import clean_text
from config import ConfigError, Settings
from sending_week import format_week, parse_week

BRAZIL_HOLIDAYS = ("", "BR", *(f"BR-{state}" for state in config.BRAZILIAN_STATES))
HOLIDAY_LABELS = {"": _l("None"), "BR": _l("National holidays")}
LANGUAGES = {"pt_BR": "Português", "en": "English"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableSetting:
    """`field` is the attribute of Settings. `format` makes the stored text of its value, in one form only.

    `display` turns a stored text into the one that people read and edit, in their language. `refusal` says in
    one translatable sentence what a right value looks like.
    """

    name: str
    field: str
    group: str
    label: LazyString
    refusal: str
    help: LazyString | None = None
    max_length: int = 200
    is_required: bool = False
    choices: tuple[str, ...] = ()
    clean: Callable[[str], str] = lambda text: text
    format: Callable[[Any], str] = str
    display: Callable[[str], str] = str

    def check(self, settings: Settings, text: str) -> str:
        """Return the text to store, in the one form that equal values share.

        Raises:
            InvalidInput: the text is wrong; `field` is the setting's name.
        """
        cleaned = self.clean(clean_text(text, self.max_length + 1))
        try:
            if (self.is_required and not cleaned) or len(cleaned) > self.max_length:
                raise ConfigError
            return self.format(config.read_setting(settings, self.field, self.name, cleaned))
        except ConfigError:
            raise InvalidInput(self.refusal, field=self.name) from None

    def text_in(self, settings: Settings) -> str:
        return self.format(getattr(settings, self.field))


def _display_hours(text: str) -> str:
    return format_week(parse_week(text), portuguese=str(get_locale()) == "pt_BR")


def _clean_tax_id(text: str) -> str:
    if not text:
        return ""
    try:
        document = parse_document(text)
    except InvalidDocument:
        document = None
    if document is None or document.kind != "cnpj":
        raise InvalidInput(TAX_ID_REFUSAL, field="COMPANY_TAX_ID")
    return format_document(document.digits)


TAX_ID_REFUSAL = N_("This is no valid CNPJ: compare its 14 characters with the original.")

EDITABLE_SETTINGS = (
    EditableSetting(
        name="COMPANY_NAME",
        field="company_name",
        group="company",
        label=_l("Name"),
        help=_l("As customers know you: the bot says it, and the panel shows it."),
        refusal=N_("Enter the company's name, at most 100 characters."),
        max_length=100,
        is_required=True,
    ),
    EditableSetting(
        name="COMPANY_LEGAL_NAME",
        field="company_legal_name",
        group="company",
        label=_l("Legal name"),
        refusal=N_("The legal name may have at most 200 characters."),
    ),
    EditableSetting(
        name="COMPANY_TAX_ID",
        field="company_tax_id",
        group="company",
        label=_l("CNPJ"),
        refusal=TAX_ID_REFUSAL,
        max_length=30,
        clean=_clean_tax_id,
    ),
    EditableSetting(
        name="COMPANY_ADDRESS",
        field="company_address",
        group="company",
        label=_l("Address"),
        refusal=N_("The address may have at most 300 characters."),
        max_length=300,
    ),
    EditableSetting(
        name="SENDING_HOURS",
        field="sending_hours",
        group="sending",
        label=_l("Sending hours"),
        help=_l(
            "When campaigns may send, such as mon-fri 09:00-12:00, mon-fri 13:00-19:00, sat 10:00-14:00. "
            "Empty: at any hour."
        ),
        refusal=N_(
            "Write days and hours such as mon-fri 09:00-19:00, sat 10:00-14:00, without overlaps; "
            "leave it empty for any hour."
        ),
        max_length=500,
        format=format_week,
        display=_display_hours,
    ),
    EditableSetting(
        name="SENDING_HOLIDAYS",
        field="holiday_calendar",
        group="sending",
        label=_l("Holidays"),
        help=_l("With sending hours set, campaigns rest on these days."),
        refusal=N_("Choose one of the calendars of the list."),
        choices=BRAZIL_HOLIDAYS,
    ),
    EditableSetting(
        name="SENDING_DAYS_OFF",
        field="days_off",
        group="sending",
        label=_l("Days off of your own"),
        help=_l("Dates such as 2026-12-24, 2026-12-31."),
        refusal=N_("Write dates such as 2026-12-24, 2026-12-31."),
        max_length=2000,
        format=lambda days: ", ".join(day.isoformat() for day in sorted(days)),
    ),
    EditableSetting(
        name="MESSAGES_PER_SECOND",
        field="messages_per_second",
        group="sending",
        label=_l("Messages per second"),
        help=_l("Meta allows 80 for most numbers; less spares the people who answer."),
        refusal=N_("Enter a whole number from 1 to 1000."),
        max_length=4,
        is_required=True,
    ),
    EditableSetting(
        name="PROSA_LOCALE",
        field="locale",
        group="language",
        label=_l("Language"),
        help=_l("Of the bot, and of the panel for people who have not chosen one."),
        refusal=N_("Choose Portuguese or English."),
        choices=tuple(LANGUAGES),
    ),
)
BY_NAME = {setting.name: setting for setting in EDITABLE_SETTINGS}
GROUP_LABELS = {"company": _l("Company"), "sending": _l("Sending"), "language": _l("Language")}


def get_choice_label(name: str, choice: str) -> str | LazyString:
    if name == "PROSA_LOCALE":
        return LANGUAGES[choice]
    return HOLIDAY_LABELS.get(choice) or _l("National and of %(state)s", state=choice[3:])

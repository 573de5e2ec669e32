from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import DateField, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from chatbot.message_templates.labels import CATEGORIES
from chatbot.message_templates.prices import CURRENCIES

MAX_DIGITS = 12


class PriceForm(FlaskForm):
    category = SelectField(
        _l("Category"),
        choices=[SelectChoice(str(name), label) for name, label in CATEGORIES.items()],
    )
    country = StringField(
        _l("Country of the recipient"),
        [InputRequired(_l("Enter the country in two letters, such as BR."))],
        default="BR",
        render_kw={"maxlength": 2, "autocomplete": "off"},
    )
    valid_from = DateField(_l("Valid from"), [InputRequired(_l("Choose the start date."))])
    amount = StringField(
        _l("Per message"),
        [
            InputRequired(_l("Enter a price, such as 0.0625.")),
            Length(max=MAX_DIGITS, message=_l("At most %(max)d characters.")),
        ],
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )
    currency = SelectField(_l("Currency"), choices=[SelectChoice(c, c) for c in CURRENCIES])

    def validate_amount(self, field: StringField) -> None:
        try:
            Decimal(_normalize_decimal(field.data))
        except InvalidOperation:
            raise ValidationError(_("Enter a price, such as 0.0625.")) from None

    @property
    def given(self) -> dict[str, Any]:
        names = ("category", "country", "valid_from", "currency")
        return {name: self[name].data for name in names} | {
            "amount": Decimal(_normalize_decimal(self.amount.data))
        }


def _normalize_decimal(text: str | None) -> str:
    """Accept the decimal comma of Brazil."""
    return (text or "").strip().replace(",", ".")

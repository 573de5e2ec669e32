"""Forms of the steps in which a campaign is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from chatbot.campaigns.labels import FIELD_LABELS
from chatbot.campaigns.models import ConsentBasis, OnDoubt
from chatbot.campaigns.service import MAX_NAME
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.components import list_parameters
from chatbot.message_templates.values import check_value

MAX_PARAMETER_TEXT = 500


class DescriptionForm(FlaskForm):
    """First step: name, template, and what to do with messages in doubt."""

    name = StringField(
        _l("Name of the campaign"),
        [
            InputRequired(_l("Enter a name for it.")),
            Length(max=MAX_NAME, message=_l("At most %(max)d characters.")),
        ],
        description=_l("Contacts never see it."),
        render_kw={"autocomplete": "off", "maxlength": MAX_NAME},
    )
    template_id = RadioField(
        _l("Message template"), [InputRequired(_l("Choose a template."))], coerce=int
    )
    on_doubt = RadioField(
        _l("When it is not known whether a message arrived"),
        choices=[
            SelectChoice(OnDoubt.SHOW.value, _l("show it to me and send nothing twice")),
            SelectChoice(
                OnDoubt.RESEND.value, _l("send it again once it is proven that it was never sent")
            ),
        ],
        default=OnDoubt.SHOW.value,
    )


class ParametersForm(FlaskForm):
    """Second step: a pair of fields (source, text) for each parameter of the template."""

    def __init__(self, components: Sequence[Mapping[str, Any]], attributes: Sequence[str]) -> None:
        super().__init__()
        self.components = components
        self.names = list_parameters(components)
        self.choices = [(f"field:{name}", str(label)) for name, label in FIELD_LABELS.items()]
        self.choices += [(f"field:{name}", name) for name in attributes if name not in FIELD_LABELS]
        self.values: dict[str, str] = {}
        self.problems: dict[str, str] = {}

    def validate_sources(self, form: Mapping[str, str]) -> bool:
        """Store what was typed, to show it again. Return True if every parameter has a usable source."""
        for name in self.names:
            source, text = form.get(f"source-{name}", ""), form.get(f"text-{name}", "").strip()
            self.values[name] = f"text:{text}" if source == "text" else source
            self._check(name, source, text)
        return not self.problems

    def _check(self, name: str, source: str, text: str) -> None:
        if source == "text":
            if not text:
                self.problems[name] = _("Enter the text, or choose a field of the contact.")
            elif len(text) > MAX_PARAMETER_TEXT:
                self.problems[name] = _("At most %(most)s characters.", most=MAX_PARAMETER_TEXT)
            else:
                self._check_value(name, text)
        elif source not in dict(self.choices):
            self.problems[name] = _("Choose where the value comes from.")

    def _check_value(self, name: str, text: str) -> None:
        try:
            check_value(name, text, self.components)
        except InvalidInput as error:
            self.problems[name] = _(error.message, **error.values)

    def load_saved(self, sources: Mapping[str, Any]) -> None:
        """Show the saved choice. An attribute that no contact has any more stays in the list."""
        self.values = {name: str(sources.get(name, "")) for name in self.names}
        known = dict(self.choices)
        for source in self.values.values():
            if source.startswith("field:") and source not in known:
                self.choices.append((source, source.partition(":")[2]))


class AudienceForm(FlaskForm):
    """Third step. Values are `all`, `tag:NAME` and `segment:ID`."""

    audience = RadioField(_l("Audience"), [InputRequired(_l("Choose the audience."))])
    # Shown for marketing templates only.
    consent_basis = RadioField(
        _l("Who of them may receive this marketing message"),
        choices=[
            SelectChoice(ConsentBasis.OPT_IN.value, _l("only who agreed to campaigns")),
            SelectChoice(
                ConsentBasis.CUSTOMERS.value,
                _l("also customers who have written to us, which is recorded with my name"),
            ),
        ],
        default=ConsentBasis.OPT_IN.value,
        description=_l("Who refused campaigns never receives it."),
    )

    @property
    def spec(self) -> dict[str, Any]:
        kind, _separator, name = str(self.audience.data).partition(":")
        if kind == "segment":
            return {"kind": "segment", "id": int(name)}
        return {"kind": "tag", "name": name} if kind == "tag" else {"kind": "all"}


def get_audience_value(audience: Mapping[str, Any]) -> str | None:
    """Return the form value of a stored audience, the inverse of `AudienceForm.spec`."""
    if audience.get("kind") == "segment":
        return f"segment:{audience.get('id')}"
    if audience.get("kind") == "tag":
        return f"tag:{audience.get('name')}"
    return "all" if audience.get("kind") == "all" else None

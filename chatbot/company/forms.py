from __future__ import annotations

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from chatbot.company.editable import (
    BY_NAME,
    EDITABLE_SETTINGS,
    EditableSetting,
    get_choice_label,
)
from chatbot.company.service import SettingsConflict, SettingView
from chatbot.core.errors import AppError

SEEN = "seen_"


class SettingsForm(FlaskForm):
    """One field per editable setting, and beside each a hidden one with the text that the editor saw."""

    @classmethod
    def showing(cls, views: Mapping[str, SettingView]) -> SettingsForm:
        texts = {name: BY_NAME[name].display(view.text) for name, view in views.items()}
        return cls(formdata=None, data={**texts, **{SEEN + n: text for n, text in texts.items()}})

    @property
    def changes(self) -> dict[str, str]:
        return {name: self[name].data or "" for name in BY_NAME}

    @property
    def seen(self) -> dict[str, str]:
        return {name: self[SEEN + name].data or "" for name in BY_NAME}

    def show_error(self, error: AppError) -> None:
        self[error.field or "COMPANY_NAME"].errors = [_(error.message, **error.values)]

    def show_conflict(self, conflict: SettingsConflict) -> None:
        """Name the other editor and their text at each field; saving again overwrites knowingly."""
        for name, theirs in conflict.theirs.items():
            text = BY_NAME[name].display(theirs.text)
            self[name].errors = [
                _("%(editor)s changed this to “%(text)s”.", editor=theirs.changed_by, text=text)
            ]
            self[SEEN + name].data = text


def _field_of(setting: EditableSetting) -> SelectField | StringField:
    if setting.choices:
        choices = [SelectChoice(c, get_choice_label(setting.name, c)) for c in setting.choices]
        return SelectField(setting.label, choices=choices, description=setting.help or "")
    limits = {"maxlength": setting.max_length, "autocomplete": "off"}
    return StringField(setting.label, description=setting.help or "", render_kw=limits)


for _setting in EDITABLE_SETTINGS:
    setattr(SettingsForm, _setting.name, _field_of(_setting))
    setattr(SettingsForm, SEEN + _setting.name, HiddenField())

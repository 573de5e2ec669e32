from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import HiddenField, StringField, TextAreaField, ValidationError
from wtforms.validators import Length

from chatbot.channels.media.file_types import ACCEPT
from chatbot.channels.whatsapp.payloads import MAX_BUTTON_TITLE, MAX_MESSAGE_TEXT
from chatbot.conversations.inbox.composer import Attachment, ReplyDraft

MAX_CLIENT_TOKEN = 40
MAX_ID_DIGITS = 10
MAX_PARAMETER = 1024


def _normalize_line_breaks(text: str | None) -> str:
    """Replace CR LF, as browsers send it, by LF, so that a line break counts as one character."""
    return (text or "").replace("\r\n", "\n").replace("\x00", "").strip()


def _button_field() -> StringField:
    return StringField(
        _l("Button"),
        [Length(max=MAX_BUTTON_TITLE, message=_l("A button has at most %(max)d characters."))],
        filters=[_normalize_line_breaks],
        render_kw={"maxlength": MAX_BUTTON_TITLE, "autocomplete": "off"},
    )


class ReplyForm(FlaskForm):
    text = TextAreaField(
        _l("Reply"),
        [
            Length(
                max=MAX_MESSAGE_TEXT, message=_l("WhatsApp accepts at most %(max)d characters.")
            ),
        ],
        filters=[_normalize_line_breaks],
    )
    button_1 = _button_field()
    button_2 = _button_field()
    button_3 = _button_field()
    file = FileField(_l("Attach a file"), render_kw={"accept": ACCEPT})
    # Made with the form: a form submitted twice queues one message.
    client_token = HiddenField(validators=[Length(max=MAX_CLIENT_TOKEN)])

    def validate_text(self, field: TextAreaField) -> None:
        if not field.data and self._attachment() is None:
            raise ValidationError(_("Write something first."))

    @property
    def buttons(self) -> list[StringField]:
        return [self.button_1, self.button_2, self.button_3]

    @property
    def draft(self) -> ReplyDraft:
        return ReplyDraft(
            text=self.text.data or "",
            buttons=[field.data for field in self.buttons if field.data],
            attachment=self._attachment(),
            client_token=self.client_token.data or None,
        )

    def problem_at(self, field: str | None, sentence: str) -> None:
        """Show an error beside the field that it is about."""
        at = {"file": self.file, "buttons": self.button_1}.get(field or "", self.text)
        at.errors = [sentence]

    def _attachment(self) -> Attachment | None:
        upload = self.file.data
        if not upload or not upload.filename:
            return None
        return Attachment(stream=upload.stream, file_name=upload.filename)

    def renew_token(self) -> None:
        self.client_token.data = secrets.token_urlsafe(16)


class StateChangeForm(FlaskForm):
    """Button that changes the state. `seen` is the state token of the page that showed it."""

    seen = HiddenField(validators=[Length(max=40)])


def build_reply_form(**given: Any) -> ReplyForm:
    form = ReplyForm(**given)
    if not form.client_token.data:
        form.renew_token()
    return form


class TemplateForm:
    """Chosen template and the values of its parameters, in fields named `value-<parameter>`."""

    def __init__(self, given: Mapping[str, str]) -> None:
        number = given.get("template_id", "")
        self.template_id = int(number) if number.isdigit() and len(number) < MAX_ID_DIGITS else 0
        self.client_token = given.get("client_token", "")[
            :MAX_CLIENT_TOKEN
        ] or secrets.token_urlsafe(16)
        self.problem: str | None = None
        self.problem_at: str | None = None
        self._given = given

    def values_for(self, names: Iterable[str]) -> dict[str, str]:
        """Return the filled-in values of these parameters."""
        given = {name: self._given.get(f"value-{name}", "").strip() for name in names}
        return {name: value[:MAX_PARAMETER] for name, value in given.items() if value}

from __future__ import annotations

import secrets
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

MAX_CLIENT_TOKEN = 40


class PreviewSendForm(FlaskForm):
    """Send a test to oneself. `client_token` makes a form that is sent twice queue one message."""

    phone = StringField(
        _l("Your phone"),
        [InputRequired(_l("Enter the phone that receives the test, with its area code."))],
        description=_l("With the area code, as in (11) 98765-4321."),
        render_kw={"autocomplete": "tel", "inputmode": "tel", "maxlength": 100},
    )
    like = StringField(
        _l("With the values of"),
        [Length(max=100, message=_l("At most %(max)d characters."))],
        render_kw={"autocomplete": "off", "maxlength": 100},
    )
    client_token = HiddenField(validators=[Length(max=MAX_CLIENT_TOKEN)])

    def renew_token(self) -> None:
        self.client_token.data = secrets.token_urlsafe(16)

    @property
    def values(self) -> dict[str, Any]:
        return {
            "phone": self.phone.data or "",
            "like": self.like.data or "",
            "client_token": self.client_token.data or None,
        }

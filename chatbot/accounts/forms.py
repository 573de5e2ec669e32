from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, EqualTo, Length

from chatbot.accounts.models import Role
from chatbot.accounts.passwords import MIN_PASSWORD

ROLE_CHOICES = [
    SelectChoice(Role.AGENT, _l("Agent: answers conversations")),
    SelectChoice(Role.MANAGER, _l("Manager: also campaigns and imports")),
    SelectChoice(Role.ADMIN, _l("Administrator: everything, including users")),
]


class SignInForm(FlaskForm):
    email = EmailField(
        _l("E-mail"),
        [DataRequired(_l("Enter your e-mail.")), Length(max=254, message=_l("This is too long."))],
        render_kw={"autocomplete": "username", "autofocus": True, "maxlength": None},
    )
    password = PasswordField(
        _l("Password"),
        [
            DataRequired(_l("Enter your password.")),
            Length(max=200, message=_l("This is too long.")),
        ],
        render_kw={"autocomplete": "current-password"},
    )


def _new_password_field(label: object) -> PasswordField:
    return PasswordField(
        label,
        [
            DataRequired(_l("Choose a password.")),
            Length(
                MIN_PASSWORD, 200, _l("A password needs at least %(least)s characters.", least=10)
            ),
        ],
        description=_l(
            "At least %(least)s characters. A short sentence is easy to remember.", least=10
        ),
        render_kw={"autocomplete": "new-password"},
    )


def _repeat_password_field() -> PasswordField:
    return PasswordField(
        _l("Repeat the password"),
        [EqualTo("password", _l("The two passwords do not match."))],
        render_kw={"autocomplete": "new-password"},
    )


class ChoosePasswordForm(FlaskForm):
    password = _new_password_field(_l("New password"))
    repeated = _repeat_password_field()


class ChangePasswordForm(FlaskForm):
    present = PasswordField(
        _l("Current password"),
        [DataRequired(_l("Enter your current password.")), Length(max=200)],
        render_kw={"autocomplete": "current-password"},
    )
    password = _new_password_field(_l("New password"))
    repeated = _repeat_password_field()


class NewUserForm(FlaskForm):
    name = StringField(
        _l("Name"),
        [DataRequired(_l("Enter a name.")), Length(max=200, message=_l("This is too long."))],
        render_kw={"autocomplete": "off"},
    )
    email = EmailField(
        _l("E-mail"),
        [DataRequired(_l("Enter an e-mail.")), Length(max=254, message=_l("This is too long."))],
        render_kw={"autocomplete": "off"},
    )
    role = SelectField(_l("Role"), choices=ROLE_CHOICES, default=Role.AGENT)


class RoleForm(FlaskForm):
    role = SelectField(_l("Role"), choices=ROLE_CHOICES)

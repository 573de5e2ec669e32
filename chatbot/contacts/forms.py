from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import EmailField, StringField
from wtforms.validators import Length


class ContactForm(FlaskForm):
    name = StringField(
        _l("Name"),
        [Length(max=200, message=_l("At most %(max)d characters."))],
        render_kw={"autocomplete": "off", "maxlength": 200},
    )
    email = EmailField(
        _l("E-mail"),
        [Length(max=254, message=_l("At most %(max)d characters."))],
        render_kw={"autocomplete": "off"},
    )
    tags = StringField(
        _l("Tags"),
        [Length(max=2000, message=_l("At most %(max)d characters."))],
        description=_l(
            "Separate them with commas. A campaign can be sent to all contacts with a tag."
        ),
        render_kw={"autocomplete": "off"},
    )


class UploadForm(FlaskForm):
    file = FileField(
        _l("CSV file"),
        [FileRequired(_l("Choose a file first."))],
        description=_l("CSV with a header line, up to 20 MB."),
        render_kw={"accept": ".csv,.txt,text/csv,text/plain"},
    )

"""Labels of roles."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.accounts.models import Role

ROLE_LABELS: dict[str, LazyString] = {
    Role.AGENT: _l("Agent"),
    Role.MANAGER: _l("Manager"),
    Role.ADMIN: _l("Administrator"),
}

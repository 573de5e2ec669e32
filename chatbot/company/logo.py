"""Logo of the company: a small picture, stored in SQL so that every process can show it."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from flask import current_app

from chatbot.company.models import CompanyLogo
from chatbot.company.service import CurrentSettings, store_setting
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput

VERSION_SETTING = "COMPANY_LOGO"  # a stored setting that changes with the picture
MAX_LOGO_BYTES = 200 * 1024
# By content, never by name. SVG is left out: it may hold scripts.
SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def get_logo() -> CompanyLogo | None:
    return db.session.get(CompanyLogo, 1)


def get_logo_version() -> str | None:
    """Return what the logo's address ends with, or None without a logo. Costs no query."""
    current: CurrentSettings = current_app.extensions["prosa_current_settings"]
    return current.stored.get(VERSION_SETTING) or None


def set_logo(content: bytes, actor: str) -> None:
    """Store a PNG or JPEG of at most 200 KB. The caller commits.

    Raises:
        InvalidInput: another kind of file, or too large; `field` is "logo".
    """
    kind = next((kind for start, kind in SIGNATURES.items() if content.startswith(start)), None)
    if kind is None or len(content) > MAX_LOGO_BYTES:
        raise InvalidInput(
            "The logo must be a PNG or JPEG picture of at most 200 KB.", field="logo"
        )
    db.session.merge(CompanyLogo(id=1, content_type=kind, content=content))
    store_setting(VERSION_SETTING, hashlib.sha256(content).hexdigest()[:12], actor)


def delete_logo(actor: str) -> None:
    db.session.execute(sa.delete(CompanyLogo))
    store_setting(VERSION_SETTING, "", actor)

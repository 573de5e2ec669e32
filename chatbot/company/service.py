"""Read and change the company's settings. What the panel stored wins over the environment.

Every process keeps the settings it uses and reads them again at most every `REFRESH_S` seconds, from the
cache (which a change invalidates) or, without Redis, from SQL. So a change reaches all processes within
that time and costs a request nothing. When neither answers, a process keeps what it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa
from flask import Flask, current_app, has_app_context
from sqlalchemy.exc import DBAPIError

from chatbot.company.editable import BY_NAME, EDITABLE_SETTINGS
from chatbot.company.models import SETTINGS_CACHE_TAG, SettingChange, StoredSetting
from chatbot.core import clock
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import advisory_lock, db, read_only
from chatbot.core.errors import Conflict, InvalidInput
from chatbot.extensions import cache
from config import ConfigError, Settings, read_setting

log = logging.getLogger(__name__)

REFRESH_S = 2.0
STORED = CacheSpec[dict[str, str]]("settings", dict[str, str], fresh_s=300)


class CurrentSettings:
    """Settings of the environment with the stored ones over them. One per application; call it to read."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.stored: dict[str, str] = {}
        self._base = self._settings = self.environment
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def __call__(self) -> Settings:
        if time.monotonic() - self._read_at > REFRESH_S and has_app_context():
            self._refresh()
        if self._base is not self.environment:
            self._apply()
        return self._settings

    @property
    def environment(self) -> Settings:
        """Return the settings of the environment, over which the stored ones are laid."""
        found: Settings = self._app.extensions["prosa_settings"]
        return found

    def _apply(self) -> None:
        self._base = self.environment
        self._settings = apply_stored(self._base, self.stored)

    def forget(self) -> None:
        """Read again at the next call."""
        self._read_at = float("-inf")

    def _refresh(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # another thread reads; this one goes on with what there is
        try:
            # First, so that what the reading itself asks for does not read again.
            self._read_at = time.monotonic()
            stored = cache.get_or_compute(
                CacheEntry(STORED, "all", _read_stored, (SETTINGS_CACHE_TAG,))
            )
            if stored != self.stored:
                self.stored = stored
                self._apply()
        except DBAPIError as error:
            log.warning("settings can't be read now, the last ones hold: %s", type(error).__name__)
        finally:
            self._lock.release()


def init_company(app: Flask) -> None:
    """Let `get_settings` return the stored settings over the environment's."""
    app.extensions["prosa_current_settings"] = CurrentSettings(app)


def _read_stored() -> dict[str, str]:
    # A connection of its own: the caller may be in a transaction that has failed, or that writes.
    with read_only(), db.engine.connect() as connection:
        rows = connection.execute(sa.select(StoredSetting.name, StoredSetting.value)).all()
    return {row.name: row.value for row in rows}


def apply_stored(environment: Settings, stored: Mapping[str, str]) -> Settings:
    """Return the settings with stored texts over them. A text that no longer fits is ignored and logged."""
    values = {}
    for name, text in stored.items():
        setting = BY_NAME.get(name)
        try:
            if setting is not None:
                values[setting.field] = read_setting(environment, setting.field, name, text)
        except ConfigError as error:
            log.warning("a stored setting is ignored: %s", error)
    return replace(environment, **values)


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting as people see it. `changed_by` is empty while the environment's value holds."""

    name: str
    text: str
    changed_by: str = ""


def list_settings() -> dict[str, SettingView]:
    """Return every editable setting as it is now in SQL, by name."""
    stored = {row.name: row for row in db.session.scalars(sa.select(StoredSetting))}
    settings = apply_stored(_environment(), {row.name: row.value for row in stored.values()})
    return {
        setting.name: SettingView(
            setting.name,
            setting.text_in(settings),
            stored[setting.name].changed_by if setting.name in stored else "",
        )
        for setting in EDITABLE_SETTINGS
    }


class SettingsConflict(Conflict):
    """Somebody else changed the same settings meanwhile. `theirs` holds what they are now, by name."""

    def __init__(self, theirs: dict[str, SettingView]) -> None:
        super().__init__(
            "Somebody changed these settings while you were editing. Compare, and save again what is to hold."
        )
        self.theirs = theirs


def change_settings(
    changes: Mapping[str, str], actor: str, *, seen: Mapping[str, str] | None = None
) -> list[str]:
    """Store texts by setting name, and return the names that changed. The caller commits.

    `seen` holds the texts that the editor saw: a setting they left as they saw it is not written, and one
    that somebody else changed meanwhile is refused.

    Raises:
        InvalidInput: a text is wrong or a name unknown; `field` is the name.
        SettingsConflict: another editor was faster.
    """
    advisory_lock(db.session.connection(), "settings")
    now = list_settings()
    if seen is not None:
        changes = {name: text for name, text in changes.items() if text != seen.get(name)}
    wanted = {name: _check(name, text) for name, text in changes.items()}
    changed = [name for name, text in wanted.items() if text != now[name].text]
    if seen is not None:
        theirs = {name: now[name] for name in changed if now[name].text != _check(name, seen[name])}
        if theirs:
            raise SettingsConflict(theirs)
    for name in changed:
        store_setting(name, wanted[name], actor, old=now[name].text)
    return changed


def _check(name: str, text: str) -> str:
    if name not in BY_NAME:
        raise InvalidInput("There is no such setting: see `flask settings list`.", field=name)
    return BY_NAME[name].check(_environment(), text)


def store_setting(name: str, text: str, actor: str, *, old: str = "") -> None:
    """Store one text and record the change. The caller has checked it, and commits."""
    now = clock.now()
    db.session.merge(StoredSetting(name=name, value=text, changed_by=actor, changed_at=now))
    db.session.add(
        SettingChange(name=name, old_value=old, new_value=text, changed_by=actor, changed_at=now)
    )


def list_changes(limit: int = 50) -> list[SettingChange]:
    """Return the newest changes first."""
    query = sa.select(SettingChange).order_by(SettingChange.id.desc()).limit(limit)
    return list(db.session.scalars(query))


def _environment() -> Settings:
    found: CurrentSettings = current_app.extensions["prosa_current_settings"]
    return found.environment

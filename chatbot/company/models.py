"""Settings that somebody changed, who changed them, and the company's logo."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime

SETTINGS_CACHE_TAG = "settings"


class StoredSetting(Base):
    """Text of one setting, as its environment variable would hold it. Without a row that one holds."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)
    changed_by: Mapped[str] = mapped_column(sa.String(254))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    def cache_tags(self) -> Iterable[str]:
        return (SETTINGS_CACHE_TAG,)


class SettingChange(Base):
    """One change of one setting. Rows are only added."""

    __tablename__ = "setting_changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    old_value: Mapped[str] = mapped_column(sa.Text)
    new_value: Mapped[str] = mapped_column(sa.Text)
    changed_by: Mapped[str] = mapped_column(sa.String(254))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)


class CompanyLogo(Base):
    """Logo of the company: at most one row, with id 1."""

    __tablename__ = "company_logo"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    content_type: Mapped[str] = mapped_column(sa.String(20))
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)

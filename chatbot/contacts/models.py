"""People we talk to, the identities we know them by, and what they agreed to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, validates

from chatbot.core import clock
from chatbot.core.cache.invalidation import has_changed, old_and_new_values
from chatbot.core.db import Base, BigId, Json, UtcDateTime
from chatbot.core.text import fold

CONTACTS_CACHE_TAG = "contacts"  # the cache's topic of names and addresses, as lists show them


def contact_cache_tag(contact_id: int) -> str:
    """What is cached of one contact."""
    return f"contact:{contact_id}"


def _default_search_name(context: Any) -> str:
    """For rows that are inserted without an object, as an import does."""
    return fold(context.get_current_parameters().get("name") or "")


class Contact(Base):
    """One person. `wa_id` is exactly what Meta calls them, and what we send to; `phone` is E.164."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    # The name without accents and capitals, by which lists are searched and sorted.
    search_name: Mapped[str] = mapped_column(
        sa.String(400), default=_default_search_name, server_default=""
    )
    wa_id: Mapped[str | None] = mapped_column(sa.String(80))
    # Meta's business-scoped user id: the only address of who hides the phone behind a username.
    bsuid: Mapped[str | None] = mapped_column(sa.String(160))
    username: Mapped[str | None] = mapped_column(sa.String(160))
    phone: Mapped[str | None] = mapped_column(sa.String(20))
    document: Mapped[str | None] = mapped_column(sa.String(14))
    email: Mapped[str | None] = mapped_column(sa.String(254))
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    opted_out_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # WhatsApp could not deliver to them several times, and nothing has reached them since.
    unreachable_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Until when Meta wants them to have no more marketing (its error 131049).
    marketing_paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contacts.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (
        sa.Index(
            "ix_contacts_opted_out",
            "id",
            sqlite_where=sa.text("opted_out_at IS NOT NULL"),
            postgresql_where=sa.text("opted_out_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_contacts_merged",
            "merged_into_id",
            sqlite_where=sa.text("merged_into_id IS NOT NULL"),
            postgresql_where=sa.text("merged_into_id IS NOT NULL"),
        ),
        sa.Index("ix_contacts_search_name", "search_name", "id"),
    )

    @validates("name")
    def _fold_name(self, _key: str, name: str) -> str:
        self.search_name = fold(name or "")
        return name

    def cache_tags(self) -> Iterable[str]:
        if not sa.inspect(self).persistent:
            return ()  # nothing that is cached shows a contact that nobody has seen
        is_shown_in_lists = has_changed(self, "name", "phone", "wa_id", "opted_out_at") or (
            # Meta tells it with each person's first message; it is shown of who hides the phone.
            has_changed(self, "bsuid") and not (self.wa_id or self.phone)
        )
        people = {self.id, *old_and_new_values(self, "merged_into_id")} - {None}
        return (
            *map(contact_cache_tag, people),
            *([CONTACTS_CACHE_TAG] if is_shown_in_lists else ()),
        )

    @hybrid_property
    def address(self) -> str | None:
        """Where a message to this contact goes: the id that Meta uses, else the phone's digits, else
        the user id. The phone comes first where it is known: so Meta goes on telling it
        (whatsapp_cloud_api.md section 2.5)."""
        return self.wa_id or (self.phone or "").lstrip("+") or self.bsuid or None

    @address.inplace.expression
    @classmethod
    def _address_in_sql(cls) -> sa.ColumnElement[str | None]:
        return sa.func.coalesce(cls.wa_id, sa.func.ltrim(cls.phone, "+"), cls.bsuid)


class IdentityKind(StrEnum):
    PHONE = "phone"  # value: core.phone.match_key, so that the ninth digit splits nobody
    BSUID = "bsuid"
    PARENT_BSUID = "parent"  # of portfolios that Meta has joined to a family
    USERNAME = "username"


class ContactIdentity(Base):
    """What a payload may call a contact by; the primary key lets no two contacts share one."""

    __tablename__ = "contact_identities"

    kind: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    contact_id: Mapped[int] = mapped_column(
        sa.ForeignKey("contacts.id"), index=True, active_history=True
    )
    # A number that its owner left: what was said from it later is somebody else's.
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def cache_tags(self) -> Iterable[str]:
        return map(contact_cache_tag, old_and_new_values(self, "contact_id"))


class ContactTag(Base):
    __tablename__ = "contact_tags"

    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contacts.id"), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), primary_key=True)

    __table_args__ = (sa.Index(None, "name", "contact_id"),)

    def cache_tags(self) -> Iterable[str]:
        return (contact_cache_tag(self.contact_id),)


class Suppression(Base):
    """Somebody who opted out, by a keyed hash of what names them: it outlives the contact's row."""

    __tablename__ = "suppressions"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class ConsentEvent(Base):
    """A contact's choice about being written to, with where it came from; only ever added.

    `source`: bot (words), button (of a template), meta (in WhatsApp itself, or its error 131050), agent,
    cli, import, or suppression (they said so before their contact was erased).
    """

    __tablename__ = "consent_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contacts.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(10))  # opt_in or opt_out
    source: Mapped[str] = mapped_column(sa.String(30))
    evidence: Mapped[str] = mapped_column(sa.String(500), default="")
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime)

    def cache_tags(self) -> Iterable[str]:
        return (contact_cache_tag(self.contact_id),)


def is_dated_consent() -> sa.ColumnElement[bool]:
    """Consent events that say when somebody decided: a list says so of many, without the moment."""
    return ConsentEvent.source != "import"

"""Tables of contacts, their identities, tags and consent."""

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
from chatbot.core.db import Base, BigId, Json, UtcDateTime, index_where
from chatbot.core.text import fold

CONTACTS_CACHE_TAG = "contacts"  # lists that show names or addresses of contacts


MAX_SEARCH_NAME = 400


def contact_cache_tag(contact_id: int) -> str:
    """Return the cache tag of one contact."""
    return f"contact:{contact_id}"


def _default_search_name(context: Any) -> str:
    """Compute `search_name` for rows inserted without a `Contact` object."""
    return fold(context.get_current_parameters().get("name") or "", MAX_SEARCH_NAME)


class Contact(Base):
    """Person on WhatsApp. `wa_id` is the id that Meta uses; `phone` is E.164."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    # Name without accents in lower case, for searching and sorting.
    search_name: Mapped[str] = mapped_column(
        sa.String(MAX_SEARCH_NAME), default=_default_search_name, server_default=""
    )
    wa_id: Mapped[str | None] = mapped_column(sa.String(80))
    # Meta's business-scoped user id: the only address of a person who hides the phone.
    bsuid: Mapped[str | None] = mapped_column(sa.String(160))
    username: Mapped[str | None] = mapped_column(sa.String(160))
    phone: Mapped[str | None] = mapped_column(sa.String(20))
    document: Mapped[str | None] = mapped_column(sa.String(14))
    email: Mapped[str | None] = mapped_column(sa.String(254))
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    opted_out_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Set when delivery failed repeatedly, cleared when a message reaches or comes from them.
    unreachable_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # No marketing until then, after Meta's error 131049.
    marketing_paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contacts.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (
        sa.Index(
            "ix_contacts_opted_out",
            "id",
            **index_where("opted_out_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_contacts_merged",
            "merged_into_id",
            **index_where("merged_into_id IS NOT NULL"),
        ),
        sa.Index("ix_contacts_search_name", "search_name", "id"),
    )

    @validates("name")
    def _fold_name(self, _key: str, name: str) -> str:
        self.search_name = fold(name or "", MAX_SEARCH_NAME)
        return name

    def cache_tags(self) -> Iterable[str]:
        if not sa.inspect(self).persistent:
            return ()  # a new contact is in no cached value
        is_shown_in_lists = has_changed(self, "name", "phone", "wa_id", "opted_out_at") or (
            # Set with each person's first message, but shown only if there is no phone.
            has_changed(self, "bsuid") and not (self.wa_id or self.phone)
        )
        contact_ids = {self.id, *old_and_new_values(self, "merged_into_id")} - {None}
        return (
            *map(contact_cache_tag, contact_ids),
            *([CONTACTS_CACHE_TAG] if is_shown_in_lists else ()),
        )

    @hybrid_property
    def address(self) -> str | None:
        """Recipient of messages to this contact: wa_id, else the phone's digits, else the BSUID.

        The phone is preferred, because Meta keeps including it in webhooks for 30 days after a
        message to or from it (Meta, "Business-scoped user IDs").
        """
        return self.wa_id or (self.phone or "").lstrip("+") or self.bsuid or None

    @address.inplace.expression
    @classmethod
    def _address_in_sql(cls) -> sa.ColumnElement[str | None]:
        return sa.func.coalesce(cls.wa_id, sa.func.ltrim(cls.phone, "+"), cls.bsuid)


class IdentityKind(StrEnum):
    PHONE = "phone"  # value: Phone.match_key, equal with and without the ninth digit
    BSUID = "bsuid"
    PARENT_BSUID = "parent"  # shared by linked business portfolios
    USERNAME = "username"


class ContactIdentity(Base):
    """Identity by which a payload names a contact; the primary key makes it unique."""

    __tablename__ = "contact_identities"

    kind: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    contact_id: Mapped[int] = mapped_column(
        sa.ForeignKey("contacts.id"), index=True, active_history=True
    )
    # When the contact gave the number up; later messages from it are another person's.
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
    """Opt-out stored under a keyed hash of an identity, so that it outlives the contact."""

    __tablename__ = "suppressions"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class ConsentEvent(Base):
    """Opt-in or opt-out of a contact and its source; append-only.

    `source`: bot (a text), button (of a template), meta (in WhatsApp, or error 131050), agent, cli,
    import, or suppression (an opt-out from before the contact was erased).
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
    """Return the condition for events with a known time of decision, which imports lack."""
    return ConsentEvent.source != "import"

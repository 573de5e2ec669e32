"""Tables of sent and received files, stored in chunks in SQL because hosts share no disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime, db_now, index_where


class MediaTransfer(StrEnum):
    """Transfer that a file still needs."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


class MediaFile(Base):
    """File. Its content is complete once `sha256` is set; `problem` is the reason if it never will be."""

    __tablename__ = "media_files"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"))
    kind: Mapped[str] = mapped_column(sa.String(10))
    # Declared by the sender at first; after the download, the type of the content.
    mime_type: Mapped[str] = mapped_column(sa.String(100), default="")
    file_name: Mapped[str] = mapped_column(sa.String(200), default="")
    size: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    # Meta's id of the file; valid for 7 days if received, and for 30 days if uploaded by us.
    media_id: Mapped[str | None] = mapped_column(sa.String(128))
    media_id_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    transfer: Mapped[str | None] = mapped_column(sa.String(10))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=db_now())
    # Incremented by each claim, and therefore the fence against a worker that outlived its lease.
    attempts: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str | None] = mapped_column(sa.String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (
        sa.Index(
            "ix_media_files_due",
            "due_at",
            **index_where("transfer IS NOT NULL"),
        ),
    )

    @property
    def is_complete(self) -> bool:
        return self.sha256 is not None


@dataclass(frozen=True, slots=True)
class FileSummary:
    """Data of a file that a page shows, plain so that it can be cached."""

    mime_type: str
    file_name: str
    size: int
    is_complete: bool
    transfer: str | None
    problem: str | None


class MediaChunk(Base):
    __tablename__ = "media_chunks"

    file_id: Mapped[int] = mapped_column(
        sa.ForeignKey("media_files.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)

"""Files of messages, kept in SQL; what a message costs; why a template was rejected."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)
HAS_TASK = sa.text("task IS NOT NULL")
HAS_MEDIA = sa.text("media_file_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "media_files",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("mime_type", sa.String(length=100), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("media_id", sa.String(length=128), nullable=True),
        sa.Column("media_id_until", Moment, nullable=True),
        sa.Column("task", sa.String(length=10), nullable=True),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_media_files_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_files")),
    )
    with op.batch_alter_table("media_files") as batch_op:
        batch_op.create_index(batch_op.f("ix_media_files_sha256"), ["sha256"], unique=False)
        batch_op.create_index(
            "ix_media_files_due",
            ["due_at"],
            unique=False,
            sqlite_where=HAS_TASK,
            postgresql_where=HAS_TASK,
        )
    op.create_table(
        "media_chunks",
        sa.Column("file_id", BigId, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["media_files.id"],
            name=op.f("fk_media_chunks_file_id_media_files"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("file_id", "position", name=op.f("pk_media_chunks")),
    )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("media_file_id", BigId, nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_messages_media_file_id_media_files"),
            "media_files",
            ["media_file_id"],
            ["id"],
        )
        batch_op.create_index(
            "ix_messages_media",
            ["media_file_id"],
            unique=False,
            sqlite_where=HAS_MEDIA,
            postgresql_where=HAS_MEDIA,
        )
    op.create_table(
        "message_prices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=10, scale=6), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_prices")),
        sa.UniqueConstraint(
            "country",
            "category",
            "valid_from",
            name=op.f("uq_message_prices_country_category_valid_from"),
        ),
    )
    with op.batch_alter_table("message_templates") as batch_op:
        batch_op.add_column(sa.Column("rejected_reason", sa.String(length=60), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("message_templates") as batch_op:
        batch_op.drop_column("rejected_reason")
    op.drop_table("message_prices")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_index(
            "ix_messages_media", sqlite_where=HAS_MEDIA, postgresql_where=HAS_MEDIA
        )
        batch_op.drop_constraint(
            batch_op.f("fk_messages_media_file_id_media_files"), type_="foreignkey"
        )
        batch_op.drop_column("media_file_id")
    op.drop_table("media_chunks")
    op.drop_table("media_files")

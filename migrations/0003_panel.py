"""The panel: names to search by, replies sent once, uploads, and who moved a campaign."""

import unicodedata

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
BATCH = 1000

HAS_TOKEN = sa.text("client_token IS NOT NULL")
IS_ASSIGNED = sa.text("assigned_user_id IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("contacts") as batch_op:
        batch_op.add_column(
            sa.Column("search_name", sa.String(length=400), nullable=False, server_default="")
        )
        batch_op.create_index("ix_contacts_search_name", ["search_name", "id"], unique=False)
    _fold_names()
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("client_token", sa.String(length=40), nullable=True))
        batch_op.create_index(
            "ux_messages_client_token",
            ["conversation_id", "client_token"],
            unique=True,
            sqlite_where=HAS_TOKEN,
            postgresql_where=HAS_TOKEN,
        )
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.create_index(
            "ix_conversations_assigned_recent",
            ["assigned_user_id", "last_message_at", "id"],
            unique=False,
            sqlite_where=IS_ASSIGNED,
            postgresql_where=IS_ASSIGNED,
        )
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.add_column(sa.Column("moved_by", sa.String(length=254), nullable=True))
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.drop_index("ix_recipients_figures")
        batch_op.create_index(
            "ix_recipients_figures", ["campaign_id", "state", "contact_id"], unique=False
        )
    op.create_table(
        "uploads",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("leased_until", Moment, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("report", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_uploads_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.create_index(batch_op.f("ix_uploads_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_uploads_state"), ["state"], unique=False)
    op.create_table(
        "upload_chunks",
        sa.Column("upload_id", BigId, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_upload_chunks_upload_id_uploads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "position", name=op.f("pk_upload_chunks")),
    )


def _fold_names() -> None:
    """As `core.text.fold` did when this was written."""
    connection = op.get_bind()
    contacts = sa.table("contacts", sa.column("id"), sa.column("name"), sa.column("search_name"))
    last = 0
    while rows := connection.execute(
        sa.select(contacts.c.id, contacts.c.name)
        .where(contacts.c.id > last)
        .order_by(contacts.c.id)
        .limit(BATCH)
    ).all():
        connection.execute(
            sa.update(contacts)
            .where(contacts.c.id == sa.bindparam("row_id"))
            .values(search_name=sa.bindparam("folded")),
            [{"row_id": row.id, "folded": _fold(row.name)} for row in rows],
        )
        last = rows[-1].id


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())[:400]


def downgrade() -> None:
    op.drop_table("upload_chunks")
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.drop_index(batch_op.f("ix_uploads_state"))
        batch_op.drop_index(batch_op.f("ix_uploads_created_at"))
    op.drop_table("uploads")
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.drop_index("ix_recipients_figures")
        batch_op.create_index("ix_recipients_figures", ["campaign_id", "state"], unique=False)
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.drop_column("moved_by")
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.drop_index(
            "ix_conversations_assigned_recent",
            sqlite_where=IS_ASSIGNED,
            postgresql_where=IS_ASSIGNED,
        )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_index(
            "ux_messages_client_token", sqlite_where=HAS_TOKEN, postgresql_where=HAS_TOKEN
        )
        batch_op.drop_column("client_token")
    with op.batch_alter_table("contacts") as batch_op:
        batch_op.drop_index("ix_contacts_search_name")
        batch_op.drop_column("search_name")

"""Campaigns: scheduled ones, and who answered."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
ANSWERED = sa.text("answered_at IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.add_column(sa.Column("scheduled_for", Moment, nullable=True))
        batch_op.add_column(sa.Column("moved_at", Moment, nullable=True))
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.add_column(sa.Column("answered_at", Moment, nullable=True))
        batch_op.create_index(
            "ix_recipients_answered",
            ["campaign_id"],
            unique=False,
            sqlite_where=ANSWERED,
            postgresql_where=ANSWERED,
        )


def downgrade() -> None:
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.drop_index("ix_recipients_answered")
        batch_op.drop_column("answered_at")
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.drop_column("moved_at")
        batch_op.drop_column("scheduled_for")

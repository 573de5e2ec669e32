"""Rows that were lost with their worker are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LEDGERS = ("messages", "recipients")


def upgrade() -> None:
    for table in LEDGERS:
        op.add_column(
            table, sa.Column("times_lost", sa.Integer(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    for table in LEDGERS:
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("times_lost")

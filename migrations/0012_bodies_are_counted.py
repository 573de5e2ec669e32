"""How often a batch of bodies was begun: statuses are applied as they are split."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "webhook_bodies"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column(TABLE, "attempts")  # in place: other tables refer to this one

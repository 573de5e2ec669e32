"""Tests of a campaign that people send to themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)
TRIALS = "campaign_trials"


def upgrade() -> None:
    op.create_table(
        TRIALS,
        sa.Column("id", BigId, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("sent_by", sa.String(length=254), nullable=False),
        sa.Column("sent_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_campaign_trials_campaign_id_campaigns"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_campaign_trials_message_id_messages"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_campaign_trials_user_id_users"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_campaign_trials"),
        sa.UniqueConstraint("message_id", name="uq_campaign_trials_message_id"),
    )
    op.create_index("ix_campaign_trials_campaign_id", TRIALS, ["campaign_id"])
    op.create_index("ix_campaign_trials_user_id", TRIALS, ["user_id"])


def downgrade() -> None:
    op.drop_table(TRIALS)

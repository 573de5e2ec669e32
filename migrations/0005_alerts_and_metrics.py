"""Alerts, the sums of metrics, and what living processes report."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", Moment, nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("told", sa.String(length=10), nullable=False),
        sa.Column("turning_since", Moment, nullable=True),
        sa.Column("changed_at", Moment, nullable=True),
        sa.Column("values", Json, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alerts")),
    )
    op.create_table(
        "metric_sums",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("labels", sa.String(length=300), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_metric_sums")),
    )
    op.create_table(
        "process_reports",
        sa.Column("process", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("gauges", Json, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_process_reports")),
    )


def downgrade() -> None:
    op.drop_table("process_reports")
    op.drop_table("metric_sums")
    op.drop_table("alerts")

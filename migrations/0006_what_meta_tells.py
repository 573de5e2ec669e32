"""What Meta tells: a channel's state and events, users without a phone, who can't be reached, counts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)
IS_NEW = sa.text("state = 'new'")
IS_PARKED = sa.text("state = 'parked'")

CHANNEL = (
    ("daily_limit", sa.Integer(), None),
    ("quality", sa.String(length=10), "UNKNOWN"),
    ("throughput", sa.String(length=15), "STANDARD"),
    ("templates_synced_at", Moment, None),
    ("account_state", sa.String(length=10), "active"),
)
CONTACT = (
    ("bsuid", sa.String(length=160)),
    ("username", sa.String(length=160)),
    ("unreachable_at", Moment),
    ("cooling_until", Moment),
)


def upgrade() -> None:
    with op.batch_alter_table("channels") as batch_op:
        for name, kind, default in CHANNEL:
            batch_op.add_column(
                sa.Column(name, kind, nullable=default is None, server_default=default)
            )
    with op.batch_alter_table("contacts") as batch_op:
        for name, kind in CONTACT:
            batch_op.add_column(sa.Column(name, kind, nullable=True))
    with op.batch_alter_table("message_templates") as batch_op:
        batch_op.add_column(
            sa.Column("quality", sa.String(length=10), nullable=False, server_default="UNKNOWN")
        )
    for name in ("bsuid", "username"):
        _fill_from_identities(name)
    with op.batch_alter_table("contact_identities") as batch_op:
        batch_op.add_column(sa.Column("given_up_at", Moment, nullable=True))
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.add_column(sa.Column("window_refused_at", Moment, nullable=True))
    with op.batch_alter_table("webhook_bodies") as batch_op:
        batch_op.add_column(sa.Column("replays", sa.Integer(), nullable=False, server_default="0"))
    _make_tables()
    op.create_index(
        "ix_webhook_updates_contact",
        "webhook_updates",
        ["contact_key", "id"],
        sqlite_where=IS_NEW,
        postgresql_where=IS_NEW,
    )
    op.create_index(
        "ix_webhook_updates_parked",
        "webhook_updates",
        ["id"],
        sqlite_where=IS_PARKED,
        postgresql_where=IS_PARKED,
    )


def _fill_from_identities(kind: str) -> None:
    """Who is known by a user id or a username can be written to by it at once."""
    op.execute(
        f"UPDATE contacts SET {kind} = (SELECT max(value) FROM contact_identities AS i "  # noqa: S608
        f"WHERE i.contact_id = contacts.id AND i.kind = '{kind}')"
    )


def _make_tables() -> None:
    op.create_table(
        "channel_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("severity", sa.String(length=5), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("happened_at", Moment, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name="fk_channel_events_channel_id_channels"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_channel_events"),
        sa.UniqueConstraint(
            "channel_id", "fingerprint", name="uq_channel_events_channel_id_fingerprint"
        ),
    )
    op.create_index("ix_channel_events_channel_id_id", "channel_events", ["channel_id", "id"])
    op.create_table(
        "webhook_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", name="pk_webhook_counts"),
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_updates_parked", table_name="webhook_updates")
    op.drop_index("ix_webhook_updates_contact", table_name="webhook_updates")
    op.drop_table("webhook_counts")
    op.drop_table("channel_events")
    with op.batch_alter_table("webhook_bodies") as batch_op:
        batch_op.drop_column("replays")
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.drop_column("window_refused_at")
    with op.batch_alter_table("contact_identities") as batch_op:
        batch_op.drop_column("given_up_at")
    with op.batch_alter_table("message_templates") as batch_op:
        batch_op.drop_column("quality")
    with op.batch_alter_table("contacts") as batch_op:
        for name, _ in CONTACT:
            batch_op.drop_column(name)
    with op.batch_alter_table("channels") as batch_op:
        for name, *_ in CHANNEL:
            batch_op.drop_column(name)

"""First schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = ("default",)
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "channels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("phone_number_id", sa.String(length=40), nullable=False),
        sa.Column("business_account_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("display_phone", sa.String(length=30), nullable=False),
        sa.Column("halted_reason", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("phone_number_id", name=op.f("uq_channels_phone_number_id")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("wa_id", sa.String(length=80), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("document", sa.String(length=14), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("attributes", Json, nullable=False),
        sa.Column("opted_out_at", Moment, nullable=True),
        sa.Column("merged_into_id", BigId, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into_id"], ["contacts.id"], name=op.f("fk_contacts_merged_into_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    with op.batch_alter_table("contacts") as batch_op:
        batch_op.create_index(
            "ix_contacts_merged",
            ["merged_into_id"],
            unique=False,
            sqlite_where=sa.text("merged_into_id IS NOT NULL"),
            postgresql_where=sa.text("merged_into_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_contacts_opted_out",
            ["id"],
            unique=False,
            sqlite_where=sa.text("opted_out_at IS NOT NULL"),
            postgresql_where=sa.text("opted_out_at IS NOT NULL"),
        )

    op.create_table(
        "double_acceptances",
        sa.Column("id", BigId, nullable=False),
        sa.Column("ledger", sa.String(length=1), nullable=False),
        sa.Column("row_id", BigId, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("wamid", sa.String(length=255), nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_double_acceptances")),
        sa.UniqueConstraint(
            "ledger", "row_id", "wamid", name=op.f("uq_double_acceptances_ledger_row_id_wamid")
        ),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("id", BigId, nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("failed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_sign_ins")),
    )
    with op.batch_alter_table("failed_sign_ins") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_failed_sign_ins_subject_failed_at"),
            ["subject", "failed_at"],
            unique=False,
        )

    op.create_table(
        "stored_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("ended_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_sessions")),
    )
    with op.batch_alter_table("stored_sessions") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_stored_sessions_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_stored_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "waiting_statuses",
        sa.Column("id", BigId, nullable=False),
        sa.Column("wamid", sa.String(length=255), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_statuses")),
    )
    with op.batch_alter_table("waiting_statuses") as batch_op:
        batch_op.create_index(batch_op.f("ix_waiting_statuses_wamid"), ["wamid"], unique=False)

    op.create_table(
        "webhook_bodies",
        sa.Column("id", BigId, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_bodies")),
    )
    with op.batch_alter_table("webhook_bodies") as batch_op:
        batch_op.create_index(
            "ix_webhook_bodies_new",
            ["lane", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        )
        batch_op.create_index(
            batch_op.f("ix_webhook_bodies_received_at"), ["received_at"], unique=False
        )

    op.create_table(
        "consent_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=30), nullable=False),
        sa.Column("evidence", sa.String(length=500), nullable=False),
        sa.Column("happened_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_consent_events_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
    )
    with op.batch_alter_table("consent_events") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_consent_events_contact_id"), ["contact_id"], unique=False
        )

    op.create_table(
        "contact_identities",
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("value", sa.String(length=160), nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_contact_identities_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_contact_identities")),
    )
    with op.batch_alter_table("contact_identities") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contact_identities_contact_id"), ["contact_id"], unique=False
        )

    op.create_table(
        "contact_tags",
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_contact_tags_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("contact_id", "name", name=op.f("pk_contact_tags")),
    )
    with op.batch_alter_table("contact_tags") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contact_tags_name_contact_id"), ["name", "contact_id"], unique=False
        )

    op.create_table(
        "conversations",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("assigned_user_id", sa.Integer(), nullable=True),
        sa.Column("handoff_reason", sa.String(length=200), nullable=True),
        sa.Column("last_intent", sa.String(length=40), nullable=True),
        sa.Column("slots", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("turn_due_at", Moment, nullable=True),
        sa.Column("turn_token", sa.String(length=32), nullable=True),
        sa.Column("turn_leased_until", Moment, nullable=True),
        sa.Column("turn_attempts", sa.Integer(), nullable=False),
        sa.Column("answered_until", Moment, nullable=True),
        sa.Column("last_inbound_at", Moment, nullable=True),
        sa.Column("last_message_at", Moment, nullable=False),
        sa.Column("last_message_text", sa.String(length=200), nullable=False),
        sa.Column("unread_count", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["assigned_user_id"], ["users.id"], name=op.f("fk_conversations_assigned_user_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_conversations_channel_id_channels")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_conversations_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "channel_id", "contact_id", name=op.f("uq_conversations_channel_id_contact_id")
        ),
    )
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_conversations_contact_id"), ["contact_id"], unique=False
        )
        batch_op.create_index("ix_conversations_recent", ["last_message_at", "id"], unique=False)
        batch_op.create_index(
            "ix_conversations_state_recent", ["state", "last_message_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_conversations_turn_due",
            ["turn_due_at"],
            unique=False,
            sqlite_where=sa.text("turn_due_at IS NOT NULL"),
            postgresql_where=sa.text("turn_due_at IS NOT NULL"),
        )

    op.create_table(
        "invoices",
        sa.Column("id", BigId, nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("reference", sa.String(length=60), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("line", sa.String(length=48), nullable=True),
        sa.Column("pix_code", sa.String(length=512), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_invoices_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("reference", name=op.f("uq_invoices_reference")),
    )
    with op.batch_alter_table("invoices") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_invoices_contact_id_state_due_on"),
            ["contact_id", "state", "due_on"],
            unique=False,
        )

    op.create_table(
        "message_templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("language", sa.String(length=15), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("parameter_format", sa.String(length=15), nullable=False),
        sa.Column("components", Json, nullable=False),
        sa.Column("synced_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_message_templates_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint(
            "channel_id",
            "name",
            "language",
            name=op.f("uq_message_templates_channel_id_name_language"),
        ),
    )
    op.create_table(
        "receipt_watermarks",
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("drained_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_receipt_watermarks_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_receipt_watermarks")),
    )
    op.create_table(
        "webhook_updates",
        sa.Column("id", BigId, nullable=False),
        sa.Column("body_id", BigId, nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("contact_key", sa.String(length=160), nullable=False),
        sa.Column("happened_at", Moment, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", Moment, nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(
            ["body_id"],
            ["webhook_bodies.id"],
            name=op.f("fk_webhook_updates_body_id_webhook_bodies"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_updates")),
    )
    with op.batch_alter_table("webhook_updates") as batch_op:
        batch_op.create_index(batch_op.f("ix_webhook_updates_body_id"), ["body_id"], unique=False)
        batch_op.create_index(
            "ix_webhook_updates_new",
            ["lane", "happened_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        )

    op.create_table(
        "campaigns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("parameters", Json, nullable=False),
        sa.Column("audience", Json, nullable=False),
        sa.Column("on_doubt", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("paused_reason", sa.String(length=300), nullable=True),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("started_by", sa.String(length=254), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("started_at", Moment, nullable=True),
        sa.Column("finished_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_campaigns_channel_id_channels")
        ),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["message_templates.id"],
            name=op.f("fk_campaigns_template_id_message_templates"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.create_index(batch_op.f("ix_campaigns_state"), ["state"], unique=False)

    op.create_table(
        "messages",
        sa.Column("conversation_id", BigId, nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("author", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("context_wamid", sa.String(length=255), nullable=True),
        sa.Column("occurred_at", Moment, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("needs_turn", sa.Boolean(), nullable=False),
        sa.Column("id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("claimed_until", Moment, nullable=True),
        sa.Column("doubt_until", Moment, nullable=True),
        sa.Column("wamid", sa.String(length=255), nullable=True),
        sa.Column("skip_reason", sa.String(length=40), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_detail", sa.String(length=500), nullable=True),
        sa.Column("accepted_at", Moment, nullable=True),
        sa.Column("sent_at", Moment, nullable=True),
        sa.Column("delivered_at", Moment, nullable=True),
        sa.Column("read_at", Moment, nullable=True),
        sa.Column("failed_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation_id_conversations"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.create_index(batch_op.f("ix_messages_claim_token"), ["claim_token"], unique=False)
        batch_op.create_index(
            "ix_messages_due",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index(
            "ix_messages_open",
            ["conversation_id", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
            postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
        )
        batch_op.create_index("ix_messages_recorded", ["recorded_at"], unique=False)
        batch_op.create_index(
            "ix_messages_thread", ["conversation_id", "occurred_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_messages_unanswered",
            ["conversation_id"],
            unique=False,
            sqlite_where=sa.text("needs_turn"),
            postgresql_where=sa.text("needs_turn"),
        )
        batch_op.create_index("ux_messages_wamid", ["wamid"], unique=True)

    op.create_table(
        "recipients",
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("claimed_until", Moment, nullable=True),
        sa.Column("doubt_until", Moment, nullable=True),
        sa.Column("wamid", sa.String(length=255), nullable=True),
        sa.Column("skip_reason", sa.String(length=40), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_detail", sa.String(length=500), nullable=True),
        sa.Column("accepted_at", Moment, nullable=True),
        sa.Column("sent_at", Moment, nullable=True),
        sa.Column("delivered_at", Moment, nullable=True),
        sa.Column("read_at", Moment, nullable=True),
        sa.Column("failed_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_recipients_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_recipients_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipients")),
        sa.UniqueConstraint(
            "campaign_id", "contact_id", name=op.f("uq_recipients_campaign_id_contact_id")
        ),
    )
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_recipients_claim_token"), ["claim_token"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_recipients_contact_id"), ["contact_id"], unique=False)
        batch_op.create_index(
            "ix_recipients_due",
            ["campaign_id", "due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index("ix_recipients_figures", ["campaign_id", "state"], unique=False)
        batch_op.create_index(
            "ix_recipients_in_flight",
            ["state", "claimed_until"],
            unique=False,
            sqlite_where=sa.text("state IN ('sending', 'unknown')"),
            postgresql_where=sa.text("state IN ('sending', 'unknown')"),
        )
        batch_op.create_index("ix_recipients_wamid", ["wamid"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("recipients") as batch_op:
        batch_op.drop_index("ix_recipients_wamid")
        batch_op.drop_index(
            "ix_recipients_in_flight",
            sqlite_where=sa.text("state IN ('sending', 'unknown')"),
            postgresql_where=sa.text("state IN ('sending', 'unknown')"),
        )
        batch_op.drop_index("ix_recipients_figures")
        batch_op.drop_index(
            "ix_recipients_due",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.drop_index(batch_op.f("ix_recipients_contact_id"))
        batch_op.drop_index(batch_op.f("ix_recipients_claim_token"))

    op.drop_table("recipients")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_index("ux_messages_wamid")
        batch_op.drop_index(
            "ix_messages_unanswered",
            sqlite_where=sa.text("needs_turn"),
            postgresql_where=sa.text("needs_turn"),
        )
        batch_op.drop_index("ix_messages_thread")
        batch_op.drop_index("ix_messages_recorded")
        batch_op.drop_index(
            "ix_messages_open",
            sqlite_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
            postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
        )
        batch_op.drop_index(
            "ix_messages_due",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.drop_index(batch_op.f("ix_messages_claim_token"))

    op.drop_table("messages")
    with op.batch_alter_table("campaigns") as batch_op:
        batch_op.drop_index(batch_op.f("ix_campaigns_state"))

    op.drop_table("campaigns")
    with op.batch_alter_table("webhook_updates") as batch_op:
        batch_op.drop_index(
            "ix_webhook_updates_new",
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        )
        batch_op.drop_index(batch_op.f("ix_webhook_updates_body_id"))

    op.drop_table("webhook_updates")
    op.drop_table("receipt_watermarks")
    op.drop_table("message_templates")
    with op.batch_alter_table("invoices") as batch_op:
        batch_op.drop_index(batch_op.f("ix_invoices_contact_id_state_due_on"))

    op.drop_table("invoices")
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.drop_index(
            "ix_conversations_turn_due",
            sqlite_where=sa.text("turn_due_at IS NOT NULL"),
            postgresql_where=sa.text("turn_due_at IS NOT NULL"),
        )
        batch_op.drop_index("ix_conversations_state_recent")
        batch_op.drop_index("ix_conversations_recent")
        batch_op.drop_index(batch_op.f("ix_conversations_contact_id"))

    op.drop_table("conversations")
    with op.batch_alter_table("contact_tags") as batch_op:
        batch_op.drop_index(batch_op.f("ix_contact_tags_name_contact_id"))

    op.drop_table("contact_tags")
    with op.batch_alter_table("contact_identities") as batch_op:
        batch_op.drop_index(batch_op.f("ix_contact_identities_contact_id"))

    op.drop_table("contact_identities")
    with op.batch_alter_table("consent_events") as batch_op:
        batch_op.drop_index(batch_op.f("ix_consent_events_contact_id"))

    op.drop_table("consent_events")
    with op.batch_alter_table("webhook_bodies") as batch_op:
        batch_op.drop_index(batch_op.f("ix_webhook_bodies_received_at"))
        batch_op.drop_index(
            "ix_webhook_bodies_new",
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        )

    op.drop_table("webhook_bodies")
    with op.batch_alter_table("waiting_statuses") as batch_op:
        batch_op.drop_index(batch_op.f("ix_waiting_statuses_wamid"))

    op.drop_table("waiting_statuses")
    op.drop_table("users")
    with op.batch_alter_table("stored_sessions") as batch_op:
        batch_op.drop_index(batch_op.f("ix_stored_sessions_user_id"))
        batch_op.drop_index(batch_op.f("ix_stored_sessions_expires_at"))

    op.drop_table("stored_sessions")
    with op.batch_alter_table("failed_sign_ins") as batch_op:
        batch_op.drop_index(batch_op.f("ix_failed_sign_ins_subject_failed_at"))

    op.drop_table("failed_sign_ins")
    op.drop_table("double_acceptances")
    with op.batch_alter_table("contacts") as batch_op:
        batch_op.drop_index(
            "ix_contacts_opted_out",
            sqlite_where=sa.text("opted_out_at IS NOT NULL"),
            postgresql_where=sa.text("opted_out_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_contacts_merged",
            sqlite_where=sa.text("merged_into_id IS NOT NULL"),
            postgresql_where=sa.text("merged_into_id IS NOT NULL"),
        )

    op.drop_table("contacts")
    op.drop_table("channels")

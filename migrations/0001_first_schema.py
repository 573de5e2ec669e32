"""First schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_first_schema"
down_revision = None
branch_labels = ("default",)
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", Timestamp, nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("notified_state", sa.String(length=10), nullable=False),
        sa.Column("pending_since", Timestamp, nullable=True),
        sa.Column("changed_at", Timestamp, nullable=True),
        sa.Column("values", Json, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alerts")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=254), nullable=False),
        sa.Column("changed_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "setting_changes",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=False),
        sa.Column("new_value", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=254), nullable=False),
        sa.Column("changed_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_changes")),
    )
    op.create_table(
        "company_logo",
        sa.Column("id", BigId, nullable=False),
        sa.Column("content_type", sa.String(length=20), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company_logo")),
    )
    op.create_table(
        "channels",
        sa.Column("id", BigId, nullable=False),
        sa.Column("phone_number_id", sa.String(length=40), nullable=False),
        sa.Column("business_account_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("display_phone", sa.String(length=30), nullable=False),
        sa.Column("daily_limit", sa.Integer(), nullable=True),
        sa.Column("halted_reason", sa.String(length=300), nullable=True),
        sa.Column("quality", sa.String(length=10), server_default="UNKNOWN", nullable=False),
        sa.Column("throughput", sa.String(length=15), server_default="STANDARD", nullable=False),
        sa.Column("templates_synced_at", Timestamp, nullable=True),
        sa.Column("account_state", sa.String(length=10), server_default="active", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("phone_number_id", name=op.f("uq_channels_phone_number_id")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("search_name", sa.String(length=400), server_default="", nullable=False),
        sa.Column("wa_id", sa.String(length=80), nullable=True),
        sa.Column("bsuid", sa.String(length=160), nullable=True),
        sa.Column("username", sa.String(length=160), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("document", sa.String(length=14), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("attributes", Json, nullable=False),
        sa.Column("opted_out_at", Timestamp, nullable=True),
        sa.Column("unreachable_at", Timestamp, nullable=True),
        sa.Column("marketing_paused_until", Timestamp, nullable=True),
        sa.Column("merged_into_id", BigId, nullable=True),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into_id"], ["contacts.id"], name=op.f("fk_contacts_merged_into_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    op.create_index(
        "ix_contacts_merged",
        "contacts",
        ["merged_into_id"],
        unique=False,
        sqlite_where=sa.text("merged_into_id IS NOT NULL"),
        postgresql_where=sa.text("merged_into_id IS NOT NULL"),
    )
    op.create_index(
        "ix_contacts_opted_out",
        "contacts",
        ["id"],
        unique=False,
        sqlite_where=sa.text("opted_out_at IS NOT NULL"),
        postgresql_where=sa.text("opted_out_at IS NOT NULL"),
    )
    op.create_index("ix_contacts_search_name", "contacts", ["search_name", "id"], unique=False)
    op.create_table(
        "double_acceptances",
        sa.Column("id", BigId, nullable=False),
        sa.Column("send_table", sa.String(length=1), nullable=False),
        sa.Column("row_id", BigId, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("wamid", sa.String(length=255), nullable=False),
        sa.Column("seen_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_double_acceptances")),
        sa.UniqueConstraint(
            "send_table",
            "row_id",
            "wamid",
            name=op.f("uq_double_acceptances_send_table_row_id_wamid"),
        ),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("id", BigId, nullable=False),
        sa.Column("account", sa.String(length=254), nullable=False),
        sa.Column("network", sa.String(length=50), nullable=False),
        sa.Column("device", sa.String(length=40), nullable=True),
        sa.Column("failed_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_sign_ins")),
    )
    op.create_index(
        op.f("ix_failed_sign_ins_account_failed_at"),
        "failed_sign_ins",
        ["account", "failed_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_failed_sign_ins_network_failed_at"),
        "failed_sign_ins",
        ["network", "failed_at"],
        unique=False,
    )
    op.create_table(
        "message_prices",
        sa.Column("id", BigId, nullable=False),
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
        sa.Column("seen_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_process_reports")),
    )
    op.create_table(
        "segments",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("rule", Json, nullable=False),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("name", name=op.f("uq_segments_name")),
    )
    op.create_table(
        "stored_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_sessions")),
    )
    op.create_index(
        op.f("ix_stored_sessions_expires_at"), "stored_sessions", ["expires_at"], unique=False
    )
    op.create_index(
        op.f("ix_stored_sessions_user_id"), "stored_sessions", ["user_id"], unique=False
    )
    op.create_table(
        "suppressions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("since", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "users",
        sa.Column("id", BigId, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "waiting_statuses",
        sa.Column("id", BigId, nullable=False),
        sa.Column("wamid", sa.String(length=255), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_statuses")),
    )
    op.create_index(op.f("ix_waiting_statuses_wamid"), "waiting_statuses", ["wamid"], unique=False)
    op.create_table(
        "webhook_bodies",
        sa.Column("id", BigId, nullable=False),
        sa.Column("received_at", Timestamp, nullable=False),
        sa.Column("queue", sa.String(length=12), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.Column("replays", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_until", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_bodies")),
    )
    op.create_index(
        "ix_webhook_bodies_new",
        "webhook_bodies",
        ["queue", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_index(
        op.f("ix_webhook_bodies_received_at"), "webhook_bodies", ["received_at"], unique=False
    )
    op.create_table(
        "webhook_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", name=op.f("pk_webhook_counts")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("happened_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_audit_events_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index(op.f("ix_audit_events_user_id"), "audit_events", ["user_id"], unique=False)
    op.create_table(
        "channel_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("field", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("severity", sa.String(length=5), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("happened_at", Timestamp, nullable=False),
        sa.Column("recorded_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_channel_events_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_events")),
        sa.UniqueConstraint(
            "channel_id", "fingerprint", name=op.f("uq_channel_events_channel_id_fingerprint")
        ),
    )
    op.create_index(
        op.f("ix_channel_events_channel_id_id"),
        "channel_events",
        ["channel_id", "id"],
        unique=False,
    )
    op.create_table(
        "consent_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=30), nullable=False),
        sa.Column("evidence", sa.String(length=500), nullable=False),
        sa.Column("happened_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_consent_events_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
    )
    op.create_index(
        op.f("ix_consent_events_contact_id"), "consent_events", ["contact_id"], unique=False
    )
    op.create_table(
        "contact_identities",
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("value", sa.String(length=160), nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("released_at", Timestamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_contact_identities_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_contact_identities")),
    )
    op.create_index(
        op.f("ix_contact_identities_contact_id"), "contact_identities", ["contact_id"], unique=False
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
    op.create_index(
        op.f("ix_contact_tags_name_contact_id"),
        "contact_tags",
        ["name", "contact_id"],
        unique=False,
    )
    op.create_table(
        "conversations",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("assigned_user_id", BigId, nullable=True),
        sa.Column("handoff_reason", sa.String(length=200), nullable=True),
        sa.Column("waiting_since", Timestamp, nullable=True),
        sa.Column("last_intent", sa.String(length=40), nullable=True),
        sa.Column("slots", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("turn_due_at", Timestamp, nullable=True),
        sa.Column("turn_token", sa.String(length=32), nullable=True),
        sa.Column("turn_leased_until", Timestamp, nullable=True),
        sa.Column("turn_attempts", sa.Integer(), nullable=False),
        sa.Column("answered_until", Timestamp, nullable=True),
        sa.Column("last_inbound_at", Timestamp, nullable=True),
        sa.Column("window_refused_at", Timestamp, nullable=True),
        sa.Column("last_message_at", Timestamp, nullable=False),
        sa.Column("last_message_text", sa.String(length=200), nullable=False),
        sa.Column("last_inbound_text", sa.String(length=200), nullable=False),
        sa.Column("unread_count", sa.Integer(), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
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
    op.create_index(
        "ix_conversations_assigned_recent",
        "conversations",
        ["assigned_user_id", "last_message_at", "id"],
        unique=False,
        sqlite_where=sa.text("assigned_user_id IS NOT NULL"),
        postgresql_where=sa.text("assigned_user_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_conversations_contact_id"), "conversations", ["contact_id"], unique=False
    )
    op.create_index(
        "ix_conversations_recent", "conversations", ["last_message_at", "id"], unique=False
    )
    op.create_index(
        "ix_conversations_state_recent",
        "conversations",
        ["state", "last_message_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_conversations_turn_due",
        "conversations",
        ["turn_due_at"],
        unique=False,
        sqlite_where=sa.text("turn_due_at IS NOT NULL"),
        postgresql_where=sa.text("turn_due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_conversations_waiting",
        "conversations",
        ["waiting_since", "id"],
        unique=False,
        sqlite_where=sa.text("waiting_since IS NOT NULL"),
        postgresql_where=sa.text("waiting_since IS NOT NULL"),
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
        sa.Column("created_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_invoices_contact_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("reference", name=op.f("uq_invoices_reference")),
    )
    op.create_index(
        op.f("ix_invoices_contact_id_state_due_on"),
        "invoices",
        ["contact_id", "state", "due_on"],
        unique=False,
    )
    op.create_table(
        "media_files",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("mime_type", sa.String(length=100), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("media_id", sa.String(length=128), nullable=True),
        sa.Column("media_id_expires_at", Timestamp, nullable=True),
        sa.Column("transfer", sa.String(length=10), nullable=True),
        sa.Column("due_at", Timestamp, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_media_files_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_files")),
    )
    op.create_index(
        "ix_media_files_due",
        "media_files",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("transfer IS NOT NULL"),
        postgresql_where=sa.text("transfer IS NOT NULL"),
    )
    op.create_index(op.f("ix_media_files_sha256"), "media_files", ["sha256"], unique=False)
    op.create_table(
        "message_templates",
        sa.Column("id", BigId, nullable=False),
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("language", sa.String(length=15), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("parameter_format", sa.String(length=15), nullable=False),
        sa.Column("quality", sa.String(length=10), server_default="UNKNOWN", nullable=False),
        sa.Column("rejected_reason", sa.String(length=60), nullable=True),
        sa.Column("components", Json, nullable=False),
        sa.Column("synced_at", Timestamp, nullable=False),
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
        "known_networks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(length=50), nullable=False),
        sa.Column("seen_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_known_networks_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_networks")),
        sa.UniqueConstraint("user_id", "network", name=op.f("uq_known_networks_user_id_network")),
    )
    op.create_index(op.f("ix_known_networks_seen_at"), "known_networks", ["seen_at"], unique=False)
    op.create_table(
        "password_links",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("used_at", Timestamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_password_links_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_password_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_password_links_token_hash")),
    )
    op.create_index(op.f("ix_password_links_user_id"), "password_links", ["user_id"], unique=False)
    op.create_table(
        "receipt_watermarks",
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("drained_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_receipt_watermarks_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_receipt_watermarks")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("leased_until", Timestamp, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("report", Json, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_uploads_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_created_at"), "uploads", ["created_at"], unique=False)
    op.create_index(op.f("ix_uploads_state"), "uploads", ["state"], unique=False)
    op.create_table(
        "webhook_updates",
        sa.Column("id", BigId, nullable=False),
        sa.Column("body_id", BigId, nullable=False),
        sa.Column("queue", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("contact_key", sa.String(length=160), nullable=False),
        sa.Column("happened_at", Timestamp, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", Timestamp, nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(
            ["body_id"],
            ["webhook_bodies.id"],
            name=op.f("fk_webhook_updates_body_id_webhook_bodies"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_updates")),
    )
    op.create_index(
        op.f("ix_webhook_updates_body_id"), "webhook_updates", ["body_id"], unique=False
    )
    op.create_index(
        "ix_webhook_updates_contact",
        "webhook_updates",
        ["contact_key", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_index(
        "ix_webhook_updates_new",
        "webhook_updates",
        ["queue", "happened_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_index(
        "ix_webhook_updates_quarantined",
        "webhook_updates",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'quarantined'"),
        postgresql_where=sa.text("state = 'quarantined'"),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("channel_id", BigId, nullable=False),
        sa.Column("template_id", BigId, nullable=False),
        sa.Column("parameters", Json, nullable=False),
        sa.Column("audience", Json, nullable=False),
        sa.Column("on_doubt", sa.String(length=10), nullable=False),
        sa.Column("consent_basis", sa.String(length=10), nullable=False),
        sa.Column("consent_basis_by", sa.String(length=254), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("paused_reason", sa.String(length=300), nullable=True),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("started_by", sa.String(length=254), nullable=True),
        sa.Column("state_changed_by", sa.String(length=254), nullable=True),
        sa.Column("state_changed_at", Timestamp, nullable=True),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("scheduled_for", Timestamp, nullable=True),
        sa.Column("started_at", Timestamp, nullable=True),
        sa.Column("finished_at", Timestamp, nullable=True),
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
    op.create_index(op.f("ix_campaigns_state"), "campaigns", ["state"], unique=False)
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
    op.create_table(
        "messages",
        sa.Column("state", sa.String(length=10), nullable=True),
        sa.Column("conversation_id", BigId, nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("author", sa.String(length=10), nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("media_file_id", BigId, nullable=True),
        sa.Column("context_wamid", sa.String(length=255), nullable=True),
        sa.Column("occurred_at", Timestamp, nullable=False),
        sa.Column("recorded_at", Timestamp, nullable=False),
        sa.Column("needs_turn", sa.Boolean(), nullable=False),
        sa.Column("is_mandatory", sa.Boolean(), nullable=False),
        sa.Column("client_token", sa.String(length=40), nullable=True),
        sa.Column("id", BigId, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", Timestamp, nullable=False),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("claimed_until", Timestamp, nullable=True),
        sa.Column("times_lost", sa.Integer(), server_default="0", nullable=False),
        sa.Column("doubt_until", Timestamp, nullable=True),
        sa.Column("wamid", sa.String(length=255), nullable=True),
        sa.Column("skip_reason", sa.String(length=40), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_detail", sa.String(length=500), nullable=True),
        sa.Column("accepted_at", Timestamp, nullable=True),
        sa.Column("sent_at", Timestamp, nullable=True),
        sa.Column("delivered_at", Timestamp, nullable=True),
        sa.Column("read_at", Timestamp, nullable=True),
        sa.Column("failed_at", Timestamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation_id_conversations"),
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_files.id"],
            name=op.f("fk_messages_media_file_id_media_files"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_claim_token"), "messages", ["claim_token"], unique=False)
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_messages_media",
        "messages",
        ["media_file_id"],
        unique=False,
        sqlite_where=sa.text("media_file_id IS NOT NULL"),
        postgresql_where=sa.text("media_file_id IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_open",
        "messages",
        ["conversation_id", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
    )
    op.create_index("ix_messages_recorded", "messages", ["recorded_at"], unique=False)
    op.create_index(
        "ix_messages_thread", "messages", ["conversation_id", "occurred_at", "id"], unique=False
    )
    op.create_index(
        "ix_messages_unanswered",
        "messages",
        ["conversation_id"],
        unique=False,
        sqlite_where=sa.text("needs_turn"),
        postgresql_where=sa.text("needs_turn"),
    )
    op.create_index(
        "ux_messages_client_token",
        "messages",
        ["conversation_id", "client_token"],
        unique=True,
        sqlite_where=sa.text("client_token IS NOT NULL"),
        postgresql_where=sa.text("client_token IS NOT NULL"),
    )
    op.create_index("ux_messages_wamid", "messages", ["wamid"], unique=True)
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
    op.create_table(
        "upload_errors",
        sa.Column("upload_id", BigId, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lines", Json, nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_upload_errors_upload_id_uploads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "position", name=op.f("pk_upload_errors")),
    )
    op.create_table(
        "campaign_preview_sends",
        sa.Column("id", BigId, nullable=False),
        sa.Column("campaign_id", BigId, nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("sent_by", sa.String(length=254), nullable=False),
        sa.Column("sent_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_preview_sends_campaign_id_campaigns"),
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_campaign_preview_sends_message_id_messages"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_campaign_preview_sends_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_preview_sends")),
        sa.UniqueConstraint("message_id", name=op.f("uq_campaign_preview_sends_message_id")),
    )
    op.create_index(
        op.f("ix_campaign_preview_sends_campaign_id"),
        "campaign_preview_sends",
        ["campaign_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_campaign_preview_sends_user_id"),
        "campaign_preview_sends",
        ["user_id"],
        unique=False,
    )
    op.create_table(
        "recipients",
        sa.Column("campaign_id", BigId, nullable=False),
        sa.Column("contact_id", BigId, nullable=False),
        sa.Column("answered_at", Timestamp, nullable=True),
        sa.Column("id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", Timestamp, nullable=False),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("claimed_until", Timestamp, nullable=True),
        sa.Column("times_lost", sa.Integer(), server_default="0", nullable=False),
        sa.Column("doubt_until", Timestamp, nullable=True),
        sa.Column("wamid", sa.String(length=255), nullable=True),
        sa.Column("skip_reason", sa.String(length=40), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_detail", sa.String(length=500), nullable=True),
        sa.Column("accepted_at", Timestamp, nullable=True),
        sa.Column("sent_at", Timestamp, nullable=True),
        sa.Column("delivered_at", Timestamp, nullable=True),
        sa.Column("read_at", Timestamp, nullable=True),
        sa.Column("failed_at", Timestamp, nullable=True),
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
    op.create_index(
        "ix_recipients_answered",
        "recipients",
        ["campaign_id"],
        unique=False,
        sqlite_where=sa.text("answered_at IS NOT NULL"),
        postgresql_where=sa.text("answered_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_recipients_claim_token"), "recipients", ["claim_token"], unique=False)
    op.create_index(op.f("ix_recipients_contact_id"), "recipients", ["contact_id"], unique=False)
    op.create_index(
        "ix_recipients_due",
        "recipients",
        ["campaign_id", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_recipients_figures", "recipients", ["campaign_id", "state", "contact_id"], unique=False
    )
    op.create_index(
        "ix_recipients_in_flight",
        "recipients",
        ["state", "claimed_until"],
        unique=False,
        sqlite_where=sa.text("state IN ('sending', 'unknown')"),
        postgresql_where=sa.text("state IN ('sending', 'unknown')"),
    )
    op.create_index("ix_recipients_wamid", "recipients", ["wamid"], unique=False)


def downgrade() -> None:
    op.drop_table("company_logo")
    op.drop_table("setting_changes")
    op.drop_table("settings")
    op.drop_table("installation")
    op.drop_table("recipients")
    op.drop_table("campaign_preview_sends")
    op.drop_table("upload_errors")
    op.drop_table("upload_chunks")
    op.drop_table("messages")
    op.drop_table("media_chunks")
    op.drop_table("campaigns")
    op.drop_table("webhook_updates")
    op.drop_table("uploads")
    op.drop_table("receipt_watermarks")
    op.drop_table("password_links")
    op.drop_table("known_networks")
    op.drop_table("message_templates")
    op.drop_table("media_files")
    op.drop_table("invoices")
    op.drop_table("conversations")
    op.drop_table("contact_tags")
    op.drop_table("contact_identities")
    op.drop_table("consent_events")
    op.drop_table("channel_events")
    op.drop_table("audit_events")
    op.drop_table("webhook_counts")
    op.drop_table("webhook_bodies")
    op.drop_table("waiting_statuses")
    op.drop_table("users")
    op.drop_table("suppressions")
    op.drop_table("stored_sessions")
    op.drop_table("segments")
    op.drop_table("process_reports")
    op.drop_table("metric_sums")
    op.drop_table("message_prices")
    op.drop_table("failed_sign_ins")
    op.drop_table("double_acceptances")
    op.drop_table("contacts")
    op.drop_table("channels")
    op.drop_table("alerts")

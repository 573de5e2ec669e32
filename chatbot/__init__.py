"""Prosa: answers a company's customers on WhatsApp and sends them campaigns."""

from __future__ import annotations

from flask import Flask

from config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application: settings, extensions, and features with their access policies."""
    # Only the factory imports inside a function: `import chatbot` must stay cheap for the simulator,
    # which is a package in it.
    import config
    from chatbot import cli, extensions, models
    from chatbot.accounts import labels as account_labels
    from chatbot.accounts import routes as accounts
    from chatbot.accounts import user_routes as users
    from chatbot.accounts.models import Role
    from chatbot.accounts.session_user import list_prefetched_keys, load_user
    from chatbot.accounts.users import init_users
    from chatbot.campaigns import labels as campaign_labels
    from chatbot.campaigns import routes as campaigns
    from chatbot.campaigns.drafting import routes as campaign_drafts
    from chatbot.campaigns.previews import routes as campaign_preview_sends
    from chatbot.channels import routes as channels
    from chatbot.company import routes as company
    from chatbot.company.service import init_company
    from chatbot.contacts import routes as contacts
    from chatbot.contacts.imports import routes as contact_imports
    from chatbot.conversations.inbox import labels as conversation_labels
    from chatbot.conversations.inbox import routes as conversations
    from chatbot.conversations.inbox import sending_routes as sending
    from chatbot.conversations.service import release_conversations
    from chatbot.core import log
    from chatbot.delivery import labels as delivery_labels
    from chatbot.message_templates import prices_routes as prices
    from chatbot.message_templates import routes as message_templates
    from chatbot.ops import request_metrics
    from chatbot.ops import routes as ops
    from chatbot.panel import profile_routes
    from chatbot.panel import routes as panel
    from chatbot.realtime.websocket import init_realtime
    from chatbot.segments import routes as segments
    from chatbot.web import access, formats, pages, rates, requests
    from chatbot.webhooks import log_routes as webhook_log
    from chatbot.webhooks import routes as webhooks

    settings = settings or config.load()
    app = Flask(__name__)
    requests.init_requests(app)
    app.config.from_mapping(extensions.flask_config(settings))
    app.extensions["prosa_version"] = __version__
    app.json.sort_keys = False  # type: ignore[attr-defined]
    log.configure_logging(settings)
    extensions.init_extensions(app, settings, list_prefetched_keys=list_prefetched_keys)
    init_company(app)
    access.init_access(app, settings, roles=list(Role), load_user=load_user)
    init_users(app, on_closed=release_conversations)
    rates.init_rates(app)
    pages.init_pages(app)
    formats.init_formats(
        app,
        state_labels={
            **conversation_labels.STATE_LABELS,
            **campaign_labels.STATE_LABELS,
            **delivery_labels.STATE_LABELS,
        },
        role_labels=account_labels.ROLE_LABELS,
    )
    init_realtime(app)
    request_metrics.init_request_metrics(app)

    # Access is decided here, where a blueprint is registered, and nowhere else.
    access.register_blueprint(app, webhooks.bp, access.SIGNED_BY_META)
    access.register_blueprint(app, ops.bp, access.PUBLIC)
    access.register_blueprint(app, accounts.bp, access.PUBLIC)
    access.register_blueprint(app, accounts.account_bp, access.AGENT)
    access.register_blueprint(app, users.bp, access.ADMIN)
    access.register_blueprint(app, company.bp, access.ADMIN)
    access.register_blueprint(app, company.logo_bp, access.PUBLIC)
    access.register_blueprint(app, panel.bp, access.AGENT)
    access.register_blueprint(app, conversations.bp, access.AGENT)
    access.register_blueprint(app, sending.bp, access.AGENT)
    access.register_blueprint(app, contacts.bp, access.AGENT)
    access.register_blueprint(app, profile_routes.bp, access.AGENT)
    access.register_blueprint(app, contact_imports.bp, access.MANAGER)
    access.register_blueprint(app, segments.bp, access.MANAGER)
    access.register_blueprint(app, campaigns.bp, access.MANAGER)
    access.register_blueprint(app, campaign_drafts.bp, access.MANAGER)
    access.register_blueprint(app, campaign_preview_sends.bp, access.MANAGER)
    access.register_blueprint(app, message_templates.bp, access.MANAGER)
    access.register_blueprint(app, prices.bp, access.ADMIN)
    access.register_blueprint(app, panel.redis, access.MANAGER)
    access.register_blueprint(app, channels.bp, access.MANAGER)
    access.register_blueprint(app, webhook_log.bp, access.MANAGER)

    cli.init_cli(app)
    app.extensions["prosa_models"] = models.__all__
    return app

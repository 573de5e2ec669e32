"""Prosa: answers a company's customers on WhatsApp and sends them campaigns."""

from __future__ import annotations

from flask import Flask

from config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The whole application on one screen: settings, extensions, features with their access."""
    # The factory alone imports inside a function, so that `import chatbot` costs the simulator,
    # which is a package in it, nothing.
    import config
    from chatbot import access, cli, extensions, models, pages, rates
    from chatbot.accounts import routes as accounts
    from chatbot.accounts import users_routes as users
    from chatbot.campaigns import draft_routes as campaign_drafts
    from chatbot.campaigns import routes as campaigns
    from chatbot.campaigns import trial_routes as campaign_trials
    from chatbot.channels import routes as channels
    from chatbot.contacts import import_routes as contact_imports
    from chatbot.contacts import routes as contacts
    from chatbot.conversations import routes as conversations
    from chatbot.conversations import sending_routes as sending
    from chatbot.core import log
    from chatbot.message_templates import prices_routes as prices
    from chatbot.message_templates import routes as message_templates
    from chatbot.ops import requests
    from chatbot.ops import routes as ops
    from chatbot.panel import profiles
    from chatbot.panel import routes as panel
    from chatbot.realtime.door import init_realtime
    from chatbot.segments import routes as segments
    from chatbot.webhooks import log_routes as webhook_log
    from chatbot.webhooks import routes as webhooks

    settings = settings or config.load()
    app = Flask(__name__)
    app.config.from_mapping(extensions.flask_config(settings))
    app.json.sort_keys = False  # type: ignore[attr-defined]
    log.configure(settings)
    extensions.init_extensions(app, settings)
    access.init_access(app, settings)
    rates.init_rates(app, settings)
    pages.init_pages(app)
    init_realtime(app)
    requests.init_requests(app)

    # Who may enter is decided here, where a blueprint is registered, and nowhere else.
    access.register(app, webhooks.bp, access.SIGNED_BY_META)
    access.register(app, ops.bp, access.PUBLIC)
    access.register(app, accounts.bp, access.PUBLIC)
    access.register(app, accounts.own, access.AGENT)
    access.register(app, users.bp, access.ADMIN)
    access.register(app, panel.bp, access.AGENT)
    access.register(app, conversations.bp, access.AGENT)
    access.register(app, sending.bp, access.AGENT)
    access.register(app, contacts.bp, access.AGENT)
    access.register(app, profiles.bp, access.AGENT)
    access.register(app, contact_imports.bp, access.MANAGER)
    access.register(app, segments.bp, access.MANAGER)
    access.register(app, campaigns.bp, access.MANAGER)
    access.register(app, campaign_drafts.bp, access.MANAGER)
    access.register(app, campaign_trials.bp, access.MANAGER)
    access.register(app, message_templates.bp, access.MANAGER)
    access.register(app, prices.bp, access.ADMIN)
    access.register(app, panel.redis, access.MANAGER)
    access.register(app, channels.bp, access.MANAGER)
    access.register(app, webhook_log.bp, access.MANAGER)

    cli.init_cli(app)
    app.extensions["prosa_models"] = models.__all__
    return app

"""Navigation of the panel: one table, from which each user sees the pages that the policies allow."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app, g, request
from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.web.access import may_access


@dataclass(frozen=True, slots=True)
class NavItem:
    path: str
    label: LazyString
    icon: str


@dataclass(frozen=True, slots=True)
class NavLink:
    url: str
    label: str
    icon: str
    current: bool


MAIN_ITEMS = (
    NavItem("/", _l("Home"), "house"),
    NavItem("/conversations/", _l("Conversations"), "chat-dots"),
    NavItem("/contacts/", _l("Contacts"), "people"),
    NavItem("/campaigns/", _l("Campaigns"), "megaphone"),
)
MORE_ITEMS = (
    NavItem("/templates/", _l("Templates"), "file-earmark-text"),
    NavItem("/segments/", _l("Segments"), "funnel"),
    NavItem("/users/", _l("Users"), "person-gear"),
    NavItem("/settings/", _l("Settings"), "gear"),
    NavItem("/channel/", _l("Our number"), "telephone"),
    NavItem("/redis/", "Redis", "lightning-charge"),
)


def init_navigation(app: Flask) -> None:
    app.context_processor(lambda: {"navigation": get_navigation, "may_access": may_access})


def get_navigation() -> dict[str, list[NavLink]]:
    """Return the links of the panel, computed once a request."""
    found: dict[str, list[NavLink]] | None = g.get("navigation")
    if found is None:
        found = {"main": _build_links(MAIN_ITEMS), "more": _build_links(MORE_ITEMS)}
        g.navigation = found
    return found


def _list_blueprints() -> dict[str, str]:
    """Return the blueprint of each page of this application, by its path."""
    found: dict[str, str] | None = current_app.extensions.get("prosa_page_blueprints")
    if found is None:
        rules = [rule for rule in current_app.url_map.iter_rules() if "GET" in (rule.methods or ())]
        found = {rule.rule: rule.endpoint.partition(".")[0] for rule in rules}
        current_app.extensions["prosa_page_blueprints"] = found
    return found


def _build_links(items: tuple[NavItem, ...]) -> list[NavLink]:
    """Build the links of pages that exist in this application and that the user may access."""
    blueprints = _list_blueprints()
    return [
        NavLink(item.path, str(item.label), item.icon, _is_current(item.path))
        for item in items
        if item.path in blueprints and may_access(blueprints[item.path])
    ]


def _is_current(path: str) -> bool:
    return request.path == path or (path != "/" and request.path.startswith(path))

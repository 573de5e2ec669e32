"""The panel's navigation: one table, of which everybody sees what the access policies let him enter."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app, request
from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.access import may_enter


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    label: LazyString
    icon: str


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    label: str
    icon: str
    current: bool


MAIN = (
    Entry("/", _l("Home"), "house"),
    Entry("/conversations/", _l("Conversations"), "chat-dots"),
    Entry("/contacts/", _l("Contacts"), "people"),
    Entry("/campaigns/", _l("Campaigns"), "megaphone"),
)
MORE = (
    Entry("/templates/", _l("Templates"), "file-earmark-text"),
    Entry("/segments/", _l("Segments"), "funnel"),
    Entry("/users/", _l("Users"), "person-gear"),
    Entry("/channel/", _l("Our number"), "telephone"),
    Entry("/redis/", "Redis", "lightning-charge"),
)


def init_navigation(app: Flask) -> None:
    app.context_processor(lambda: {"navigation": navigation, "may_enter": may_enter})


def navigation() -> dict[str, list[Link]]:
    return {"main": _links(MAIN), "more": _links(MORE)}


def _links(entries: tuple[Entry, ...]) -> list[Link]:
    """A page that does not exist in this application has no link."""
    rules = [rule for rule in current_app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    blueprints = {rule.rule: rule.endpoint.partition(".")[0] for rule in rules}
    return [
        Link(entry.path, str(entry.label), entry.icon, _is_current(entry.path))
        for entry in entries
        if entry.path in blueprints and may_enter(blueprints[entry.path])
    ]


def _is_current(path: str) -> bool:
    return request.path == path or (path != "/" and request.path.startswith(path))

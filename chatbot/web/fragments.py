"""Cache of rendered fragments that depend only on their values: a line of the inbox, a message bubble.

Open pages poll their changing part, and most of it is unchanged. A fragment is cached under all values
that it shows, so it never goes stale: another value is another fragment. Its template must show nothing
else, such as a form's token or the signed-in user.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from functools import lru_cache

from flask import Flask, render_template, request
from flask_babel import get_locale
from markupsafe import Markup

MAX_FRAGMENTS = 4000
# Erased data must not stay in a process until it restarts.
MAX_AGE_S = 600.0


class FragmentCache:
    def __init__(self) -> None:
        self._render = lru_cache(maxsize=MAX_FRAGMENTS)(_render)
        self._expires_at = 0.0

    def __call__(self, template: str, **values: Hashable) -> Markup:
        """Render the template with these values in the reader's language, or return it from the cache."""
        now = time.monotonic()
        if now > self._expires_at:
            self._render.cache_clear()
            self._expires_at = now + MAX_AGE_S
        return self._render(template, str(get_locale()), request.script_root, *values.items())


def _render(template: str, _locale: str, _root: str, *values: tuple[str, Hashable]) -> Markup:
    return Markup(render_template(template, **dict(values)))  # noqa: S704 - escaped by the template


def init_fragments(app: Flask) -> None:
    app.jinja_env.globals["fragment"] = FragmentCache()

"""Pieces of pages that look the same for the same value: a line of the inbox, a bubble of a thread.

Open pages ask for their moving part again and again, and most of what they get is what they got before.
A piece is remembered by everything that it shows, so there is nothing to go stale: another value is
another piece. What a template shows besides, such as a form's token or who is signed in, must not stand
in one.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from functools import lru_cache

from flask import Flask, render_template, request
from flask_babel import get_locale
from markupsafe import Markup

MAX_FRAGMENTS = 4000
# What was erased or has gone quiet is not to stay in a process for as long as that lives.
MAX_AGE_S = 600.0


class FragmentCache:
    def __init__(self) -> None:
        self._render = lru_cache(maxsize=MAX_FRAGMENTS)(_render)
        self._expires_at = 0.0

    def __call__(self, template: str, **values: Hashable) -> Markup:
        """The template with these values, in the reader's language."""
        now = time.monotonic()
        if now > self._expires_at:
            self._render.cache_clear()
            self._expires_at = now + MAX_AGE_S
        return self._render(template, str(get_locale()), request.script_root, *values.items())


def _render(template: str, _locale: str, _root: str, *values: tuple[str, Hashable]) -> Markup:
    return Markup(render_template(template, **dict(values)))  # noqa: S704 - escaped by the template


def init_fragments(app: Flask) -> None:
    app.jinja_env.globals["fragment"] = FragmentCache()

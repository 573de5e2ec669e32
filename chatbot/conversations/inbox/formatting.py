"""Render WhatsApp's text formatting (*bold*, _italic_, ~struck~, `code`) as safe HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_CODE = re.compile(r"```(.+?)```|`([^`\n]+)`", re.DOTALL)
# As in WhatsApp, delimiters next to a letter or digit outside don't count: 2*3*4 stays as it is.
_MARKS = tuple(
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^\n{mark}]+?)(?<=\S){mark}(?![\w{mark}])"), tag)
    for mark, tag in ((r"\*", "strong"), ("_", "em"), ("~", "s"))
)
_LINK = re.compile(r"https?://[^\s<>\"'*~`]+[^\s<>\"'*~`.,;:!?)\]_]")


def format_text(text: str) -> Markup:
    """Escape the text, then add tags for formatting, links and line breaks."""
    parts, last = [], 0
    for found in _CODE.finditer(text):
        parts.append(_format_prose(text[last : found.start()]))
        parts.append(f"<code>{escape(found[1] or found[2])}</code>")
        last = found.end()
    parts.append(_format_prose(text[last:]))
    return Markup("".join(parts).replace("\n", "<br>"))  # noqa: S704 - escaped piece by piece


def _format_prose(text: str) -> str:
    """Format the text around links; underscores in an address are no formatting."""
    parts, last = [], 0
    for found in _LINK.finditer(text):
        address = str(escape(found[0]))
        parts.append(_format_marks(text[last : found.start()]))
        parts.append(f'<a href="{address}" target="_blank" rel="noopener nofollow">{address}</a>')
        last = found.end()
    return "".join([*parts, _format_marks(text[last:])])


def _format_marks(text: str) -> str:
    html = str(escape(text))
    for pattern, tag in _MARKS:
        html = pattern.sub(rf"<{tag}>\1</{tag}>", html)
    return html

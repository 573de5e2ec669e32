"""Typed structures of Meta's answers about templates."""

from __future__ import annotations

from typing import Any

import msgspec


class QualityScore(msgspec.Struct):
    score: str = "UNKNOWN"


class TemplatePayload(msgspec.Struct):
    name: str
    language: str
    status: str
    category: str = "UTILITY"
    parameter_format: str = "POSITIONAL"
    components: list[dict[str, Any]] = []
    quality_score: QualityScore | None = None
    rejected_reason: str | None = None


class _Cursors(msgspec.Struct):
    after: str | None = None


class _Paging(msgspec.Struct):
    cursors: _Cursors | None = None
    next: str | None = None


class _Page(msgspec.Struct):
    data: list[TemplatePayload]
    paging: _Paging | None = None


def parse_page(answer: object) -> tuple[list[TemplatePayload], str | None]:
    """Return the templates of a page, and the cursor of the next one if there is any.

    Raises:
        msgspec.ValidationError: not a page of templates.
    """
    page = msgspec.convert(answer, _Page)
    has_next = page.paging is not None and page.paging.next is not None
    cursors = page.paging.cursors if page.paging else None
    return page.data, cursors.after if has_next and cursors else None

"""Filter of all input at the edge: what no column can hold never reaches a view.

Arguments, forms and JSON are cleaned as they are parsed (`chatbot.core.text.clean_lines`), and ids in
URLs must fit into a column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Flask, Request
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict
from werkzeug.exceptions import BadRequest
from werkzeug.routing import IntegerConverter, ValidationError

from chatbot.core.pagination import MAX_ROW_ID
from chatbot.core.text import clean_lines

FILE_FIELDS = frozenset({"file", "logo"})  # of all forms


class CleanParameters(ImmutableMultiDict[str, Any]):
    """Arguments, fields or files of a request, cleaned."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__([(clean_lines(name), _clean_value(value)) for name, value in pairs])


def _clean_value(value: Any) -> Any:
    if isinstance(value, FileStorage):
        value.filename = clean_lines(value.filename or "")
        return value
    return clean_lines(value)


class CleanRequest(Request):
    parameter_storage_class = CleanParameters

    def _load_form_data(self) -> None:
        """Parse the body; a file in place of a text would reach fields that expect a text."""
        super()._load_form_data()
        posted: MultiDict[str, FileStorage] = self.__dict__["files"]
        kept = []
        for name, file in posted.items(multi=True):
            if name in FILE_FIELDS:
                kept.append((name, file))
            else:
                file.close()
        self.__dict__["files"] = CleanParameters(kept)

    def get_json(self, *args: Any, **options: Any) -> Any:
        """Return the fields of a form that was sent as one JSON object, all as cleaned text.

        Raises:
            BadRequest: the body is anything else; forms would fail on values that are not text.
        """
        body = super().get_json(*args, **options)
        if not isinstance(body, dict):
            raise BadRequest
        return {clean_lines(name): _read_json_field(value) for name, value in body.items()}


def _read_json_field(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise BadRequest
    return "" if value is None else clean_lines(str(value))


class RowIdConverter(IntegerConverter):
    """`<int:...>` in a URL: the id of a row; a number that no column can hold is found nowhere (404)."""

    def to_python(self, value: str) -> int:
        found: int = super().to_python(value)
        if found > MAX_ROW_ID:
            raise ValidationError
        return found


def init_requests(app: Flask) -> None:
    """Install the filter; call it before any route is registered."""
    app.request_class = CleanRequest
    app.url_map.converters["int"] = RowIdConverter

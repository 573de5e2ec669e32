"""Files that a page offers for download."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask import Response, stream_with_context

from chatbot.core.csv_writer import render_csv


def csv_response(
    header: Sequence[object], rows: Iterable[Sequence[object]], file_name: str
) -> Response:
    """Return a CSV file that is sent while its rows are read. Flask adds the charset to the type."""
    response = Response(stream_with_context(render_csv(header, rows)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response.headers["Cache-Control"] = "no-store"
    return response

"""Text of database errors without the values of rows, so that errors can be logged.

SQLAlchemy hides the parameters of a statement (`hide_parameters`), but PostgreSQL's own message may repeat
values: "DETAIL: Failing row contains (1, ana@example.com, ...)".
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import ExceptionContext

DATA_EXCEPTION = "22"  # class of errors whose first line may quote the value


def hide_values_in_error(context: ExceptionContext) -> None:
    """Shorten the driver's error and SQLAlchemy's around it. A listener for `handle_error`."""
    error, wrapper = context.original_exception, context.sqlalchemy_exception
    full = str(error)
    hide_values(error)
    if wrapper is not None:
        wrapper.args = (str(wrapper.args[0]).replace(full, str(error)), *wrapper.args[1:])


def hide_values(error: Any) -> None:
    """Reduce an error of psycopg to the parts of its message that never hold values."""
    diag = getattr(error, "diag", None)
    if diag is None or diag.sqlstate is None:
        return  # raised by the driver itself, or by SQLite, neither of which quotes values
    is_about_data = diag.sqlstate.startswith(DATA_EXCEPTION)
    parts = [type(error).__name__ if is_about_data else diag.message_primary]
    parts += [
        f"{label} {name}"
        for label, name in (("table", diag.table_name), ("column", diag.column_name))
        if name
    ]
    error.args = (f"{', '.join(parts)} (SQLSTATE {diag.sqlstate})",)

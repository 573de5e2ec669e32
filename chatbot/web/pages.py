"""Shared parts of all pages: error pages, and the names that every template may use."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, current_app, jsonify, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from chatbot.company.logo import get_logo_version
from chatbot.core.db import is_busy, stop_waiting_to_write
from chatbot.core.errors import AppError, Unavailable
from chatbot.core.i18n import N_
from chatbot.core.log import get_route
from chatbot.extensions import get_settings
from chatbot.web.fragments import init_fragments
from chatbot.web.navigation import init_navigation
from chatbot.web.rates import get_retry_after_s
from chatbot.web.static_files import init_static_files

ERROR_MESSAGES = {
    400: N_("The request could not be understood. Go back and try again."),
    401: N_("Please sign in first."),
    403: N_("You do not have access to this page. Ask an administrator if you need it."),
    404: N_("There is nothing at this address."),
    405: N_("This cannot be done here."),
    413: N_("The file is too large: at most 20 MB are accepted."),
    429: N_("Too many requests. Wait a moment and try again."),
    500: N_("Something went wrong on our side. It has been logged; please try again."),
}
ERROR_TITLES = {
    400: N_("That did not work"),
    401: N_("Sign in first"),
    403: N_("No access"),
    404: N_("Page not found"),
    405: N_("That did not work"),
    413: N_("Too large"),
    429: N_("One moment, please"),
    500: N_("Our mistake"),
}
ERROR_ICONS = {401: "lock", 403: "lock", 404: "search", 429: "hourglass-split"}
CSRF_MESSAGE = N_(
    "This form is too old, or was not sent from our page. Go back, reload the page and try again."
)


def init_pages(app: Flask) -> None:
    app.register_error_handler(HTTPException, _handle_http_error)
    app.register_error_handler(CSRFError, _handle_csrf_error)
    app.register_error_handler(AppError, _handle_app_error)
    app.register_error_handler(sa.exc.OperationalError, _handle_database_error)
    app.register_error_handler(sa.exc.TimeoutError, _handle_database_error)
    app.register_error_handler(Exception, _handle_unexpected_error)
    app.log_exception = _log_exception  # type: ignore[method-assign]
    init_fragments(app)
    init_static_files(app, is_production=get_settings(app).is_production)
    init_navigation(app)
    app.context_processor(_common_context)


def _handle_http_error(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return error.get_response()  # type: ignore[return-value]
    # The session is read and written outside of views, where Flask wraps errors.
    original = getattr(error, "original_exception", None)
    if isinstance(original, Exception) and is_busy(original):
        return _handle_database_error(original)
    status = error.code or 500
    response = _error_response(
        status, _(ERROR_MESSAGES.get(status) or ERROR_MESSAGES[400 if status < 500 else 500])
    )
    retry_after = getattr(error, "retry_after", None)
    if retry_after is None and isinstance(error, RateLimitExceeded):
        retry_after = get_retry_after_s()
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _handle_csrf_error(_error: CSRFError) -> Response:
    return _error_response(400, _(CSRF_MESSAGE))


def _handle_app_error(error: AppError) -> Response:
    response = _error_response(error.status, _(error.message, **error.values), error.field)
    retry_after = getattr(error, "retry_after_s", None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


class DatabaseBusy(Unavailable):
    retry_after_s = 5


def _handle_database_error(error: Exception) -> Response:
    if not is_busy(error):
        return _handle_unexpected_error(error)
    stop_waiting_to_write()  # the session is saved after this
    current_app.logger.warning(
        "the database is busy: %s %s: %s", request.method, get_route(), type(error).__name__
    )
    return _handle_app_error(
        DatabaseBusy(N_("The database is busy. Please try again in a few seconds."))
    )


def _handle_unexpected_error(_error: Exception) -> Response:
    _log_exception(True)
    return _error_response(500, _(ERROR_MESSAGES[500]))


def _log_exception(exc_info: Any) -> None:
    """Log the error of a request. Replaces Flask's own method, which logs the path."""
    message = "unhandled error: %s %s"
    current_app.logger.error(message, request.method, get_route(), exc_info=exc_info)


def _error_response(status: int, message: str, field: str | None = None) -> Response:
    best = request.accept_mimetypes.best_match(("text/html", "application/json"), "text/html")
    if best == "application/json" or request.path.startswith(("/webhooks/", "/health", "/cache/")):
        response = jsonify({"error": message, "field": field})
    else:
        response = Response(_render_error_page(status, message))
    response.status_code = status
    return response


def _render_error_page(status: int, message: str) -> str:
    values = {
        "status": status,
        "title": _(ERROR_TITLES.get(status) or ERROR_TITLES[400 if status < 500 else 500]),
        "message": message,
        "icon_name": ERROR_ICONS.get(status, "exclamation-triangle"),
    }
    if status < 500 and status != 401:
        return render_template("error.html", layout="base.html", **values)
    # No context processors: Flask-Login's loads the user from the database, which may be away.
    page = current_app.jinja_env.get_template("error.html")
    return page.render(layout="standalone.html", **_common_context(), **values)


def _common_context() -> dict[str, str | None]:
    logo_version = get_logo_version()
    return {
        "company_name": get_settings(current_app).company_name,
        "company_logo": url_for("company_logo.show_logo", v=logo_version) if logo_version else None,
        "locale": str(get_locale()),
        "version": current_app.extensions["prosa_version"],
    }

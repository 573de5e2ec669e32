"""Errors that services raise and that routes, commands and tasks know how to report."""

from __future__ import annotations

from collections.abc import Mapping


class AppError(Exception):
    """Refusal that a person can act on.

    `message` is an English sentence and the key of its translation; each `%(name)s` in it is filled from
    `values`. `field` names the input to correct.
    """

    status = 400

    def __init__(self, message: str, *, field: str | None = None, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message = message
        self.field = field
        self.values: Mapping[str, object] = values


class InvalidInput(AppError):
    """Invalid input: a retry with the same input fails again."""

    status = 422


class NotFound(AppError):
    status = 404


class Conflict(AppError):
    """Valid input that the current state does not allow, perhaps after a concurrent change."""

    status = 409


class Unavailable(AppError):
    """A required system does not answer now; a later retry can succeed."""

    status = 503

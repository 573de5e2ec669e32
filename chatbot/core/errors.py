"""What can go wrong in a room, as kinds that each door knows how to answer."""

from __future__ import annotations

from collections.abc import Mapping


class AppError(Exception):
    """A refusal that a person can act on.

    `message` is an English sentence and the key of its translation; `%(name)s` in it are filled from
    `values`. `field` names what to mend.
    """

    status = 400

    def __init__(self, message: str, *, field: str | None = None, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message = message
        self.field = field
        self.values: Mapping[str, object] = values


class InvalidInput(AppError):
    """The input is wrong: the same again will be refused again."""

    status = 422


class NotFound(AppError):
    status = 404


class Conflict(AppError):
    """Right in itself, but not in the present state; somebody else may have been faster."""

    status = 409


class Unavailable(AppError):
    """A system we need does not answer now; trying again later can help."""

    status = 503

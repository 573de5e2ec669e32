"""Read the cells of a row that people fill in many ways: phones, e-mails, names."""

from __future__ import annotations

import re

from chatbot.brazil.phone import InvalidPhone, Phone, parse_phone
from chatbot.core.text import fold

OTHER_PHONES = "outros_telefones"  # attributes with what is not the contact's own
OTHER_EMAILS = "outros_emails"
MAX_EMAIL = 254  # characters
EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9-]+\.)+[a-z0-9-]{2,}")
# Google writes several values with ":::", people with "/", "," or "e".
_PHONE_SEPARATOR = re.compile(r":::|[/,;|\n]|\s(?:e|ou|and|or)\s")
_EMAIL_SEPARATOR = re.compile(r":::|[,;|\s]+|\s(?:e|ou|and|or)\s")
# What people write where there is no phone.
_NO_VALUE = re.compile(
    r"[-–—.\s/*]*|(?:nao|n)(?: (?:tem|possui|ha|informado|informou|consta|definido|usa|aplicavel))?"
    r"|n/?[atd]|sem(?: e ?-?mail)?|nenhum|null|none|vazio|nd|ne"
)


class BadCell(Exception):
    """Cell that makes the row unusable; `reason` is a key of `csv_reader.REASONS`."""

    def __init__(self, column: str, reason: str, value: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.value = column, reason, value


def read_phones(cells: dict[str, str]) -> tuple[Phone, dict[str, str]]:
    """Take the phone columns out of the row. Return the first good phone, and the others as an attribute.

    Raises BadCell with the first problem if no phone is good.
    """
    texts = [text for text in _take(cells, "phone") if not _NO_VALUE.fullmatch(fold(text))]
    good: list[Phone] = []
    left: list[str] = []
    for part in (part for text in texts for part in _split_phones(text)):
        try:
            good.append(parse_phone(part))
        except InvalidPhone:
            left.append(part)
    if not good:
        text = texts[0] if texts else ""
        raise BadCell("phone", f"phone_{_find_problem(text)}", text)
    others = dict.fromkeys([f"+{phone.digits}" for phone in good[1:]] + left)
    others.pop(f"+{good[0].digits}", None)
    return good[0], {OTHER_PHONES: ", ".join(others)} if others else {}


def _split_phones(text: str) -> list[str]:
    """Return the cell as one phone if it is one, else its parts."""
    if _find_problem(text) is None:
        return [text]
    return [part.strip() for part in _PHONE_SEPARATOR.split(text) if part.strip()]


def _find_problem(text: str) -> str | None:
    try:
        parse_phone(text)
    except InvalidPhone as error:
        return error.reason
    return None


def read_emails(cells: dict[str, str]) -> tuple[str | None, dict[str, str], str]:
    """Take the e-mail columns out of the row. Return the first good one, the others, and what is dropped."""
    texts = _take(cells, "email")
    parts = [
        part.strip("<>()\"' ").lower()
        for text in texts
        for part in _EMAIL_SEPARATOR.split(text.removeprefix("mailto:"))
    ]
    good = [part for part in parts if len(part) <= MAX_EMAIL and EMAIL.fullmatch(part)]
    if not good:
        return None, {}, ", ".join(texts)
    others = list(dict.fromkeys(part for part in good[1:] if part != good[0]))
    return good[0], {OTHER_EMAILS: ", ".join(others)} if others else {}, ""


def read_names(cells: dict[str, str]) -> str:
    """Take the name columns out of the row; return the name, else its parts in one line."""
    name, *parts = (
        " ".join(cells.pop(column, "").split())
        for column in ("name", "first_name", "middle_name", "last_name")
    )
    return name or " ".join(part for part in parts if part)


def _take(cells: dict[str, str], name: str) -> list[str]:
    """Remove the columns NAME, NAME_2, …; return their texts in that order."""
    found = [cells.pop(name, "")]
    number = 2
    while f"{name}_{number}" in cells:
        found.append(cells.pop(f"{name}_{number}"))
        number += 1
    return [text for text in found if text]

"""CPF and CNPJ: parsed, checked, formatted and masked.

Check digits: CPF 9 + 2, CNPJ 12 + 2, both modulo 11 (Receita Federal). The alphanumeric CNPJ (IN
RFB 2.229 of 2024-10-15, new registrations from July 2026) keeps the weights; the value of a character
is its ASCII code minus 48. So a CNPJ is text of 14 characters, and its letters must be kept.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

DocumentKind = Literal["cpf", "cnpj"]

MAX_DOCUMENT_LENGTH = 60  # characters

REASONS: dict[str, str] = {
    "empty": "The CPF or CNPJ is empty: enter it.",
    "not_ascii": "The CPF or CNPJ has symbols or digits of another alphabet: type it again.",
    "bad_characters": "The CPF or CNPJ has symbols other than dots, hyphen and slash: remove them.",
    "letters": "A CPF has no letters, and a CNPJ has none in its last two positions: correct it.",
    "scientific_notation": (
        "The spreadsheet changed the CPF or CNPJ into scientific notation and lost digits: "
        "format the column as text, enter the numbers again and export again."
    ),
    "wrong_length": "A CPF has 11 digits and a CNPJ has 14 characters: complete it.",
    "equal_digits": "A CPF or CNPJ made of one repeated digit does not exist: enter the real one.",
    "check_digits": "The check digits do not match: compare the CPF or CNPJ with the original.",
}

_CPF_WEIGHTS = (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
_CNPJ_WEIGHTS = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)

_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]+")
_EXCEL_FLOAT = re.compile(r"([0-9]+)[.,]0")
_SEPARATORS = re.compile(r"[.\-/ ]")
# Digits that lost their leading zeros in a spreadsheet: length there -> full length.
_FULL_LENGTH = {9: 11, 10: 11, 12: 14, 13: 14}


class InvalidDocument(ValueError):
    """Raised for a text that is neither CPF nor CNPJ; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """A CPF (`digits` are 11 digits) or a CNPJ (14 characters `[0-9A-Z]{12}[0-9]{2}`)."""

    kind: DocumentKind
    digits: str


def parse_document(text: str) -> Document:
    """Parse a CPF or CNPJ with or without its mask, in any case. Raise InvalidDocument.

    Leading zeros that a spreadsheet dropped are restored if the text is digits only and the check
    digits match then.
    """
    typed = _clean(text)
    digits = _SEPARATORS.sub("", typed)
    if typed.isdigit() and len(digits) in _FULL_LENGTH:
        padded = digits.zfill(_FULL_LENGTH[len(digits)])
        if _find_problem(padded) is None:
            return _to_document(padded)
    problem = _find_problem(digits)
    if problem:
        raise InvalidDocument(problem)
    return _to_document(digits)


def format_document(digits: str) -> str:
    """Format as 000.000.000-00 or 00.000.000/0000-00; return anything else unchanged."""
    plain = _SEPARATORS.sub("", digits).upper()
    if len(plain) == 11:
        return f"{plain[:3]}.{plain[3:6]}.{plain[6:9]}-{plain[9:]}"
    if len(plain) == 14:
        return f"{plain[:2]}.{plain[2:5]}.{plain[5:8]}/{plain[8:12]}-{plain[12:]}"
    return digits


def mask_document(digits: str) -> str:
    """Mask as ***.456.789-** or **.345.678/****-**, and anything else with asterisks only."""
    plain = _SEPARATORS.sub("", digits).upper()
    if len(plain) == 11:
        return f"***.{plain[3:6]}.{plain[6:9]}-**"
    if len(plain) == 14:
        return f"**.{plain[2:5]}.{plain[5:8]}/****-**"
    return "*" * len(plain)


def _clean(text: str) -> str:
    """Return upper-case ASCII without the invisible characters that copying leaves."""
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf").strip()
    if not visible:
        raise InvalidDocument("empty")
    if len(visible) > MAX_DOCUMENT_LENGTH:
        raise InvalidDocument("wrong_length")
    if not visible.isascii():
        # Checked before upper(), which turns some foreign letters into ASCII ones.
        raise InvalidDocument("not_ascii")
    visible = visible.upper()
    if _SCIENTIFIC.fullmatch(visible):
        raise InvalidDocument("scientific_notation")
    found = _EXCEL_FLOAT.fullmatch(visible)
    return found[1] if found else visible


def _find_problem(digits: str) -> str | None:
    """Return the reason why these characters are not a document, or None."""
    if not digits.isalnum():
        return "bad_characters" if digits else "wrong_length"
    if len(digits) not in (11, 14):
        return "wrong_length"
    must_be_digits = digits if len(digits) == 11 else digits[12:]
    if not must_be_digits.isdigit():
        return "letters"
    if len(set(digits)) == 1:
        return "equal_digits"
    return None if digits[-2:] == _check_digits(digits[:-2]) else "check_digits"


def _check_digits(body: str) -> str:
    weights = _CPF_WEIGHTS if len(body) == 9 else _CNPJ_WEIGHTS
    first = _check_digit(body, weights[1:])
    return first + _check_digit(body + first, weights)


def _check_digit(body: str, weights: tuple[int, ...]) -> str:
    total = sum(
        (ord(character) - 48) * weight for character, weight in zip(body, weights, strict=True)
    )
    remainder = total % 11
    return "0" if remainder < 2 else str(11 - remainder)


def _to_document(digits: str) -> Document:
    return Document("cpf" if len(digits) == 11 else "cnpj", digits)

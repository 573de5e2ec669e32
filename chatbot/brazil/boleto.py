"""Boletos: bank slips (line of 47 digits) and collection slips (48), parsed, checked and made.

Layouts: FEBRABAN's standard of the bank slip, and for collection slips its "Layout Padrão de
Arrecadação/Recebimento com Utilização do Código de Barras". Both kinds have a barcode of 44 digits. The
digitable line is the barcode in another order with a check digit per field, so a line is checked by
making it again from its barcode. Positions in comments count from 1, as in the standards.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

BoletoKind = Literal["bank", "collection"]

FACTOR_BASE = date(1997, 10, 7)
FACTOR_FIRST, FACTOR_LAST = 1000, 9999
CYCLE_DAYS = FACTOR_LAST - FACTOR_FIRST + 1
# FEBRABAN, Comunicado FB-082/2012: a slip is payable from 5500 days before its due date to 3000
# after it.
PAST_DAYS, FUTURE_DAYS = 3000, 5500
MAX_AMOUNT = Decimal("99999999.99")

REASONS: dict[str, str] = {
    "empty": "The line is empty: copy the whole line of the boleto.",
    "bad_characters": "The line has letters or symbols: copy only the numbers of the boleto.",
    "wrong_length": "A line has 47 digits (bank) or 48 digits (bills and taxes): copy the "
    "whole line.",
    "not_collection": "A line of 48 digits starts with 8: check the first digits.",
    "value_identifier": "The third digit must be 6, 7, 8 or 9: check the first digits.",
    "currency": "The fourth digit must be 9 (reais): check the first digits.",
    "field_digit": "A check digit of one of the groups does not match: compare the line digit "
    "by digit.",
    "general_digit": "The general check digit does not match: compare the line digit by digit.",
    "bad_bank": "A bank code has three digits.",
    "bad_free_field": "The bank's free field is 25 digits.",
    "bad_amount": "An amount is between 0.01 and 99999999.99 reais, with at most two decimals.",
    "bad_due_date": "The due date must be 2000-07-03 or later.",
}

_SEPARATORS = re.compile(r"[\s.\-]+")
_DIGIT_RUN = re.compile(r"[0-9]+(?:[\s.\-]{1,8}[0-9]+)*")


class InvalidBoleto(ValueError):
    """Raised for a text that is not a boleto; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Boleto:
    """One slip; `line` (47 or 48) and `barcode` (44) are digits only.

    `amount` is in reais, None if the payer chooses it or the value is a reference. `due_on` is None
    where the code has no date; collection slips have neither date nor `bank`.
    """

    kind: BoletoKind
    line: str
    barcode: str
    amount: Decimal | None
    due_on: date | None
    bank: str | None


def parse_line(text: str, today: date) -> Boleto:
    """Parse a line, with or without dots and spaces; 44 digits are a barcode. Raise InvalidBoleto.

    `today` selects the cycle of due dates. A card slip copied without its last zero (46 digits) is
    completed if its amount is open: only then the missing digit is certain.
    """
    digits = _only_digits(text)
    if len(digits) == 46 and digits.endswith("000000000"):
        digits += "0"
    if len(digits) == 44:
        return parse_barcode(digits, today)
    if len(digits) == 48:
        return _read_line(digits, _collection_barcode(digits), today)
    if len(digits) == 47 and digits[0] != "8":
        return _read_line(digits, _bank_barcode(digits), today)
    raise InvalidBoleto("wrong_length")


def parse_barcode(text: str, today: date) -> Boleto:
    """Parse the 44 digits of a barcode and make the line from them. Raise InvalidBoleto."""
    barcode = _only_digits(text)
    if len(barcode) != 44:
        raise InvalidBoleto("wrong_length")
    if barcode[0] == "8":
        return _collection(barcode)
    return _bank(barcode, today)


def find_lines(text: str) -> list[str]:
    """Return the digits of each boleto in a message, in order, each once, for `parse_line`.

    If a run of numbers has no valid boleto, its first 47 or 48 digits that form whole groups are
    returned, so that the person can be told that the line is mistyped.
    """
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    runs = (re.findall(r"[0-9]+", run) for run in _DIGIT_RUN.findall(visible))
    return list(dict.fromkeys(line for groups in runs for line in _lines_in(groups)))


def format_line(line: str) -> str:
    """Return the printed form of 47 or 48 digits, and anything else unchanged."""
    if len(line) == 47:
        fields = (line[0:5], line[5:10], line[10:15], line[15:21], line[21:26], line[26:32])
        first, second, third = (".".join(fields[at : at + 2]) for at in (0, 2, 4))
        return f"{first} {second} {third} {line[32]} {line[33:]}"
    if len(line) == 48:
        return " ".join(f"{line[at : at + 11]}-{line[at + 11]}" for at in range(0, 48, 12))
    return line


def make_line(bank: str, free_field: str, due_on: date | None, amount: Decimal | None) -> str:
    """Make a valid bank line of 47 digits, for demonstration data. Raise InvalidBoleto."""
    if not re.fullmatch(r"[0-9]{3}", bank) or bank[0] == "8":
        raise InvalidBoleto("bad_bank")
    if not re.fullmatch(r"[0-9]{25}", free_field):
        raise InvalidBoleto("bad_free_field")
    factor = encode_factor(due_on) if due_on else 0
    variable = f"{factor:04}{_cents(amount):010}"
    digit = _mod11(f"{bank}9{variable}{free_field}", bad="1")
    return _bank_line(f"{bank}9{digit}{variable}{free_field}")


def encode_factor(due_on: date) -> int:
    """Return the due date factor, 1000-9999; it is 1000 on 2000-07-03, 2025-02-22, 2049-10-14."""
    days = (due_on - FACTOR_BASE).days
    if days < FACTOR_FIRST:
        raise InvalidBoleto("bad_due_date")
    return (days - FACTOR_FIRST) % CYCLE_DAYS + FACTOR_FIRST


def decode_factor(factor: int, today: date) -> date | None:
    """Return the due date of a factor for a payment `today`; None for 0-999 (no date in the code).

    A factor returns every 9000 days, and the window of payable dates is 8501 days long: at most one
    candidate is in it. If none is, the nearest to today is returned.
    """
    if factor < FACTOR_FIRST:
        return None
    first = FACTOR_BASE + timedelta(days=factor)
    cycle = max(0, (today - first).days // CYCLE_DAYS)
    candidates = [first + timedelta(days=CYCLE_DAYS * n) for n in (cycle, cycle + 1)]
    for candidate in candidates:
        if -PAST_DAYS <= (candidate - today).days <= FUTURE_DAYS:
            return candidate
    return min(candidates, key=lambda candidate: abs((candidate - today).days))


def _only_digits(text: str) -> str:
    digits = _SEPARATORS.sub("", text)
    if not digits:
        raise InvalidBoleto("empty")
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidBoleto("bad_characters")
    return digits


def _read_line(line: str, barcode: str, today: date) -> Boleto:
    boleto = parse_barcode(barcode, today)
    if boleto.line != line:
        raise InvalidBoleto("field_digit")
    return boleto


def _bank_barcode(line: str) -> str:
    return line[:4] + line[32] + line[33:] + line[4:9] + line[10:20] + line[21:31]


def _bank_line(barcode: str) -> str:
    free = barcode[19:]
    fields = (barcode[:4] + free[:5], free[5:15], free[15:])
    return "".join(field + _mod10(field) for field in fields) + barcode[4:19]


def _bank(barcode: str, today: date) -> Boleto:
    """Read 1-3 bank, 4 currency, 5 general digit, 6-9 factor, 10-19 cents, 20-44 the bank's own."""
    if barcode[3] != "9":
        raise InvalidBoleto("currency")
    if barcode[4] != _mod11(barcode[:4] + barcode[5:], bad="1"):
        raise InvalidBoleto("general_digit")
    return Boleto(
        kind="bank",
        line=_bank_line(barcode),
        barcode=barcode,
        amount=_reais(barcode[9:19]),
        due_on=decode_factor(int(barcode[5:9]), today),
        bank=barcode[:3],
    )


def _collection_barcode(line: str) -> str:
    if line[0] != "8":
        raise InvalidBoleto("not_collection")
    return "".join(line[at : at + 11] for at in range(0, 48, 12))


def _collection(barcode: str) -> Boleto:
    """Read 1 "8", 2 segment, 3 value identifier, 4 general digit, 5-15 cents, 16-44 free.

    With identifier 6 or 8 the value is money; with 7 or 9 it is a reference, not to be shown as money.
    """
    if barcode[2] not in "6789":
        raise InvalidBoleto("value_identifier")
    if barcode[3] != _collection_digit(barcode[2], barcode[:3] + barcode[4:]):
        raise InvalidBoleto("general_digit")
    blocks = (barcode[at : at + 11] for at in range(0, 44, 11))
    return Boleto(
        kind="collection",
        line="".join(block + _collection_digit(barcode[2], block) for block in blocks),
        barcode=barcode,
        amount=_reais(barcode[4:15]) if barcode[2] in "68" else None,
        due_on=None,
        bank=None,
    )


def _collection_digit(identifier: str, digits: str) -> str:
    return _mod10(digits) if identifier in "67" else _mod11(digits, bad="0")


def _mod10(digits: str) -> str:
    """Weight the digits 2,1,2,1… from the right and add the digits of the products."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    total = doubled + sum(int(digit) for digit in digits[-2::-2])
    return str(-total % 10)


def _mod11(digits: str, *, bad: str) -> str:
    """Weight the digits 2..9 from the right, repeatedly.

    `bad` replaces 10 and 11: "1" in bank slips, "0" in collection slips.
    """
    total = sum(int(digit) * (place % 8 + 2) for place, digit in enumerate(reversed(digits)))
    remainder = 11 - total % 11
    return bad if remainder >= 10 else str(remainder)


def _reais(cents: str) -> Decimal | None:
    """Return the amount; zero cents mean an open amount, as on credit card bills."""
    return Decimal(int(cents)).scaleb(-2) or None


def _cents(amount: Decimal | None) -> int:
    if amount is None:
        return 0
    if not (amount.is_finite() and 0 < amount <= MAX_AMOUNT):
        raise InvalidBoleto("bad_amount")
    cents = amount * 100
    if cents != int(cents):
        raise InvalidBoleto("bad_amount")
    return int(cents)


def _lines_in(groups: list[str]) -> Iterator[str]:
    """Yield the valid boletos among adjacent groups of digits, else the first one of their length."""
    at, found = 0, False
    while at < len(groups):
        valid = [window for window in _windows(groups, at) if _is_valid(window[1])]
        size, line = valid[-1] if valid else (1, "")
        at += size
        if line:
            found = True
            yield line
    if not found:
        yield from _first_of_length(groups)


def _windows(groups: list[str], at: int) -> Iterable[tuple[int, str]]:
    """Yield (number of groups from `at`, their digits) for each length of a boleto."""
    line = ""
    for size, group in enumerate(groups[at : at + 48], start=1):
        line += group
        if len(line) in (44, 46, 47, 48):
            yield size, line


def _first_of_length(groups: list[str]) -> list[str]:
    # Not 44: an invalid barcode is most often the access key of a tax invoice.
    lengths = (line for at in range(len(groups)) for _, line in _windows(groups, at))
    return [line for line in lengths if len(line) in (47, 48)][:1]


def _is_valid(line: str) -> bool:
    try:
        parse_line(line, FACTOR_BASE)
    except InvalidBoleto:
        return False
    return True

"""Pix copy-and-paste codes (BR Code), parsed leniently and made strictly.

A code is a list of fields id(2) length(2) value; some values are such lists themselves (EMV). Field
numbers and limits: Banco Central do Brasil, "Manual do BR Code" and "Manual de Padrões para Iniciação
do Pix". Field 63 is the CRC-16/CCITT-FALSE of everything before it, its own "6304" included.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

PixKind = Literal["static", "dynamic"]

GUI = "br.gov.bcb.pix"
NO_TXID = "***"
REAL = "986"  # ISO 4217
MAX_PAYLOAD = 512
MAX_NAME, MAX_CITY, MAX_KEY = 25, 15, 77
MAX_KEY_AND_DESCRIPTION = 73  # the rest of the 99 characters of field 26
MAX_AMOUNT = Decimal("9999999999.99")  # 13 characters

REASONS: dict[str, str] = {
    "empty": "The Pix code is empty: copy it again.",
    "too_long": "A Pix code has at most 512 characters: copy only the code.",
    "not_pix": "This is not a Pix code: copy the whole code, which starts with 000201.",
    "crc": "The Pix code is incomplete or was changed: copy it again without adding spaces.",
    "structure": "The fields of the Pix code do not fit together: ask for a new code.",
    "currency": "The Pix code is not in reais: ask for a new code.",
    "amount": "The amount of the Pix code is not a number of reais with at most two decimals.",
    "no_key": "The Pix code has neither a key nor a URL: ask for a new code.",
    "bad_key": "A Pix key is a CPF, a CNPJ, a phone with +55, an e-mail or a random key.",
    "bad_name": "The receiver's name must have 1 to 25 letters: shorten it.",
    "bad_city": "The receiver's city must have 1 to 15 letters: shorten it.",
    "bad_txid": "The identifier must be 1 to 25 letters and digits, or ***.",
    "bad_description": "The key and the description have at most 73 characters together: "
    "shorten them.",
}

_AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,2})?")
_TXID = re.compile(r"[A-Za-z0-9]{1,25}|\*{3}")
# Keys as DICT stores them (bacen/pix-dict-api): CPF, CNPJ, phone, e-mail, random.
_KEYS = re.compile(
    r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}|\+[1-9][0-9]{7,14}"
    r"|[a-z0-9.!#$&'*+/=?^_`{|}~-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_RANDOM_KEY = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class InvalidPix(ValueError):
    """Raised for a text that is not, or cannot become, a Pix code; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pix:
    """Contents of a code; `url` and `rec_url` have no https://, `txid` may be "***" (none).

    `amount` is field 54, in reais; show `payable_amount` instead.
    """

    kind: PixKind
    payload: str
    key: str | None
    description: str | None
    url: str | None
    rec_url: str | None
    amount: Decimal | None
    name: str
    city: str
    txid: str | None
    is_single_use: bool

    @property
    def payable_amount(self) -> Decimal | None:
        """Amount to be paid, None if the code does not decide it (a dynamic code's is at its URL)."""
        return self.amount or None if self.kind == "static" else None


def parse_pix(payload: str) -> Pix:
    """Parse a copied code, with white space around it but not inside. Raise InvalidPix."""
    code = payload.strip()
    _check_envelope(code)
    fields = _fields(code)
    if fields.get("53", REAL) != REAL:
        raise InvalidPix("currency")
    account = _pix_template(fields, range(26, 52))
    rec_url = _pix_template(fields, range(80, 100)).get("25")
    key, url = account.get("01"), account.get("25")
    if not (key or url or rec_url):
        raise InvalidPix("no_key")
    return Pix(
        kind="dynamic" if url or not key else "static",
        payload=code,
        key=key,
        description=account.get("02"),
        url=url,
        rec_url=rec_url,
        amount=_read_amount(fields.get("54")),
        name=fields.get("59", ""),
        city=fields.get("60", ""),
        txid=_fields(fields.get("62", "")).get("05"),
        is_single_use=fields.get("01") == "12",
    )


def make_pix(
    key: str,
    name: str,
    city: str,
    amount: Decimal | None = None,
    txid: str = NO_TXID,
    *,
    description: str | None = None,
) -> str:
    """Make a static code; without `amount` (reais) the payer types it. Raise InvalidPix, never cut.

    Name and city become upper-case ASCII, so that their length is the same in characters and bytes.
    """
    if not _TXID.fullmatch(txid):
        raise InvalidPix("bad_txid")
    body = (
        _field("00", "01")
        + _field("26", _account(_checked_key(key), description))
        + _field("52", "0000")
        + _field("53", REAL)
        + (_field("54", _write_amount(amount)) if amount is not None else "")
        + _field("58", "BR")
        + _field("59", _upper_ascii(name, MAX_NAME, "bad_name"))
        + _field("60", _upper_ascii(city, MAX_CITY, "bad_city"))
        + _field("62", _field("05", txid))
        + "6304"
    )
    return body + crc16(body)


def crc16(text: str) -> str:
    """Return CRC-16/CCITT-FALSE of the UTF-8 bytes in upper-case hex ("123456789": 29B1)."""
    # surrogatepass: a broken character in a pasted text must give a wrong CRC, not an exception.
    return f"{binascii.crc_hqx(text.encode('utf-8', 'surrogatepass'), 0xFFFF):04X}"


def _check_envelope(code: str) -> None:
    if not code:
        raise InvalidPix("empty")
    if len(code) > MAX_PAYLOAD:
        raise InvalidPix("too_long")
    if not code.startswith("000201"):
        raise InvalidPix("not_pix")
    if code[-8:-4] != "6304" or crc16(code[:-4]) != code[-4:].upper():
        raise InvalidPix("crc")


def _fields(text: str) -> dict[str, str]:
    """Return id -> value. Lengths count characters, or bytes in codes of some generators."""
    try:
        return _split(text)
    except InvalidPix:
        if text.isascii():
            raise
    by_byte = _split(text.encode("utf-8", "surrogatepass").decode("latin-1"))
    return {
        tag: value.encode("latin-1").decode("utf-8", "replace") for tag, value in by_byte.items()
    }


def _split(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = re.fullmatch(r"([0-9]{2})([0-9]{2})", text[at : at + 4])
        end = at + 4 + int(head[2]) if head else 0
        # We and the bank could read different values of a field that is given twice.
        if not head or end > len(text) or head[1] in fields:
            raise InvalidPix("structure")
        fields[head[1]] = text[at + 4 : end]
        at = end
    return fields


def _pix_template(fields: dict[str, str], tags: range) -> dict[str, str]:
    """Return the fields of the first of these templates that is for Pix."""
    for tag in tags:
        value = fields.get(str(tag), "")
        if value[4:].lower().startswith(GUI):
            return _fields(value)
    return {}


def _read_amount(text: str | None) -> Decimal | None:
    if text is None:
        return None
    if not _AMOUNT.fullmatch(text):
        raise InvalidPix("amount")
    return Decimal(text)


def _write_amount(amount: Decimal) -> str:
    if not (amount.is_finite() and 0 < amount <= MAX_AMOUNT):
        raise InvalidPix("amount")
    if amount != round(amount, 2):
        raise InvalidPix("amount")
    return f"{amount:.2f}"


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}"


def _account(key: str, description: str | None) -> str:
    account = _field("00", GUI) + _field("01", key)
    text = _ascii(description or "")
    if not text:
        return account
    if len(key) + len(text) > MAX_KEY_AND_DESCRIPTION:
        raise InvalidPix("bad_description")
    return account + _field("02", text)


def _checked_key(key: str) -> str:
    """Return the key as DICT stores it: e-mails and random keys in lower case."""
    plain = key.strip()
    if "@" in plain or _RANDOM_KEY.fullmatch(plain):
        plain = plain.lower()
    if len(plain) > MAX_KEY or not _KEYS.fullmatch(plain):
        raise InvalidPix("bad_key")
    return plain


def _upper_ascii(text: str, limit: int, reason: str) -> str:
    plain = _ascii(text.upper()).upper()
    if not 1 <= len(plain) <= limit:
        raise InvalidPix(reason)
    return plain


def _ascii(text: str) -> str:
    """Fold accents, drop other characters without an ASCII form, and collapse white space."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    printable = "".join(c if c.isprintable() else " " for c in folded)
    return " ".join(printable.split())

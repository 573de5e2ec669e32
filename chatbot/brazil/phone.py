"""Phone numbers: parsed from any spelling to E.164, formatted, masked, and matched.

Numbering rules: Anatel's plan (67 DDDs, mobiles 9 + 8 digits, landlines 8 digits that begin with
2-5). WhatsApp ids of accounts older than the ninth digit may still lack it, so one person may have
two spellings: `match_key` makes them equal. The `wa_id` itself is never changed, since Meta expects
it as it sent it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

BRAZIL = "55"
MAX_PHONE_LENGTH = 100  # characters; a longer cell contains something else

_DDDS = (
    "11 12 13 14 15 16 17 18 19 21 22 24 27 28 31 32 33 34 35 37 38 41 42 43 44 45 46 47 48 49 "
    "51 53 54 55 61 62 63 64 65 66 67 68 69 71 73 74 75 77 79 81 82 83 84 85 86 87 88 89 "
    "91 92 93 94 95 96 97 98 99"
)
DDDS = frozenset(_DDDS.split())
# Country codes assigned by the ITU (E.164), so that "+21 98765-4321" is not a foreign number.
_COUNTRY_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 "
    "60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
    "211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 "
    "238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 "
    "262 263 264 265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 "
    "370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 "
    "503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 "
    "677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853 855 856 870 878 880 "
    "881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 "
    "992 993 994 995 996 998"
)
COUNTRY_CODES = frozenset(_COUNTRY_CODES.split())

REASONS: dict[str, str] = {
    "empty": "The phone is empty: enter it with the area code, as in (11) 98765-4321.",
    "letters": "The phone has letters: leave only the number, with the area code.",
    "bad_characters": "The phone has symbols that no phone number has: leave only its digits.",
    "scientific_notation": (
        "The spreadsheet changed the phone into scientific notation and lost digits: format "
        "the column as text, enter the numbers again and export again."
    ),
    "several_numbers": "The cell has more than one phone: leave one.",
    "too_short": "The phone is missing digits: enter the area code and the whole number.",
    "too_long": (
        "The phone has too many digits: a Brazilian number has at most 11 after 55, "
        "and a foreign one is written with + before its country code."
    ),
    "missing_ddd": "The area code (DDD) is missing: put it before the number.",
    "unknown_ddd": "This area code (DDD) does not exist in Brazil: correct it.",
    "bad_mobile": "A nine-digit number is a mobile and starts with 9: correct it.",
    "bad_landline": "An eight-digit number never starts with 0 or 1: correct it.",
    "needs_plus": "Enter a foreign number with + and its country code, without 00.",
    "unknown_country": "No country has this code: write + and the country code, then the number.",
}

_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?e[+-]?\d+", re.IGNORECASE)
_EXCEL_FLOAT = re.compile(r"(\+?\d[\d.]*)[.,]0{1,2}")  # 5511987654321.0, 5.511.987.654.321,00
_EXCEL_TEXT = re.compile(r"=\"(.*)\"|'(.*)")
_CARRIER_PLACEHOLDER = re.compile(r"^([\s(]*(?:\+?55[\s()]*)?0?[\s(]*)(?:xx|\*\*)", re.IGNORECASE)
_BETWEEN_NUMBERS = re.compile(r"[/;,|\n]|\s(?:e|ou)\s", re.IGNORECASE)
_ALLOWED = re.compile(r"[\s(]*\+?[0-9\s().\-/]*")
_SERVICE = re.compile(r"[38]00[0-9]{6,7}")  # 0800 and 0300, which WhatsApp knows as 55800…
_NORTH_AMERICA = re.compile(r"1[2-9][0-9]{2}[2-9][0-9]{6}")
_OLD_OR_NEW_MOBILE = re.compile(r"55([0-9]{2})9?([6-9][0-9]{7})")
_PRINTABLE = re.compile(r"55([0-9]{2})([0-9]{4,5})([0-9]{4})")
_PRINTABLE_SERVICE = re.compile(r"55([38]00)([0-9]{3})([0-9]{3,4})")


class InvalidPhone(ValueError):
    """Raised for a text that is not a phone number; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Phone:
    """One number; `digits` is `e164` without its plus. A foreign number is never `is_mobile`."""

    e164: str
    digits: str
    match_key: str
    is_brazilian: bool
    is_mobile: bool


def parse_phone(text: str, default_country: str = BRAZIL) -> Phone:
    """Parse a number in any usual spelling, without + one of `default_country`. Raise InvalidPhone.

    A Brazilian mobile of eight digits gets its ninth; keep the wa_id for the spelling of Meta.
    """
    cleaned = _clean(text)
    digits = re.sub(r"[^0-9]", "", cleaned)
    if "+" in cleaned:
        return _parse_international(digits)
    if default_country != BRAZIL:
        return _parse_international(default_country + digits.lstrip("0"))
    return _parse_brazilian(_strip_country_code(digits))


def match_key(digits_or_wa_id: str) -> str:
    """Return a key that is equal for all spellings of a number. Never raises.

    Brazilian mobile: 55 + DDD + last 8 digits, with or without the ninth. Everything else: the
    digits themselves (the text itself if it has none). Mobiles 9[0-5]… came after the ninth digit
    and always have it; without their 9 they would equal someone else's landline, so they keep all
    13 digits.
    """
    digits = _only_digits(digits_or_wa_id)
    found = _OLD_OR_NEW_MOBILE.fullmatch(digits)
    if found and found[1] in DDDS:
        return BRAZIL + found[1] + found[2]
    return digits or digits_or_wa_id


def format_phone(digits: str) -> str:
    """Format as "+55 (11) 98765-4321" or "0800 123 4567"; foreign or unknown: + and digits."""
    plain = _only_digits(digits)
    if found := _PRINTABLE_SERVICE.fullmatch(plain):
        return f"0{found[1]} {found[2]} {found[3]}"
    found = _PRINTABLE.fullmatch(plain)
    if found and found[1] in DDDS:
        return f"+55 ({found[1]}) {found[2]}-{found[3]}"
    return f"+{plain}" if plain else digits


def _only_digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", text))


def _clean(text: str) -> str:
    """Return the text with one spelling of digits, dashes and spaces. Raise InvalidPhone."""
    if len(text.strip()) > MAX_PHONE_LENGTH:
        raise InvalidPhone("too_long")
    plain = _normalize(text)
    if not plain:
        raise InvalidPhone("empty")
    if _SCIENTIFIC.fullmatch(plain):
        raise InvalidPhone("scientific_notation")
    if _has_several_numbers(plain):
        raise InvalidPhone("several_numbers")
    if found := _EXCEL_FLOAT.fullmatch(plain):
        plain = found[1]
    plain = _CARRIER_PLACEHOLDER.sub(r"\1", plain)
    if not _ALLOWED.fullmatch(plain):
        has_letters = any(character.isalpha() for character in plain)
        raise InvalidPhone("letters" if has_letters else "bad_characters")
    return plain


def _normalize(text: str) -> str:
    """Fold full-width forms, remove invisible characters, and make every dash a hyphen."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(_REPLACEMENT_BY_CATEGORY.get(unicodedata.category(c), c) for c in text)
    text = text.strip()
    found = _EXCEL_TEXT.fullmatch(text)
    return (found[1] or found[2] or "").strip() if found else text


_REPLACEMENT_BY_CATEGORY = {"Cf": "", "Pd": "-", "Zs": " "}


def _has_several_numbers(text: str) -> bool:
    parts = _BETWEEN_NUMBERS.split(text)
    return text.count("+") > 1 or sum(len(_only_digits(part)) >= 8 for part in parts) > 1


def _strip_country_code(digits: str) -> str:
    """Return the national number. 55 is the country code only if enough digits follow it.

    Else it is the DDD of Santa Maria (RS): 55 99123-4567 has 11 digits, 55 55 99123-4567 has 13.
    """
    if digits.startswith("0055"):
        digits = digits[2:]
    if digits.startswith("00"):
        # A carrier code may follow 00, so the next digits are not certainly a country code.
        raise InvalidPhone("needs_plus")
    return digits[2:] if digits.startswith(BRAZIL) and len(digits) >= 12 else digits


def _parse_international(digits: str) -> Phone:
    if digits.startswith(BRAZIL):
        return _parse_brazilian(digits[2:])
    if len(digits) < 7:
        raise InvalidPhone("too_short")
    if len(digits) > 15:  # the most E.164 allows
        raise InvalidPhone("too_long")
    if not any(digits[:length] in COUNTRY_CODES for length in (1, 2, 3)):
        raise InvalidPhone("unknown_country")
    if digits.startswith("1") and not _NORTH_AMERICA.fullmatch(digits):
        # Most often "+11 98765-4321": a DDD in place of the country code.
        raise InvalidPhone("unknown_country")
    return Phone(f"+{digits}", digits, digits, is_brazilian=False, is_mobile=False)


def _parse_brazilian(dialled: str) -> Phone:
    """Parse the digits after the country code, with or without trunk zero and carrier code."""
    national = _strip_trunk_prefix(dialled)
    if _SERVICE.fullmatch(national):
        return _brazilian_phone(national, is_mobile=False)
    _check_length(national)
    ddd, local = national[:2], national[2:]
    if ddd not in DDDS:
        raise InvalidPhone("unknown_ddd")
    if len(local) == 9 and local[0] != "9":
        raise InvalidPhone("bad_mobile")
    if len(local) == 8 and local[0] in "01":
        raise InvalidPhone("bad_landline")
    if len(local) == 8 and local[0] in "6789":
        local = "9" + local
    return _brazilian_phone(ddd + local, is_mobile=len(local) == 9)


def _strip_trunk_prefix(dialled: str) -> str:
    """Strip 0, or 0 and a carrier code of two digits, before the DDD. 0800 keeps its 800."""
    if not dialled.startswith("0"):
        return dialled
    rest = dialled[1:]
    return rest[2:] if len(rest) in (12, 13) else rest


def _check_length(national: str) -> None:
    length = len(national)
    if length < 8:
        raise InvalidPhone("too_short")
    if length < 10:
        raise InvalidPhone("missing_ddd")
    if length > 11:
        raise InvalidPhone("too_long")


def _brazilian_phone(national: str, *, is_mobile: bool) -> Phone:
    digits = BRAZIL + national
    return Phone(f"+{digits}", digits, match_key(digits), is_brazilian=True, is_mobile=is_mobile)

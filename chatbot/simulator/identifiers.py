"""Phone numbers, WhatsApp ids and message ids."""

import base64
import hashlib
import itertools
import re
import secrets
from functools import lru_cache

from chatbot.simulator.errors import invalid

BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_PUNCTUATION = str.maketrans("", "", "+ -().\u00a0")
_counter = itertools.count(1)
_PROCESS = secrets.token_bytes(6)


@lru_cache(maxsize=65_536)  # called several times for one message
def normalize_number(number: str) -> str:
    """Return the digits with the country code; raise GraphError for anything else.

    A number without `+` and country code gets the code of the business number (Meta: phone
    numbers), which is 55 here.
    """
    digits = number.translate(_PUNCTUATION)
    if not (digits.isascii() and digits.isdigit()) or not 8 <= len(digits) <= 15:
        raise invalid("to", "is not a valid phone number.")
    if len(digits) in (10, 11) and not number.lstrip().startswith("+"):
        return "55" + digits
    return digits


def canonical_wa_id(digits: str, dropped_share: float) -> str:
    """Return the wa_id of a number, without the ninth digit for a share of the area codes from 31.

    Accounts that were registered before Brazil added the ninth digit keep an id without it.
    The number alone decides, so that both spellings, all runs and all processes agree.
    """
    if not digits.startswith("55") or len(digits) not in (12, 13):
        return digits
    area, local = digits[2:4], digits[4:]
    if (len(local) == 9 and local[0] != "9") or (len(local) == 8 and local[0] < "6"):
        return digits
    short = local[-8:]
    if int(area) < 31 or hash_fraction(area + short) >= dropped_share:
        return f"55{area}9{short}"
    return f"55{area}{short}"


def hash_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


def make_user_id(basis: str) -> str:
    """Return the business-scoped user id (BSUID) of a number: `BR.` and 16 digits."""
    return f"BR.{int(hash_fraction('bsuid' + basis) * 10**16):016d}"


def make_wamid(wa_id: str) -> str:
    """Return a new message id like Meta's: base64 of bytes that contain the user's number."""
    unique = next(_counter).to_bytes(5, "big")
    digits = wa_id.encode()
    blob = b"\x1d" + bytes([len(digits)]) + digits + b"\x15\x02\x00\x11\x18\x12" + _PROCESS + unique
    return "wamid." + base64.b64encode(blob + b"\x00").decode()

"""Write the vectors of this folder anew: `python -m tests.data.generate`.

The check digits are computed here, by the public rules and without Prosa's own code, so that the tests
compare two implementations. The utterances are written by hand.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from tests.data.webhook_bodies import make_webhooks

FOLDER = Path(__file__).parent
TODAY = "2026-11-23"

# --- boletos (FEBRABAN) ---


def mod10(digits: str) -> str:
    """Return the check digit with weights 2 and 1 from the right, products reduced to one digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        product = int(digit) * (2 if place % 2 == 0 else 1)
        total += product // 10 + product % 10
    return str((10 - total % 10) % 10)


def mod11_sum(digits: str) -> int:
    """Return the sum with weights 2 to 9 from the right, over and over."""
    return sum(int(digit) * (2 + place % 8) for place, digit in enumerate(reversed(digits)))


def due_factor(due_on: date) -> int:
    """Return the days since 1997-10-07; after 9999 it starts at 1000 again, on 2025-02-22."""
    days = (due_on - date(1997, 10, 7)).days
    return days if days <= 9999 else 1000 + (days - 10_000) % 9000


def bank_slip(bank: str, due_on: str, cents: int, free: str) -> dict[str, Any]:
    rest = f"{due_factor(date.fromisoformat(due_on)):04}{cents:010}{free}"
    digit = 11 - mod11_sum(f"{bank}9{rest}") % 11
    general = str(digit if digit <= 9 else 1)
    first, second, third = f"{bank}9{free[:5]}", free[5:15], free[15:]
    fields = "".join(field + mod10(field) for field in (first, second, third))
    return {
        "line": fields + general + rest[:14],
        "barcode": f"{bank}9{general}{rest}",
        "bank": bank,
        "due_on": due_on,
        "amount": f"{cents / 100:.2f}",
    }


def collection_slip(segment: str, value_id: str, cents: int, rest: str) -> dict[str, Any]:
    def check(digits: str) -> str:
        if value_id in "67":
            return mod10(digits)
        digit = 11 - mod11_sum(digits) % 11
        return str(digit if digit <= 9 else 0)

    start, end = f"8{segment}{value_id}", f"{cents:011}{rest}"
    barcode = start + check(start + end) + end
    blocks = [barcode[at : at + 11] for at in range(0, 44, 11)]
    line = "".join(block + check(block) for block in blocks)
    return {"line": line, "barcode": barcode, "amount": f"{cents / 100:.2f}"}


def change_digit(line: str, at: int) -> str:
    return line[:at] + str((int(line[at]) + 1) % 10) + line[at + 1 :]


def make_boletos() -> dict[str, Any]:
    bank = [
        bank_slip("001", "2026-12-10", 12_990, "0000002714935800000123417"),
        bank_slip("104", "2025-02-21", 1, "6043210001000400009876543"),
        bank_slip("237", "2025-02-22", 8_450_075, "1902090000123456700654320"),
        bank_slip("341", "2029-03-01", 99_999_999_99, "1090012345671234567890000"),
        bank_slip("756", "2024-07-31", 24_900, "1300101234500001234567001"),
        bank_slip("748", "2027-01-05", 4_567, "1120000321098765432101019"),
        bank_slip("033", "2026-02-28", 100_000, "9876543210000001234500101"),
    ]
    collection = [
        collection_slip("2", "6", 8_731, "00012345678901234567890123456"),
        collection_slip("3", "8", 23_405, "00481516234200000000000000108"),
        collection_slip("4", "6", 11_990, "01020304050607080910111213141"),
        collection_slip("5", "8", 150_000, "20261231000000000000000009999"),
    ]
    good, bill = bank[0]["line"], collection[0]["line"]
    invalid = [good[:-1], good + "00", "12345", change_digit(good, 9), change_digit(good, 20),
               change_digit(good, 32), change_digit(good, 46), change_digit(bill, 11),
               change_digit(bill, 40), "9" + bill[1:]]  # fmt: skip
    return {"today": TODAY, "bank": bank, "collection": collection, "invalid": invalid}


# --- CPF and CNPJ (Receita Federal) ---


def cpf(base: str) -> str:
    for first in (10, 11):
        remainder = sum(int(d) * (first - place) for place, d in enumerate(base)) * 10 % 11
        base += str(remainder % 10)
    return base


def cnpj(base: str) -> str:
    """Return twelve places with their two check digits; a letter counts as its ASCII code less 48."""
    for _ in range(2):
        values = [ord(c) - 48 for c in reversed(base)]
        remainder = sum(v * (2 + place % 8) for place, v in enumerate(values)) % 11
        base += str(0 if remainder < 2 else 11 - remainder)
    return base


def make_documents() -> dict[str, Any]:
    person, company, letters = cpf("407183926"), cnpj("308172640001"), cnpj("7K2M9XQ40001")
    dotted = f"{person[:3]}.{person[3:6]}.{person[6:9]}-{person[9:]}"
    printed = f"{company[:2]}.{company[2:5]}.{company[5:8]}/{company[8:12]}-{company[12:]}"
    return {
        "cpf_valid": [person, dotted, cpf("012345679"), cpf("900000003")],
        "cpf_invalid": [change_digit(person, 10), change_digit(person, 3), "222.222.222-22",
                        person[:-1], dotted.replace(".", "=")],
        "cnpj_valid": [company, printed, letters, letters.lower(), cnpj("004151230002")],
        "cnpj_invalid": [change_digit(company, 13), "22.222.222/2222-22", letters[:-1] + "A",
                         company + "0", letters[:10] + "É" + letters[11:]],
    }  # fmt: skip


# --- Pix (BR Code of the Central Bank, after EMV QR codes) ---


def crc16(text: str) -> str:
    """Return CRC-16/CCITT-FALSE of the text in four hexadecimal digits."""
    register = 0xFFFF
    for byte in text.encode():
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1) ^ (0x1021 if register & 0x8000 else 0)
            register &= 0xFFFF
    return f"{register:04X}"


def tlv(**fields: str | None) -> str:
    """Return the given fields, `t26="..."` for tag 26."""
    return "".join(
        f"{tag[1:]}{len(value):02}{value}" for tag, value in fields.items() if value is not None
    )


def pix_code(
    name: str, city: str, txid: str, *, key: str | None = None, url: str | None = None,
    rec_url: str | None = None, description: str | None = None, amount: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    gui = "br.gov.bcb.pix"
    body = tlv(
        t00="01",
        t01="12" if url else None,
        t26=tlv(t00=gui, t01=key, t02=description, t25=url),
        t52="0000",
        t53="986",
        t54=amount,
        t58="BR",
        t59=name,
        t60=city,
        t62=tlv(t05=txid),
        t80=tlv(t00=gui, t25=rec_url) if rec_url else None,
    )
    body += "6304"
    parsed = {"type": "dynamic" if url else "static", "key": key, "desc": description, "url": url,
              "rec_url": rec_url, "amount": amount, "name": name, "city": city, "txid": txid}  # fmt: skip
    return {"payload": body + crc16(body), "parsed": parsed}


def make_pix_codes() -> dict[str, Any]:
    valid = [
        pix_code("PADARIA DO SOL", "RECIFE", "***", key="caixa@padaria.example"),
        pix_code("Escola Vento Sul", "FLORIANOPOLIS", "MENSALIDADE202612",
                 key="7d9f0335-8dcc-4054-9bf9-0dbd61d36906", amount="845.00"),
        pix_code("ANA LIMA", "MANAUS", "***", key="+5592981234567", amount="0.01"),
        pix_code("ANA LIMA", "MANAUS", "PEDIDO7", key=cpf("407183926"), description="Bolo de milho"),
        pix_code("PROVEDOR NORTE", "BELEM", "***", url="pix.norte.example/qr/v2/5f0c1d7e2b"),
        pix_code("PROVEDOR NORTE", "BELEM", "FATURA99", amount="129.90",
                 url="pix.norte.example/qr/v2/cobv/0a1b2c3d4e"),
        pix_code("ACADEMIA FORTE", "CURITIBA", "***", url="pix.forte.example/qr/v2/9e8d7c6b5a",
                 rec_url="pix.forte.example/qr/v2/rec/1122334455"),
    ]  # fmt: skip
    good = valid[1]["payload"]
    digit = "0" if good[-1] != "0" else "1"
    broken = [good[:-1] + digit, good[:-6], good.replace("845.00", "845.01"),
              good.replace("br.gov", "br. gov"), good[:40]]  # fmt: skip
    return {"valid": valid, "broken": [{"payload": payload} for payload in broken]}


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name, content in (
        ("boleto", make_boletos()),
        ("documents", make_documents()),
        ("pix", make_pix_codes()),
        *((f"webhooks/{name}", content) for name, content in make_webhooks().items()),
    ):
        write(FOLDER / f"{name}.json", content)

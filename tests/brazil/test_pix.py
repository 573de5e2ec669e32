import json
import random
import string
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.brazil.pix import REASONS, InvalidPix, crc16, make_pix, parse_pix

VECTORS = Path(__file__).parents[1] / "data/pix.json"

STATIC = (
    "00020126380014BR.GOV.BCB.PIX0116test@mail.com.br5204000053039865406100.995802BR"
    "5913FULANO DE TAL6009SAO PAULO62070503***63049359"
)
RECURRING = (
    "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd441"
    "5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix."
    "example.com/qr/v2/rec/94ed2badcbc04c15b0bb7fa35319489063047741"
)
DYNAMIC_WITH_AMOUNT = (
    "00020101021226720014br.gov.bcb.pix2550bx.com.br/pix/8b3da2f3-9a41-40d1-a91a-bd93113bd441"
    "5204000053039865406123.455802BR5913Fulano de Tal6008BRASILIA62190515RP12345678-201963044"
    "5C8"
)
CRC_WITH_LEADING_ZERO = (
    "00020126740014br.gov.bcb.pix2552payload.psp.com/3ec9d2f9-5f03-4e0e-820d-63a81e769e87"
    "5204000053039865802BR5912BARBARA PELE6015SAO MIGUEL DO O62070503***63040433"
)


def _field(tag: str, value: str, length: int | None = None) -> str:
    return f"{tag}{len(value) if length is None else length:02}{value}"


def _code(*fields: str, account: str | None = None) -> str:
    """Return a code of these fields with a right CRC."""
    account = (
        _field("00", "br.gov.bcb.pix") + _field("01", "a@b.br") if account is None else account
    )
    body = "000201" + _field("26", account) + "".join(fields) + "6304"
    return body + crc16(body)


def test_a_static_code_is_read() -> None:
    pix = parse_pix(f" {STATIC}\n")

    assert (pix.kind, pix.payload, pix.key) == ("static", STATIC, "test@mail.com.br")
    assert (pix.name, pix.city, pix.txid) == ("FULANO DE TAL", "SAO PAULO", "***")
    assert (pix.url, pix.rec_url, pix.description) == (None, None, None)
    assert pix.amount == pix.payable_amount == Decimal("100.99")
    assert not pix.is_single_use


def test_a_recurring_code_has_both_addresses() -> None:
    pix = parse_pix(RECURRING)

    assert (pix.kind, pix.key, pix.is_single_use) == ("dynamic", None, True)
    assert pix.url == "pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd441"
    assert pix.rec_url == "pix.example.com/qr/v2/rec/94ed2badcbc04c15b0bb7fa353194890"


def test_a_dynamic_codes_own_amount_is_not_the_payable_amount() -> None:
    pix = parse_pix(DYNAMIC_WITH_AMOUNT)

    assert pix.amount == Decimal("123.45")
    assert pix.payable_amount is None
    assert pix.txid == "RP12345678-2019"


def test_a_crc_with_a_leading_zero_is_read() -> None:
    assert parse_pix(CRC_WITH_LEADING_ZERO).city == "SAO MIGUEL DO O"


def test_a_crc_in_lower_case_is_read() -> None:
    code = _code(_field("59", "ANA"))
    assert code[-4:] != code[-4:].lower()

    assert parse_pix(code[:-4] + code[-4:].lower()).name == "ANA"


def test_the_crc_has_the_check_value_of_its_standard() -> None:
    assert crc16("123456789") == "29B1"


@pytest.mark.parametrize("by_bytes", [True, False])
def test_accents_are_read_whether_lengths_count_letters_or_bytes(by_bytes: bool) -> None:
    name = "JOSÉ CONCEIÇÃO"
    length = len(name.encode()) if by_bytes else None

    assert parse_pix(_code(_field("59", name, length), _field("60", "BELEM"))).name == name


def test_another_arrangement_in_the_code_does_not_hide_pix() -> None:
    account = _field("00", "BR.GOV.BCB.PIX") + _field("01", "a@b.br")
    body = "000201" + _field("26", _field("00", "br.com.other")) + _field("27", account) + "6304"

    assert parse_pix(body + crc16(body)).key == "a@b.br"


def test_optional_fields_may_be_missing() -> None:
    pix = parse_pix(_code())

    assert (pix.name, pix.city, pix.txid, pix.amount) == ("", "", None, None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("oi", "not_pix"),
        ("https://pix.example.com", "not_pix"),
        ("0" * 513, "too_long"),
        (STATIC.replace("test@mail", "test@mai l"), "crc"),
        (STATIC.replace("5303986", "53039\n86"), "crc"),
        (STATIC.replace("100.99", "200.99"), "crc"),
        (STATIC[:-10], "crc"),
        (STATIC + STATIC[-8:], "crc"),
        (STATIC.replace("FULANO", "FULAN\udcc3"), "crc"),
        (_code(_field("59", "ANA", 99)), "structure"),
        (_code("5X03ANA"), "structure"),
        (_code(_field("54", "1.00"), _field("54", "9.00")), "structure"),
        (_code(_field("53", "840")), "currency"),
        (_code(_field("54", "1,50")), "amount"),
        (_code(_field("54", "-1")), "amount"),
        (_code(account=_field("00", "br.com.other") + _field("01", "a@b.br")), "no_key"),
        (_code(account=_field("00", "br.gov.bcb.pix")), "no_key"),
    ],
)
def test_an_invalid_pix_code_is_refused_with_its_reason(payload: str, reason: str) -> None:
    with pytest.raises(InvalidPix) as refusal:
        parse_pix(payload)

    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_any_changed_character_is_noticed() -> None:
    for place, character in enumerate(STATIC[:-4]):
        changed = STATIC[:place] + ("0" if character != "0" else "1") + STATIC[place + 1 :]
        with pytest.raises(InvalidPix):
            parse_pix(changed)


def test_a_made_code_is_written_field_by_field() -> None:
    code = make_pix("test@mail.com.br", "Fulano de Tal", "São Paulo", Decimal("100.99"))

    assert code[:-4] == STATIC[:-4].replace("BR.GOV.BCB.PIX", "br.gov.bcb.pix")


def test_names_become_upper_case_ascii_and_keys_lower_case() -> None:
    pix = parse_pix(make_pix("ANA@Loja.com.br", " Açaí  da\tJosé ", "Maceió", description="Maçã"))

    assert (pix.name, pix.city) == ("ACAI DA JOSE", "MACEIO")
    assert (pix.key, pix.description) == ("ana@loja.com.br", "Maca")


def test_a_made_code_can_be_parsed_again() -> None:
    rng = random.Random(63)
    crcs = []
    for _ in range(2000):
        amount = Decimal(rng.randrange(1, 10**12)) / 100
        txid = "".join(rng.choices(string.ascii_letters + string.digits, k=25))
        code = make_pix("+5511987654321", "LOJA", "RECIFE", amount, txid, description="conta 1")
        pix = parse_pix(code)
        assert (pix.key, pix.name, pix.city) == ("+5511987654321", "LOJA", "RECIFE")
        assert (pix.amount, pix.txid, pix.description) == (amount, txid, "conta 1")
        crcs.append(code[-4:])
    assert any(crc.startswith("0") for crc in crcs)


@pytest.mark.parametrize(
    "key",
    [
        "52998224725",
        "12ABC34501DE35",
        "+5511987654321",
        "a" * 65 + "@loja.com.br",
        "39a1178e-db6b-4407-bc7b-b674390acf5f",
    ],
)
def test_each_kind_of_key_is_written_without_a_description(key: str) -> None:
    assert parse_pix(make_pix(key, "LOJA", "RECIFE")).key == key


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": ""}, "bad_key"),
        ({"key": "11 98765-4321"}, "bad_key"),
        ({"key": "a" * 66 + "@loja.com.br"}, "bad_key"),
        ({"key": "josé@loja.com.br"}, "bad_key"),
        ({"name": ""}, "bad_name"),
        ({"name": "漢字"}, "bad_name"),
        ({"name": "A" * 26}, "bad_name"),
        ({"city": "SAO MIGUEL DO OESTE"}, "bad_city"),
        ({"amount": Decimal("0")}, "amount"),
        ({"amount": Decimal("-1")}, "amount"),
        ({"amount": Decimal("1.005")}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": Decimal("10000000000")}, "amount"),
        ({"txid": ""}, "bad_txid"),
        ({"txid": "pedido-1"}, "bad_txid"),
        ({"txid": "A" * 26}, "bad_txid"),
        ({"description": "x" * 63}, "bad_description"),
    ],
)
def test_no_code_is_made_from_invalid_values(changes: dict[str, object], reason: str) -> None:
    fields = {"key": "52998224725", "name": "LOJA", "city": "RECIFE", **changes}
    with pytest.raises(InvalidPix) as refusal:
        make_pix(**fields)  # type: ignore[arg-type]

    assert refusal.value.reason == reason


def test_the_longest_description_fits() -> None:
    assert parse_pix(make_pix("52998224725", "LOJA", "RECIFE", description="x" * 62)).description


def test_computed_vectors_are_parsed_as_expected() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for case in vectors["valid"]:
        pix, says = parse_pix(case["payload"]), case["parsed"]
        amount = None if says["amount"] is None else Decimal(says["amount"])
        assert (pix.kind, pix.key, pix.amount) == (says["type"], says["key"], amount)
        assert (pix.description, pix.txid) == (says["desc"], says["txid"])
        assert (pix.url, pix.rec_url) == (says["url"], says["rec_url"])
        assert (pix.name, pix.city) == (says["name"], says["city"])
    for case in vectors["broken"]:
        with pytest.raises(InvalidPix):
            parse_pix(case["payload"])


@settings(database=None, max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text("0123456789BR.", max_size=60))
def test_any_text_with_a_right_crc_is_parsed_or_refused(text: str) -> None:
    body = f"000201{text}6304"
    # An unknown reason (KeyError) or any other exception fails the test.
    with suppress(InvalidPix):
        assert parse_pix(body + crc16(body)).kind in ("static", "dynamic")

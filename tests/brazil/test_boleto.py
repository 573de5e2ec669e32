import json
import random
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.brazil.boleto import (
    REASONS,
    InvalidBoleto,
    decode_factor,
    encode_factor,
    find_lines,
    format_line,
    make_line,
    parse_barcode,
    parse_line,
)

VECTORS = Path(__file__).parents[1] / "data/boleto.json"
TODAY = date(2026, 11, 23)

CAIXA = "10492006506100010004200997263900989810000021403"
SAFRA = "42297004080000278247226173001129610010000018084"
WATER = "836200000005667800481000180975657313001589636081"
TAX = "858200000007572503282030560708202107539591904460"
# The 44 digits of a tax invoice's access key: the length of a barcode, but not a boleto.
ACCESS_KEY = "35260414200166000187550010000000461998204567"

BANK_LINES = [
    (CAIXA, "2022-05-10", "214.03"),
    ("07790001161206444990808159365561790020000015130", "2022-05-31", "151.30"),
    ("34195000080123320318964221470004584410000002000", "2020-11-16", "20.00"),
    ("00190000090123456700447850002115992120000035000", "2022-12-27", "350.00"),
    ("23791234052000000001625012345606989120002538772", "2022-03-02", "25387.72"),
    ("70790001182119344360908458010603899320000014150", "2024-12-16", "141.50"),
    ("70790001182119344360908458010785299630000271112", "2025-01-16", "2711.12"),
    ("70790001182119344360908458010868410420000064539", "2025-04-05", "645.39"),
    (SAFRA, "2025-02-23", "180.84"),
    ("34191090080101527124880212460002425480000675787", "2029-05-20", "6757.87"),
]


@pytest.mark.parametrize(("line", "due_on", "amount"), BANK_LINES)
def test_bank_lines_of_public_suites_are_read(line: str, due_on: str, amount: str) -> None:
    boleto = parse_line(format_line(line), TODAY)

    assert (boleto.kind, boleto.line, boleto.bank) == ("bank", line, line[:3])
    assert boleto.due_on == date.fromisoformat(due_on)
    assert boleto.amount == Decimal(amount)
    assert parse_barcode(boleto.barcode, TODAY) == boleto


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (WATER, "66.78"),
        (TAX, "57.25"),
        ("846300000003299902962024004101360008002006441147", "29.99"),
        ("838600000050096000190009000801782309000343062712", "509.60"),
    ],
)
def test_collection_lines_are_read_and_have_no_due_date(line: str, amount: str) -> None:
    boleto = parse_line(format_line(line), TODAY)

    assert (boleto.kind, boleto.line, boleto.amount) == ("collection", line, Decimal(amount))
    assert boleto.due_on is None
    assert boleto.bank is None
    assert parse_barcode(boleto.barcode, TODAY) == boleto
    assert parse_line(boleto.barcode, TODAY) == boleto


def test_a_reference_value_is_not_shown_as_money() -> None:
    with_mod10, with_mod11 = "8370" + "1" * 40, "8390" + "1" * 40
    for barcode in (with_mod10, with_mod11):
        found = [b for d in "0123456789" if (b := _read(barcode[:3] + d + barcode[4:]))]
        assert [boleto.amount for boleto in found] == [None]


def _read(barcode: str):
    try:
        return parse_barcode(barcode, TODAY)
    except InvalidBoleto:
        return None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" . - \n", "empty"),
        ("boleto " + CAIXA, "bad_characters"),
        ("١" * 47, "bad_characters"),
        ("1234", "wrong_length"),
        (CAIXA[:-4], "wrong_length"),
        (CAIXA[:-1], "wrong_length"),
        (CAIXA + "00", "wrong_length"),
        (WATER[:-1], "wrong_length"),
        ("5" + WATER[1:], "not_collection"),
        (WATER[:2] + "2" + WATER[3:], "value_identifier"),
        (WATER[:-1] + "2", "field_digit"),
        (WATER[:20] + str((int(WATER[20]) + 1) % 10) + WATER[21:], "general_digit"),
        (CAIXA[:3] + "8" + CAIXA[4:], "currency"),
        (CAIXA[:9] + str((int(CAIXA[9]) + 1) % 10) + CAIXA[10:], "field_digit"),
        (CAIXA[:-1] + "4", "general_digit"),
        (CAIXA[:-3] + "430", "general_digit"),
    ],
)
def test_an_invalid_boleto_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidBoleto) as refusal:
        parse_line(text, TODAY)

    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_any_changed_digit_of_a_line_is_noticed() -> None:
    for line in (CAIXA, WATER, TAX):
        for place, digit in enumerate(line):
            changed = line[:place] + str((int(digit) + 1) % 10) + line[place + 1 :]
            with pytest.raises(InvalidBoleto):
                parse_line(changed, TODAY)


def test_a_barcode_is_44_digits() -> None:
    with pytest.raises(InvalidBoleto) as refusal:
        parse_barcode(CAIXA, TODAY)

    assert refusal.value.reason == "wrong_length"


def test_every_day_of_both_cycles_survives_a_round_trip_through_a_line() -> None:
    rng = random.Random(1997)
    day, last = date(2000, 7, 3), date(2049, 10, 13)
    while day <= last:
        cents = rng.randrange(1, 10**10)
        free = f"{rng.randrange(10**25):025}"
        line = make_line("341", free, day, Decimal(cents) / 100)
        boleto = parse_line(line, today=day)
        assert (boleto.due_on, boleto.amount) == (day, Decimal(cents) / 100)
        assert boleto.barcode[19:] == free
        day += timedelta(days=1)


def test_every_payable_day_is_decoded_today() -> None:
    for offset in range(-3000, 5501):
        day = TODAY + timedelta(days=offset)
        assert decode_factor(encode_factor(day), TODAY) == day


@pytest.mark.parametrize(
    ("day", "factor"),
    [
        ("2000-07-03", 1000),
        ("2025-02-21", 9999),
        ("2025-02-22", 1000),
        ("2025-02-23", 1001),
        ("2049-10-13", 9999),
        ("2049-10-14", 1000),
    ],
)
def test_the_factor_restarts_after_9999(day: str, factor: int) -> None:
    assert encode_factor(date.fromisoformat(day)) == factor


def test_a_factor_is_decoded_in_the_cycle_of_the_payment() -> None:
    assert decode_factor(1001, date(2000, 6, 1)) == date(2000, 7, 4)
    assert decode_factor(1001, TODAY) == date(2025, 2, 23)
    assert decode_factor(1001, date(2049, 1, 1)) == date(2049, 10, 15)


def test_a_factor_outside_the_window_means_the_date_nearest_to_today() -> None:
    assert decode_factor(7552, TODAY) == date(2018, 6, 11)
    assert decode_factor(5000, date(1999, 1, 1)) == date(2011, 6, 16)


def test_an_open_card_slip_has_neither_amount_nor_due_date() -> None:
    line = make_line("237", "1" * 25, None, None)
    boleto = parse_line(line, TODAY)

    assert boleto.amount is None
    assert boleto.due_on is None


def test_a_card_slip_copied_without_its_last_zero_is_completed() -> None:
    line = make_line("237", "1" * 25, None, None)

    assert parse_line(line[:46], TODAY).line == line


@pytest.mark.parametrize(
    ("bank", "free", "due_on", "amount", "reason"),
    [
        ("34", "1" * 25, None, None, "bad_bank"),
        ("841", "1" * 25, None, None, "bad_bank"),
        ("341", "1" * 24, None, None, "bad_free_field"),
        ("341", "1" * 25, date(2000, 7, 2), None, "bad_due_date"),
        ("341", "1" * 25, None, Decimal("0.001"), "bad_amount"),
        ("341", "1" * 25, None, Decimal("0"), "bad_amount"),
        ("341", "1" * 25, None, Decimal("NaN"), "bad_amount"),
        ("341", "1" * 25, None, Decimal("100000000"), "bad_amount"),
    ],
)
def test_no_line_is_made_from_invalid_values(
    bank: str, free: str, due_on: date | None, amount: Decimal | None, reason: str
) -> None:
    with pytest.raises(InvalidBoleto) as refusal:
        make_line(bank, free, due_on, amount)

    assert refusal.value.reason == reason


def test_lines_are_formatted_as_on_paper() -> None:
    assert format_line(CAIXA) == "10492.00650 61000.100042 00997.263900 9 89810000021403"
    assert format_line(WATER) == "83620000000-5 66780048100-0 18097565731-3 00158963608-1"
    assert format_line("123") == "123"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (CAIXA, [CAIXA]),
        (f"segue o boleto: {format_line(CAIXA)} obrigado!", [CAIXA]),
        (f"1) {format_line(CAIXA)}\n2) {format_line(WATER)}", [CAIXA, WATER]),
        (f"vence 10/05/2022 {format_line(CAIXA)} R$ 214,03", [CAIXA]),
        (f"*{format_line(CAIXA)}*", [CAIXA]),
        ("10492.00650 61000.100042\n00997.263900 9\n 89810000021403", [CAIXA]),
        (f"parcela 3 {CAIXA} 5", [CAIXA]),
        (f"{WATER} {CAIXA}\n{WATER}", [WATER, CAIXA]),
        ("\u200b" + format_line(TAX).replace(" ", "\u00a0"), [TAX]),
        ("meu cpf é 529.982.247-25 e o fone (11) 98765-4321", []),
        (ACCESS_KEY, []),
        ("", []),
    ],
)
def test_lines_are_found_in_pasted_text(text: str, lines: list[str]) -> None:
    assert find_lines(text) == lines


def test_a_mistyped_line_is_found_so_that_the_person_can_be_told() -> None:
    mistyped = CAIXA[:-1] + "4"

    assert find_lines(f"paga esse: {format_line(mistyped)} ok?") == [mistyped]


def test_a_long_message_of_digits_is_searched_quickly() -> None:
    assert find_lines("7 " * 30) == []
    assert len(find_lines("12 " * 2000)) <= 1


def test_computed_vectors_are_parsed_as_expected() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    today = date.fromisoformat(vectors["today"])
    for case in vectors["bank"]:
        boleto = parse_line(case["line"], today)
        assert (boleto.barcode, boleto.bank) == (case["barcode"], case["bank"])
        assert str(boleto.due_on) == case["due_on"]
        assert boleto.amount == Decimal(case["amount"])
    for case in vectors["collection"]:
        boleto = parse_line(case["line"], today)
        assert (boleto.barcode, boleto.amount) == (case["barcode"], Decimal(case["amount"]))
    for line in vectors["invalid"]:
        with pytest.raises(InvalidBoleto):
            parse_line(line, today)


@settings(database=None, max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("0123456789. -", min_size=40, max_size=60))
def test_any_text_is_parsed_as_a_boleto_or_refused(text: str) -> None:
    assert all(len(line) in (44, 46, 47, 48) for line in find_lines(text))
    # An unknown reason (KeyError) or any other exception fails the test.
    with suppress(InvalidBoleto):
        parse_line(text, TODAY)

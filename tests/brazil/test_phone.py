import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.brazil.phone import (
    DDDS,
    REASONS,
    InvalidPhone,
    format_phone,
    match_key,
    parse_phone,
)

MOBILE = "+5511987654321"

SPELLINGS_OF_ONE_MOBILE = [
    "(11) 98765-4321",
    "11 98765 4321",
    "11987654321",
    "011 98765 4321",
    "0xx11 98765-4321",
    "(0XX11)98765-4321",
    "0 xx (11) 9 8765-4321",
    "0**11 98765.4321",
    "+55 11 9876-54321",
    "+55 (0xx11) 98765-4321",
    "+55 (011) 98765-4321",
    "(+55) (11) 98765-4321",
    "+55 0 15 11 98765-4321",
    "55 11 8765-4321",
    "(11) 8765-4321",
    "5511987654321",
    "551187654321",
    "0 15 11 98765-4321",
    "0211198765-4321",
    "055 11 98765-4321",
    "0055 11 98765 4321",
    "５５１１９８７６５４３２１",
    "＋５５（１１）９８７６５－４３２１",
    "5511987654321.0",
    "5511987654321,00",
    "5.511.987.654.321",
    '="5511987654321"',
    "'11987654321",
    "\u202a+55 11 98765\u20114321\u202c",
    "\ufeff+55\u00a011\u00a098765–4321\n",
]


@pytest.mark.parametrize("text", SPELLINGS_OF_ONE_MOBILE)
def test_every_spelling_of_a_mobile_is_the_same_number(text: str) -> None:
    phone = parse_phone(text)

    assert phone.e164 == MOBILE
    assert phone.digits == "5511987654321"
    assert phone.match_key == "551187654321"
    assert phone.is_brazilian
    assert phone.is_mobile


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("(11) 3456-7890", "+551134567890"),
        ("0 xx 21 2345 6789", "+552123456789"),
        ("01511 3456-7890", "+551134567890"),
        ("+55 85 3221-1234", "+558532211234"),
        ("11.3456.0000", "+551134560000"),
        ("0800 123 4567", "+558001234567"),
        ("+55 0800 123 4567", "+558001234567"),
        ("55 800 1234567", "+558001234567"),
        ("0800 123456", "+55800123456"),
        ("0300 123 4567", "+553001234567"),
    ],
)
def test_landlines_and_service_numbers_get_no_nine(text: str, e164: str) -> None:
    phone = parse_phone(text)

    assert phone.e164 == e164
    assert phone.match_key == e164[1:]
    assert phone.is_brazilian
    assert not phone.is_mobile


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("55 99123-4567", "+5555991234567"),
        ("(55) 9123-4567", "+5555991234567"),
        ("055 99123-4567", "+5555991234567"),
        ("55 3221-1234", "+555532211234"),
        ("55 55 99123-4567", "+5555991234567"),
        ("555591234567", "+5555991234567"),
        ("+55 55 3221-1234", "+555532211234"),
        ("55 11 3456-7890", "+551134567890"),
    ],
)
def test_55_is_a_ddd_or_the_country_by_the_number_of_digits(text: str, e164: str) -> None:
    assert parse_phone(text).e164 == e164


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("+1 (415) 555-2671", "+14155552671"),
        ("+351 912 345 678", "+351912345678"),
        ("+54 9 11 2345-6789", "+5491123456789"),
        ("+595 981 123456", "+595981123456"),
    ],
)
def test_foreign_numbers_need_plus_and_keep_their_digits(text: str, e164: str) -> None:
    phone = parse_phone(text)

    assert (phone.e164, phone.match_key) == (e164, e164[1:])
    assert not phone.is_brazilian


def test_another_default_country_reads_numbers_without_plus() -> None:
    assert parse_phone("912 345 678", default_country="351").e164 == "+351912345678"
    assert parse_phone("+55 11 98765-4321", default_country="351").e164 == MOBILE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \u200b\t", "empty"),
        ('=""', "empty"),
        ("abc", "letters"),
        ("11 98765-4321 ramal 12", "letters"),
        ("11 98765#4321", "bad_characters"),
        ("11+98765-4321", "bad_characters"),
        ("٥٥١١٩٨٧٦٥٤٣٢١", "bad_characters"),
        ("5,51199E+12", "scientific_notation"),
        ("5.51199e+12", "scientific_notation"),
        ("11 98765-4321 / 11 3456-7890", "several_numbers"),
        ("11987654321;11987654322", "several_numbers"),
        ("11 98765-4321 ou 11 3456-7890", "several_numbers"),
        ("+", "too_short"),
        ("190", "too_short"),
        ("+1 23", "too_short"),
        ("55119876543210", "too_long"),
        ("351912345678", "too_long"),
        ("+1234567890123456", "too_long"),
        ("1" * 100_000, "too_long"),
        ("98765-4321", "missing_ddd"),
        ("4004-1234", "missing_ddd"),
        ("+55 98765-4321", "missing_ddd"),
        ("20 98765-4321", "unknown_ddd"),
        ("00000000000", "needs_plus"),
        ("11 88765-4321", "bad_mobile"),
        ("11 1234-5678", "bad_landline"),
        ("001 415 555 2671", "needs_plus"),
        ("+11 98765-4321", "unknown_country"),
        ("+21 98765-4321", "unknown_country"),
        ("+0 11 98765-4321", "unknown_country"),
    ],
)
def test_an_invalid_phone_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidPhone) as refusal:
        parse_phone(text)

    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_there_are_67_ddds() -> None:
    assert len(DDDS) == 67


def test_the_key_of_a_mobile_is_the_same_with_and_without_nine_in_every_ddd() -> None:
    rng = random.Random(55)
    for ddd in sorted(DDDS):
        last = f"{rng.choice('6789')}{rng.randrange(10**7):07}"
        assert match_key(f"55{ddd}9{last}") == match_key(f"55{ddd}{last}") == f"55{ddd}{last}"


def test_the_key_never_merges_a_mobile_with_a_landline() -> None:
    rng = random.Random(56)
    for ddd in sorted(DDDS):
        landline = f"{rng.choice('2345')}{rng.randrange(10**7):07}"
        assert match_key(f"55{ddd}{landline}") == f"55{ddd}{landline}"
        assert match_key(f"55{ddd}9{landline}") == f"55{ddd}9{landline}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("5511987654321@c.us", "551187654321"),
        ("+55 (82) 99988-7766", "558299887766"),
        ("5520987654321", "5520987654321"),
        ("14155552671", "14155552671"),
        ("558001234567", "558001234567"),
        ("", ""),
        ("BR.abc", "BR.abc"),
        ("\udc80\x00", "\udc80\x00"),
    ],
)
def test_the_key_of_anything_else_is_its_digits_or_itself(text: str, key: str) -> None:
    assert match_key(text) == key


@pytest.mark.parametrize(
    ("digits", "shown"),
    [
        ("5511987654321", "+55 (11) 98765-4321"),
        ("551187654321", "+55 (11) 8765-4321"),
        ("+551134567890", "+55 (11) 3456-7890"),
        ("558001234567", "0800 123 4567"),
        ("14155552671", "+14155552671"),
        ("5520987654321", "+5520987654321"),
        ("12345", "+12345"),
        ("", ""),
    ],
)
def test_numbers_are_formatted(digits: str, shown: str) -> None:
    assert format_phone(digits) == shown


def test_a_formatted_number_can_be_parsed_again() -> None:
    rng = random.Random(57)
    for ddd in sorted(DDDS):
        for local in (f"9{rng.randrange(10**8):08}", f"3{rng.randrange(10**7):07}"):
            phone = parse_phone(f"{ddd}{local}")
            assert parse_phone(format_phone(phone.digits)) == phone


@settings(database=None, max_examples=500, deadline=None)
@given(st.text(max_size=40) | st.text("0123456789+()- x5", max_size=20))
def test_any_text_is_parsed_as_a_number_or_refused(text: str) -> None:
    match_key(text), format_phone(text)
    # An unknown reason (KeyError) or any other exception fails the test.
    phone = None
    with suppress(InvalidPhone):
        phone = parse_phone(text)
    assert phone is None or parse_phone(phone.e164) == phone

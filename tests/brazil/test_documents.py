import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.brazil.documents import (
    REASONS,
    InvalidDocument,
    format_document,
    mask_document,
    parse_document,
)

VECTORS = Path(__file__).parents[1] / "data/documents.json"


@pytest.mark.parametrize(
    ("text", "kind", "digits"),
    [
        ("390.533.447-05", "cpf", "39053344705"),
        ("52998224725", "cpf", "52998224725"),
        (" 529 982 247 25\u00a0", "cpf", "52998224725"),
        ("\ufeff529.982.247-25", "cpf", "52998224725"),
        ("52998224725.0", "cpf", "52998224725"),
        ("16.727.230/0001-97", "cnpj", "16727230000197"),
        ("74600269000145", "cnpj", "74600269000145"),
        ("12.ABC.345/01DE-35", "cnpj", "12ABC34501DE35"),
        ("12abc34501de35", "cnpj", "12ABC34501DE35"),
    ],
)
def test_documents_are_read_with_and_without_mask(text: str, kind: str, digits: str) -> None:
    document = parse_document(text)

    assert (document.kind, document.digits) == (kind, digits)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\u200b ", "empty"),
        ("12345678", "wrong_length"),
        ("9" * 10_000, "wrong_length"),
        ("...", "wrong_length"),
        ("390.533.447=05", "bad_characters"),
        ("111.111.111-11", "equal_digits"),
        ("00000000000", "equal_digits"),
        ("00.000.000/0000-00", "equal_digits"),
        ("123.456.789-00", "check_digits"),
        ("16.727.230/0001-79", "check_digits"),
        ("12.ABC.345/01DE-3A", "letters"),
        ("5299822472X", "letters"),
        ("12ABC34501DÉ35", "not_ascii"),
        ("12ABC34501DE\u0131", "not_ascii"),
        ("١٢ABC34501DE35", "not_ascii"),
        ("５２９９８２２４７２５", "not_ascii"),
        ("5,29982E+10", "scientific_notation"),
    ],
)
def test_an_invalid_document_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidDocument) as refusal:
        parse_document(text)

    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_zeros_lost_in_a_spreadsheet_are_restored_only_if_the_check_digits_match() -> None:
    assert parse_document("1234567890").digits == "01234567890"
    assert parse_document("123456797").digits == "00123456797"
    assert parse_document("1234567000195").digits == "01234567000195"
    assert parse_document("123456000149").digits == "00123456000149"
    with pytest.raises(InvalidDocument, match="11 digits"):
        parse_document("1234567891")


def test_zeros_are_not_restored_in_a_masked_document() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        parse_document("123.456.789-0")

    assert refusal.value.reason == "wrong_length"


def test_any_changed_digit_is_noticed() -> None:
    rng = random.Random(11)
    for original in ("39053344705", "16727230000197"):
        for place, digit in enumerate(original):
            other = rng.choice([d for d in "0123456789" if d != digit])
            with pytest.raises(InvalidDocument):
                parse_document(original[:place] + other + original[place + 1 :])


@pytest.mark.parametrize(
    ("digits", "shown", "masked"),
    [
        ("52998224725", "529.982.247-25", "***.982.247-**"),
        ("529.982.247-25", "529.982.247-25", "***.982.247-**"),
        ("12ABC34501DE35", "12.ABC.345/01DE-35", "**.ABC.345/****-**"),
        ("12345", "12345", "*****"),
        ("", "", ""),
    ],
)
def test_documents_are_formatted_and_masked(digits: str, shown: str, masked: str) -> None:
    assert format_document(digits) == shown
    assert mask_document(digits) == masked


def test_computed_vectors_are_parsed_as_expected() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for kind in ("cpf", "cnpj"):
        for text in vectors[f"{kind}_valid"]:
            assert parse_document(text).kind == kind, text
        for text in vectors[f"{kind}_invalid"]:
            with pytest.raises(InvalidDocument):
                parse_document(text)


@settings(database=None, max_examples=500, deadline=None)
@given(st.text(max_size=20) | st.text("0123456789.-/A", max_size=20))
def test_any_text_is_parsed_as_a_document_or_refused(text: str) -> None:
    format_document(text), mask_document(text)
    # An unknown reason (KeyError) or any other exception fails the test.
    document = None
    with suppress(InvalidDocument):
        document = parse_document(text)
    assert document is None or parse_document(format_document(document.digits)) == document

"""Contacts' files as spreadsheets, address books and billing systems write them."""

from __future__ import annotations

import io

import pytest

from chatbot.contacts.imports.csv_reader import REASONS, BadLine, ContactRow, read_rows


def _read(content: str) -> list[ContactRow | BadLine]:
    return list(read_rows(io.BytesIO(content.encode())))


def _only(content: str) -> ContactRow | BadLine:
    (row,) = _read(content)
    return row


@pytest.mark.parametrize(
    "label",
    [
        "phone_number", "Telefone Celular", "Número de telefone", "Nº WhatsApp", "Tel.", "Cel", "Fone 1",
        "Telefone 1",
        "Mobile", "Phone 1 - Value", "CELULAR DO RESPONSÁVEL", "Mobile Phone",
        "telefone celular 2", "Nr. Celular", "Contato (celular)", "Business Phone",
    ],
)  # fmt: skip
def test_people_spell_the_phone_column_in_many_ways(label: str) -> None:
    row = _only(f"Nome;{label}\nAna;11987650070\n")
    assert isinstance(row, ContactRow)
    assert (row.name, row.phone.digits) == ("Ana", "5511987650070")


@pytest.mark.parametrize(
    "label", ["Phone 1 - Type", "DDD", "Tipo de telefone", "Data de cadastro", "Fax"]
)
def test_columns_beside_a_phone_are_attributes(label: str) -> None:
    row = _only(f"{label};Celular\nMobile;11987650070\n")
    assert isinstance(row, ContactRow)
    assert row.phone.digits == "5511987650070"
    assert list(row.attributes.values()) == ["Mobile"]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Telefone;Celular", "(11) 3333-0021;(11) 98765-0021"),
        ("Celular;Telefone", "(11) 98765-0021;(11) 3333-0021"),
        ("Número;Celular", "1133330021;(11) 98765-0021"),
        ("Celular", "(11) 98765-0021 ::: (11) 3333-0021"),
        ("Celular", "(11) 98765-0021 / (11) 3333-0021"),
        ("Celular", '"(11) 98765-0021, 11 3333-0021"'),
        ("Celular", "11987650021 ou 1133330021"),
        ("Phone 1 - Value;Phone 2 - Value", "+55 11 98765-0021;+55 11 3333-0021"),
    ],
)
def test_of_several_phones_the_mobile_is_used_and_the_other_kept(header: str, cells: str) -> None:
    row = _only(f"Nome;{header}\nAna;{cells}\n")
    assert isinstance(row, ContactRow)
    assert row.phone.digits == "5511987650021"
    assert row.attributes == {"outros_telefones": "+551133330021"}


def test_a_bad_mobile_gives_way_to_a_good_phone_beside_it() -> None:
    row = _only("Celular;Telefone\n123;(11) 3333-0021\n")
    assert isinstance(row, ContactRow)
    assert (row.phone.digits, row.attributes) == ("551133330021", {"outros_telefones": "123"})


@pytest.mark.parametrize("email", ["-", "não tem", "ana@", "n/a", "sem e-mail"])
def test_a_bad_email_is_dropped_and_reported_and_the_contact_kept(email: str) -> None:
    row = _only(f"telefone;email\n11987650021;{email}\n")
    assert isinstance(row, ContactRow)
    assert row.email is None
    assert row.dropped == (BadLine(2, "email", "email_dropped", email),)
    assert "email_dropped" in REASONS


@pytest.mark.parametrize(
    ("cell", "others"),
    [
        ("<ana@x.com>", None),
        ("ana@x.com, fin@x.com", "fin@x.com"),
        ("mailto:ana@x.com", None),
        ("ana@x.com b@x.com", "b@x.com"),
        ("nada; ana@x.com", None),
    ],
)
def test_the_first_good_email_is_used(cell: str, others: str | None) -> None:
    row = _only(f'telefone;email\n11987650021;"{cell}"\n')
    assert isinstance(row, ContactRow)
    assert row.email == "ana@x.com"
    assert row.attributes.get("outros_emails") == others
    assert row.dropped == ()


def test_rows_may_end_early_as_spreadsheets_write_them() -> None:
    rows = _read("telefone;nome;email;tags\n11987650012;Beto\n11987650013\n11987650014;;;\n")
    assert [row.name for row in rows if isinstance(row, ContactRow)] == ["Beto", "", ""]


@pytest.mark.parametrize(
    "title",
    [
        "Relatório de Clientes - Emitido em 12/11/2026;;;\n;;;\n",
        "Telefones dos clientes\n\n",
        "Clientes;\n",
    ],
)
def test_a_title_above_the_header_is_skipped(title: str) -> None:
    row = _only(f"{title}Nome;Celular;Cidade;\nAna;11987650081;São Paulo;\n")
    assert isinstance(row, ContactRow)
    assert (row.name, row.attributes) == ("Ana", {"cidade": "São Paulo"})


def test_an_export_of_google_is_read() -> None:
    row = _only(
        "First Name,Middle Name,Last Name,Labels,E-mail 1 - Label,E-mail 1 - Value,"
        "Phone 1 - Label,Phone 1 - Value\n"
        "Ana,Maria,Souza,Clientes ::: * myContacts,Home,ana@x.com,"
        "Mobile,+55 11 98765-0001 ::: +55 11 3333-0001\n"
    )
    assert isinstance(row, ContactRow)
    assert (row.name, row.email, row.tags) == ("Ana Maria Souza", "ana@x.com", ("Clientes",))
    assert row.phone.digits == "5511987650001"


def test_cells_have_no_characters_that_nobody_sees() -> None:
    row = _only(
        "telefone;nome;plano;tags\n\u202a+5511987650021\u202c;\u200bAna\u200b Lu;\u2060;v\u00adip\n"
    )
    assert isinstance(row, ContactRow)
    assert (row.name, row.attributes, row.tags) == ("Ana Lu", {}, ("vip",))

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.contacts.imports.csv_lines import MAX_LINE_BYTES
from chatbot.contacts.imports.csv_reader import REASONS, BadLine, ContactRow, CsvError, read_rows


def _read(content: str | bytes, encoding: str = "utf-8") -> list[ContactRow | BadLine]:
    return list(read_rows(io.BytesIO(_bytes(content, encoding))))


def _bytes(content: str | bytes, encoding: str = "utf-8") -> bytes:
    return content if isinstance(content, bytes) else content.encode(encoding)


def _only(content: str | bytes, encoding: str = "utf-8") -> ContactRow | BadLine:
    (row,) = _read(content, encoding)
    return row


def _refusal(content: str | bytes) -> CsvError:
    with pytest.raises(CsvError) as refusal:
        read_rows(io.BytesIO(_bytes(content)))
    assert refusal.value.reason in REASONS
    return refusal.value


def _summary(rows: list[ContactRow | BadLine]) -> list[tuple[int, str]]:
    """Return (line, name) of each row and (line, reason) of each bad line."""
    return [(row.line, row.name if isinstance(row, ContactRow) else row.reason) for row in rows]


FULL = (
    "Telefone;Nome;CPF/CNPJ;E-mail;Etiquetas;Data de Nascimento;Preço (R$)\r\n"
    "(11) 98765-4321; Ana  Conceição ;529.982.247-25;Ana@Loja.com.br;VIP, fibra |vip;"
    "01/02/1990;\r\n"
)


def test_a_row_is_read_with_all_its_columns() -> None:
    row = _only(FULL)

    assert isinstance(row, ContactRow)
    assert (row.line, row.phone.e164, row.name) == (2, "+5511987654321", "Ana Conceição")
    assert (row.document, row.email) == ("52998224725", "ana@loja.com.br")
    assert row.tags == ("vip", "fibra")
    assert row.attributes == {"data_de_nascimento": "01/02/1990"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_each_encoding_spreadsheets_write_gives_the_same_row(encoding: str) -> None:
    assert _only(FULL, encoding) == _only(FULL)


def test_utf_16_of_either_byte_order_is_read() -> None:
    assert _only(b"\xfe\xff" + FULL.encode("utf-16-be")) == _only(FULL)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_the_delimiter_comes_from_the_header(delimiter: str) -> None:
    row = _only(delimiter.join(["nome", "fone"]) + "\n" + delimiter.join(["Ana", "11987654321"]))

    assert isinstance(row, ContactRow)
    assert row.name == "Ana"


def test_a_delimiter_inside_a_label_is_not_chosen() -> None:
    rows = _read("nome, completo, todo;telefone;valor, em reais, hoje\nAna;11987654321;1,50\n")

    assert isinstance(rows[0], ContactRow)
    assert rows[0].attributes == {"nome_completo_todo": "Ana", "valor_em_reais_hoje": "1,50"}


def test_the_separator_line_of_excel_is_used() -> None:
    assert _summary(_read("sep=,\ntelefone,nome\n11987654321,Ana\n")) == [(3, "Ana")]


@pytest.mark.parametrize(
    "label",
    ["phone", "TELEFONE", "Celular", " whatsapp ", "Fone", "Número", "NUMERO:", '"Telefone"'],
)
def test_the_phone_column_has_many_names(label: str) -> None:
    assert isinstance(_only(f"{label}\n11987654321\n"), ContactRow)


def test_blank_cells_have_no_value() -> None:
    row = _only("telefone;nome;cpf;email;tags;plano\n11987654321;;;;;\n")

    assert isinstance(row, ContactRow)
    assert (row.name, row.document, row.email, row.tags, row.attributes) == ("", None, None, (), {})


def test_quoted_cells_may_hold_line_breaks_quotes_and_delimiters() -> None:
    rows = _read(
        'telefone;nome;nota\r\n11987654321;"Ana ""Lia"" Sá";"linha 1\r\n\r\nlinha; 3"\r\n'
        "11987654322;Bia;x\r\n"
    )

    assert _summary(rows) == [(2, 'Ana "Lia" Sá'), (5, "Bia")]
    assert isinstance(rows[0], ContactRow)
    assert rows[0].attributes == {"nota": "linha 1\n\nlinha; 3"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_numbers_are_those_of_the_file(end: str) -> None:
    content = end.join(["", "telefone;nome", "", "11987654321;Ana", ";;", " ; ", "x;Bia", ""])

    assert _summary(_read(content)) == [(4, "Ana"), (7, "phone_letters")]


def test_an_open_quote_spoils_only_one_line() -> None:
    rows = _read('telefone;nome\n11987654321;"Ana\n11987654322;Bia\n11987654323;"Caio"\n')

    assert _summary(rows) == [(2, "bad_quotes"), (3, "Bia"), (4, "Caio")]


def test_a_quote_closed_by_another_one_lines_later_spoils_only_one_line() -> None:
    lines = [f"1198765{n};Ana" for n in range(1000, 1200)]
    rows = _read("telefone;nome\n" + "\n".join(['11987654321;"Bia', *lines]))

    assert _summary(rows)[:2] == [(2, "bad_quotes"), (3, "Ana")]
    assert len(rows) == 201


def test_lines_inside_a_badly_quoted_record_are_read_again() -> None:
    rows = _read('telefone;nome\n11987654321;"Bia\n11987654322;Caio\n11987654323;Ana";x\n')

    assert _summary(rows) == [(2, "too_many_cells"), (3, "Caio"), (4, "too_many_cells")]


@pytest.mark.parametrize(
    ("cells", "column", "reason", "value"),
    [
        ("abc;Ana;;;;", "phone", "phone_letters", "abc"),
        (";Ana;;;;", "phone", "phone_empty", ""),
        ("5,51199E+12;Ana;;;;", "phone", "phone_scientific_notation", "5,51199E+12"),
        ("11987654321;;111.111.111-11;;;", "document", "document_equal_digits", "111.111.111-11"),
        (f"11987654321;{'n' * 201};;;;", "name", "name_too_long", "n" * 200),
        (f"11987654321;;;;ok,{'t' * 51};", "tags", "tag_too_long", "t" * 51),
        (f"11987654321;;;;;{'a' * 1001}", "plano", "attribute_too_long", "a" * 200),
        ("11987654321;;;;;;extra", None, "too_many_cells", "11987654321;;;;;;extra"),
        ('11987654321;"a"b;;;;', None, "bad_quotes", '11987654321;"a"b;;;;'),
    ],
)
def test_a_bad_line_has_its_column_and_reason(
    cells: str, column: str | None, reason: str, value: str
) -> None:
    bad = _only(f"telefone;nome;cpf;email;tags;plano\n{cells}\n")

    assert bad == BadLine(2, column, reason, value)
    assert reason in REASONS


def test_texts_at_their_limits_are_accepted() -> None:
    row = _only(f"telefone;nome;tags;plano\n11987654321;{'n' * 200};{'t' * 50};{'a' * 1000};;;\n")

    assert isinstance(row, ContactRow)


@pytest.mark.parametrize(
    ("content", "reason", "details"),
    [
        (b"", "empty_file", ()),
        (b"\xef\xbb\xbf", "empty_file", ()),
        (b"\n\r\n  \n", "empty_file", ()),
        (b"sep=;\n", "empty_file", ()),
        (b"PK\x03\x04\x14\x00\x06\x00", "spreadsheet_file", ()),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "spreadsheet_file", ()),
        (b"\x1f\x8b\x08\x00", "binary_file", ()),
        ("telefone;nome\n".encode("utf-16-le"), "binary_file", ()),
        ("nome;cidade\n", "missing_phone", ("nome", "cidade")),
        ("11987654321;Ana\n", "missing_phone", ("11987654321", "Ana")),
        ("telefone;cpf;CNPJ\n", "duplicate_column", ("cpf", "CNPJ")),
        ("telefone;Plano;plano!\n", "duplicate_column", ("Plano", "plano!")),
        ("telefone;;nome\n", "blank_column", ("",)),
        ("telefone;???\n", "blank_column", ("???",)),
        (f"telefone;{'x' * 61}\n", "column_too_long", ("x" * 61,)),
        ('telefone;"nome\n', "unreadable_header", ()),
        ("x" * (MAX_LINE_BYTES + 1), "unreadable_header", ()),
        ("telefone;" + ";".join(f"a{n}" for n in range(51)), "too_many_attributes", ()),
    ],
)
def test_a_file_without_a_usable_header_is_refused_at_once(
    content: str | bytes, reason: str, details: tuple[str, ...]
) -> None:
    refusal = _refusal(content)

    assert (refusal.reason, refusal.details) == (reason, details)


def test_a_file_with_only_a_header_has_no_rows() -> None:
    assert _read("telefone;nome;;\n") == []


def test_fifty_attributes_are_accepted() -> None:
    assert _read("telefone;" + ";".join(f"a{n}" for n in range(50))) == []


def test_every_reason_has_a_sentence_with_advice() -> None:
    for reason, sentence in REASONS.items():
        assert sentence.endswith("."), reason
        assert ":" in sentence or "," in sentence, reason


@settings(database=None, max_examples=300, deadline=None)
@given(st.text('ab;,"\n\r 1', max_size=60))
def test_any_quoting_yields_each_line_at_most_once(content: str) -> None:
    rows = _read("telefone;nome\n" + content)

    assert [row.line for row in rows] == sorted({row.line for row in rows})

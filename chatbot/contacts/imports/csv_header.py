"""Find the header of a CSV of contacts, its delimiter, and the meaning of each column.

Files come from spreadsheets, address books, phones and billing systems, which spell the same column in many
ways and may write a title above it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from chatbot.contacts.imports.csv_cells import OTHER_EMAILS, OTHER_PHONES
from chatbot.contacts.imports.csv_lines import CsvError, CsvLine
from chatbot.core.text import slugify

DELIMITERS = ";\t,"  # in order of preference, if a header fits several equally
MAX_HEADER_LINES = 10  # non-blank lines among which the header is searched
MAX_ATTRIBUTES = 50  # columns
MAX_COLUMN = 60  # characters of an attribute's name
EXCEL_SEPARATOR = re.compile(r"sep=([;,\t])", re.IGNORECASE)

# Slug of a header -> column. Labels that are not here are read word by word.
ALIASES = {
    alias: column
    for column, aliases in {
        "phone": "phone telefone celular whatsapp fone numero",
        "name": "name nome cliente nome_completo nome_do_cliente nome_do_aluno full_name display_name"
        " razao_social",
        "first_name": "first_name primeiro_nome given_name",
        "middle_name": "middle_name additional_name nome_do_meio",
        "last_name": "last_name sobrenome family_name",
        "document": "document documento cpf cnpj cpf_cnpj cpf_ou_cnpj cpf_or_cnpj cnpj_cpf",
        "email": "email e_mail",
        "tags": "tags etiquetas marcadores labels group_membership",
        "opt_in": "opt_in optin consentimento consent aceitou_campanhas agreed_to_campaigns",
        "opt_out": "opt_out optout descadastrado sem_campanhas no_campaigns",
    }.items()
    for alias in aliases.split()
}
# Several columns may hold phones or e-mails; in each row the first good one in order of rank is used.
REPEATABLE = ("phone", "email")
_OTHERS = {"phone": OTHER_PHONES, "email": OTHER_EMAILS}
NAME_PARTS = ("first_name", "middle_name", "last_name")
KNOWN_COLUMNS = frozenset(ALIASES.values())

_MOBILE = frozenset(
    "celular celulares cel mobile cell cellphone whatsapp whats wpp zap movel smartphone".split()
)
_PHONE = frozenset("telefone telefones tel fone fones phone phones telephone".split())
_LANDLINE = frozenset("fixo residencial comercial home work business casa trabalho recado".split())
_NO_PHONE = frozenset(
    "type tipo label rotulo ddd ddi ramal operadora codigo code status fax pager validado data date".split()
)


def find_header(lines: Sequence[CsvLine], delimiters: str = DELIMITERS) -> tuple[int, str]:
    """Return the index of the header among the first lines, and the delimiter.

    The header knows most columns. Without any phone column it is the first line.
    """
    scores = [
        (*_score(line.text, delimiter), -index, -order)
        for index, line in enumerate(lines)
        for order, delimiter in enumerate(delimiters)
        if not line.problem
    ]
    if not scores:
        return 0, delimiters[0]
    has_phone, _, _, index, order = max(scores)
    if not has_phone:
        index = 0
        order = max((s for s in scores if s[3] == 0), default=scores[0])[4]
    return -index, delimiters[-order]


def _score(text: str, delimiter: str) -> tuple[bool, int, int]:
    """Return whether a line names a phone column, the number of known columns, and of all columns."""
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        cells = text.split(delimiter)
    labels = [cell for cell in cells if not any(other in cell for other in ";\t")]
    known = [column for column, _ in map(classify_label, labels) if column in KNOWN_COLUMNS]
    return "phone" in known, len(known), len(cells)


def classify_label(label: str) -> tuple[str, int]:
    """Return the column that a header names, and its rank among columns of the same meaning.

    An unknown label is an attribute, named by its slug.
    """
    slug = slugify(label)
    words = set(slug.split("_"))
    if ALIASES.get(slug) not in (None, "phone"):
        return ALIASES[slug], 0
    if not words & _NO_PHONE:
        if words & _MOBILE:
            return "phone", 0
        if words & _PHONE:
            return "phone", 2 if words & _LANDLINE else 1
        if slug in ALIASES or slug in ("phone_number", "n_de_contato"):
            return "phone", 3  # "número" may also be that of a house
        if words & {"email", "emails"} or {"e", "mail"} <= words:
            return "email", 0
    return slug, 0


def parse_columns(labels: list[str]) -> list[str]:
    """Return a column for each label: phone, phone_2, name… or an attribute's name. Raises CsvError."""
    while labels and not labels[-1].strip():  # spreadsheets add empty columns at the right
        labels.pop()
    found = [classify_label(label) for label in labels]
    columns = [column for column, _ in found]
    name_labels = [at for at, column in enumerate(columns) if column == "name"]
    for at in name_labels[1:]:  # such as a trade name beside the name: an attribute
        columns[at] = slugify(labels[at])
    for name in REPEATABLE:
        _number(columns, name, [rank for _, rank in found])
    _check(labels, columns)
    return columns


def _number(columns: list[str], name: str, ranks: Sequence[int]) -> None:
    """Rank columns of the same meaning: the best keeps the name, the others get a number."""
    same = sorted((ranks[at], at) for at, column in enumerate(columns) if column == name)
    for number, (_, at) in enumerate(same[1:], start=2):
        columns[at] = f"{name}_{number}"


def list_shown_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns as a contact has them: parts of a name are one, other phones are one."""
    parts = {**dict.fromkeys(NAME_PARTS, "name")}
    shown = [
        parts.get(column) or _OTHERS.get(column.rpartition("_")[0], column) for column in columns
    ]
    return list(dict.fromkeys(shown))


def _check(labels: Sequence[str], columns: Sequence[str]) -> None:
    for column, label in zip(columns, labels, strict=True):
        same = [other for other, name in zip(labels, columns, strict=True) if name == column]
        if not column:
            raise CsvError("blank_column", label.strip())
        if len(same) > 1:
            raise CsvError("duplicate_column", *same)
        if len(column) > MAX_COLUMN:
            raise CsvError("column_too_long", label)
    if "phone" not in columns:
        raise CsvError("missing_phone", *labels)
    if len(set(columns) - KNOWN_COLUMNS) > MAX_ATTRIBUTES:
        raise CsvError("too_many_attributes")

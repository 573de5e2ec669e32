"""The store of message templates: what exists, in which language and state (sections 7.2, 9)."""

import base64
import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from chatbot.simulator.errors import GraphError
from chatbot.simulator.identity import fraction


class TemplateStatus(StrEnum):
    APPROVED = "APPROVED"
    PENDING = "PENDING"
    REJECTED = "REJECTED"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"
    IN_APPEAL = "IN_APPEAL"
    PENDING_DELETION = "PENDING_DELETION"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    ARCHIVED = "ARCHIVED"


class Category(StrEnum):
    MARKETING = "MARKETING"
    UTILITY = "UTILITY"
    AUTHENTICATION = "AUTHENTICATION"


class Quality(StrEnum):
    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"
    UNKNOWN = "UNKNOWN"


class QualityScore(msgspec.Struct):
    """`date` in Unix seconds."""

    score: Quality
    date: int


class ParameterFormat(StrEnum):
    POSITIONAL = "POSITIONAL"
    NAMED = "NAMED"


class Button(msgspec.Struct, omit_defaults=True):
    type: str
    text: str = ""
    url: str = ""
    phone_number: str = ""
    example: list[str] | str = ""


class Component(msgspec.Struct, omit_defaults=True):
    type: str
    text: str = ""
    format: str = ""
    buttons: list[Button] = []
    example: dict[str, object] = {}


class Template(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    name: str
    components: list[Component]
    # No defaults on what Meta always lists: `omit_defaults` would drop it from the answer.
    language: str
    status: TemplateStatus
    category: Category
    parameter_format: ParameterFormat
    rejected_reason: str = ""
    previous_category: Category | None = None
    quality_score: QualityScore | None = None

    def component(self, kind: str) -> Component | None:
        return next((part for part in self.components if part.type == kind), None)


# A blank is {{1}} in a positional template and {{name}} in a named one.
BLANK = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")
UNUSABLE = {
    TemplateStatus.PAUSED: (132015, "Template is paused because of low quality."),
    TemplateStatus.DISABLED: (132016, "Template was disabled for good."),
}


@lru_cache(maxsize=4_096)  # of texts: a campaign asks for the same one each time
def blanks_of(text: str) -> tuple[str, ...]:
    """The names of the blanks, each once, in the order of the text."""
    return tuple(dict.fromkeys(BLANK.findall(text)))


def make_id(name: str, language: str) -> str:
    return str(10**15 + int(fraction(f"template:{name}:{language}") * 10**14))


def default_templates() -> list[Template]:
    approved, utility, marketing = (
        TemplateStatus.APPROVED, Category.UTILITY, Category.MARKETING)  # fmt: skip
    return [
        _template(
            "lembrete_fatura", utility, approved,
            "Olá, {{1}}! Sua fatura vence em {{2}}. Responda a esta mensagem para receber "
            "o código de barras ou o Pix.",
            examples=["Maria", "10/12/2026"], footer="Responda SAIR para não receber mais",
        ),
        _template(
            "promocao_fibra", marketing, approved,
            "Oi, {{1}}! A fibra de 600 mega chegou à sua rua, com instalação grátis. "
            "Quer saber mais?",
            examples=["Maria"], footer="Responda SAIR para não receber mais",
            buttons=[Button("QUICK_REPLY", "Quero saber mais"), Button("QUICK_REPLY", "SAIR")],
        ),
        _template(
            "boas_vindas", utility, approved,
            "Boas-vindas, {{nome}}! Este é o nosso canal de atendimento.",
            examples=["Maria"],
        ),
        _template(
            "aviso_manutencao", utility, TemplateStatus.PENDING,
            "Olá, {{1}}. Haverá manutenção na sua região em {{2}}.",
            examples=["Maria", "10/12/2026"],
        ),
        _template(
            "oferta_relampago", marketing, TemplateStatus.REJECTED,
            "Só hoje, {{1}}: metade do preço!", examples=["Maria"],
        ),
    ]  # fmt: skip


def _template(
    name: str, category: Category, status: TemplateStatus, body: str, *,
    examples: list[str], footer: str = "", buttons: list[Button] | None = None,
) -> Template:  # fmt: skip
    blanks = blanks_of(body)
    named = not all(blank.isdigit() for blank in blanks)
    example: dict[str, object] = {"body_text": [examples]}
    if named:
        pairs = zip(blanks, examples, strict=True)
        example = {"body_text_named_params": [
            {"param_name": blank, "example": text} for blank, text in pairs]}  # fmt: skip
    parts = [Component("BODY", text=body, example=example)]
    if footer:
        parts.append(Component("FOOTER", text=footer))
    if buttons:
        parts.append(Component("BUTTONS", buttons=buttons))
    return Template(
        id=make_id(name, "pt_BR"), name=name, language="pt_BR", status=status, category=category,
        parameter_format=ParameterFormat.NAMED if named else ParameterFormat.POSITIONAL,
        components=parts,
        rejected_reason="PROMOTIONAL" if status is TemplateStatus.REJECTED else "NONE",
    )  # fmt: skip


class Filter(NamedTuple):
    """Parts of a listing's query; Meta takes the upper and the lower case (section 9)."""

    name: str = ""
    status: str = ""
    language: str = ""
    category: str = ""

    def fits(self, item: Template) -> bool:
        return (
            self.name in item.name
            and self.status.upper() in ("", item.status.value)
            and self.language in ("", item.language)
            and self.category.upper() in ("", item.category.value)
        )


class Page(NamedTuple):
    """`start` is the index of the first one."""

    items: list[Template]
    start: int
    has_more: bool


class Templates:
    """Templates by name and language, listed in the order in which they came."""

    def __init__(self) -> None:
        self._by_key = {(item.name, item.language): item for item in default_templates()}

    def find(self, name: str, language: str) -> Template | None:
        return self._by_key.get((name, language))

    def by_id(self, template_id: str) -> Template | None:
        return next((item for item in self._by_key.values() if item.id == template_id), None)

    def all(self) -> list[Template]:
        return list(self._by_key.values())

    def put(self, template: Template) -> None:
        self._by_key[template.name, template.language] = template

    def delete(self, name: str, template_id: str) -> list[Template]:
        """Without an id every language goes (section 9); returns what went."""
        gone = [
            item for item in self._by_key.values()
            if item.name == name and template_id in ("", item.id)
        ]  # fmt: skip
        for item in gone:
            del self._by_key[item.name, item.language]
        return gone

    def usable(self, name: str, language: str) -> Template:
        """The template if it may be sent now; missing and unapproved look alike (132001)."""
        template = self.find(name, language)
        if template and template.status in UNUSABLE:
            raise GraphError(*UNUSABLE[template.status])
        if template is None or template.status is not TemplateStatus.APPROVED:
            raise GraphError(132001, f"template name ({name}) does not exist in {language}")
        return template

    def page(self, wanted: Filter, *, after: str, before: str, limit: int) -> Page:
        found = [item for item in self._by_key.values() if wanted.fits(item)]
        start = read_cursor(after) if after else 0
        if before:
            end = read_cursor(before)
            start, limit = max(0, end - limit), min(limit, end)
        return Page(found[start : start + limit], start, start + limit < len(found))


def make_cursor(index: int) -> str:
    return base64.urlsafe_b64encode(f"QVFI:{index}".encode()).decode()


def read_cursor(cursor: str) -> int:
    try:
        mark, index = base64.urlsafe_b64decode(cursor).decode().split(":")
        if mark != "QVFI":
            raise ValueError(mark)
        return max(0, int(index))
    except ValueError:
        raise GraphError(131059, "The cursor of this paging has expired.") from None

"""Store of message templates."""

import base64
import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from chatbot.simulator.errors import GraphError
from chatbot.simulator.identifiers import hash_fraction


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


class TemplateCategory(StrEnum):
    MARKETING = "MARKETING"
    UTILITY = "UTILITY"
    AUTHENTICATION = "AUTHENTICATION"


class Quality(StrEnum):
    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"
    UNKNOWN = "UNKNOWN"


class QualityScore(msgspec.Struct):
    """Quality of a template; `date` in Unix seconds."""

    score: Quality
    date: int


class ParameterFormat(StrEnum):
    POSITIONAL = "POSITIONAL"
    NAMED = "NAMED"


class TemplateButton(msgspec.Struct, omit_defaults=True):
    type: str
    text: str = ""
    url: str = ""
    phone_number: str = ""
    example: list[str] | str = ""


class TemplateComponentDefinition(msgspec.Struct, omit_defaults=True):
    type: str
    text: str = ""
    format: str = ""
    buttons: list[TemplateButton] = []
    example: dict[str, object] = {}


class MessageTemplate(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    name: str
    components: list[TemplateComponentDefinition]
    # No defaults on what Meta always lists: `omit_defaults` would drop it from the answer.
    language: str
    status: TemplateStatus
    category: TemplateCategory
    parameter_format: ParameterFormat
    rejected_reason: str = ""
    previous_category: TemplateCategory | None = None
    quality_score: QualityScore | None = None

    def component(self, kind: str) -> TemplateComponentDefinition | None:
        return next((part for part in self.components if part.type == kind), None)


# {{1}} in a positional template, {{name}} in a named one.
PLACEHOLDER = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")
UNSENDABLE_STATUSES = {
    TemplateStatus.PAUSED: (132015, "Template is paused because of low quality."),
    TemplateStatus.DISABLED: (132016, "Template was disabled for good."),
}


@lru_cache(maxsize=4_096)  # a campaign has the same text in every message
def find_placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the placeholders in the order of the text, without repeats."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(text)))


def derive_id(name: str, language: str) -> str:
    return str(10**15 + int(hash_fraction(f"template:{name}:{language}") * 10**14))


def default_templates() -> list[MessageTemplate]:
    approved, utility, marketing = (
        TemplateStatus.APPROVED, TemplateCategory.UTILITY, TemplateCategory.MARKETING)  # fmt: skip
    return [
        _default_template(
            "lembrete_fatura", utility, approved,
            "Olá, {{1}}! Sua fatura vence em {{2}}. Responda a esta mensagem para receber "
            "o código de barras ou o Pix.",
            examples=["Maria", "10/12/2026"], footer="Responda SAIR para não receber mais",
        ),
        _default_template(
            "promocao_fibra", marketing, approved,
            "Oi, {{1}}! A fibra de 600 mega chegou à sua rua, com instalação grátis. "
            "Quer saber mais?",
            examples=["Maria"], footer="Responda SAIR para não receber mais",
            buttons=[TemplateButton("QUICK_REPLY", "Quero saber mais"),
                     TemplateButton("QUICK_REPLY", "SAIR")],
        ),
        _default_template(
            "boas_vindas", utility, approved,
            "Boas-vindas, {{nome}}! Este é o nosso canal de atendimento.",
            examples=["Maria"],
        ),
        _default_template(
            "aviso_manutencao", utility, TemplateStatus.PENDING,
            "Olá, {{1}}. Haverá manutenção na sua região em {{2}}.",
            examples=["Maria", "10/12/2026"],
        ),
        _default_template(
            "oferta_relampago", marketing, TemplateStatus.REJECTED,
            "Só hoje, {{1}}: metade do preço!", examples=["Maria"],
        ),
    ]  # fmt: skip


def _default_template(
    name: str, category: TemplateCategory, status: TemplateStatus, body: str, *,
    examples: list[str], footer: str = "", buttons: list[TemplateButton] | None = None,
) -> MessageTemplate:  # fmt: skip
    placeholders = find_placeholders(body)
    named = not all(placeholder.isdigit() for placeholder in placeholders)
    example: dict[str, object] = {"body_text": [examples]}
    if named:
        pairs = zip(placeholders, examples, strict=True)
        example = {"body_text_named_params": [
            {"param_name": placeholder, "example": text} for placeholder, text in pairs]}  # fmt: skip
    parts = [TemplateComponentDefinition("BODY", text=body, example=example)]
    if footer:
        parts.append(TemplateComponentDefinition("FOOTER", text=footer))
    if buttons:
        parts.append(TemplateComponentDefinition("BUTTONS", buttons=buttons))
    return MessageTemplate(
        id=derive_id(name, "pt_BR"), name=name, language="pt_BR", status=status, category=category,
        parameter_format=ParameterFormat.NAMED if named else ParameterFormat.POSITIONAL,
        components=parts,
        rejected_reason="PROMOTIONAL" if status is TemplateStatus.REJECTED else "NONE",
    )  # fmt: skip


class TemplateFilter(NamedTuple):
    """Filter of a list of templates; Meta accepts upper and lower case."""

    name: str = ""
    status: str = ""
    language: str = ""
    category: str = ""

    def matches(self, item: MessageTemplate) -> bool:
        return (
            self.name in item.name
            and self.status.upper() in ("", item.status.value)
            and self.language in ("", item.language)
            and self.category.upper() in ("", item.category.value)
        )


class TemplatePage(NamedTuple):
    """Page of a list; `start` is the index of its first item."""

    items: list[MessageTemplate]
    start: int
    has_more: bool


class TemplateStore:
    """Templates by name and language, listed in order of creation."""

    def __init__(self) -> None:
        self._by_key = {(item.name, item.language): item for item in default_templates()}

    def find(self, name: str, language: str) -> MessageTemplate | None:
        return self._by_key.get((name, language))

    def find_by_id(self, template_id: str) -> MessageTemplate | None:
        return next((item for item in self._by_key.values() if item.id == template_id), None)

    def all(self) -> list[MessageTemplate]:
        return list(self._by_key.values())

    def put(self, template: MessageTemplate) -> None:
        self._by_key[template.name, template.language] = template

    def delete(self, name: str, template_id: str) -> list[MessageTemplate]:
        """Delete one template, or all languages if the id is empty; return the deleted ones."""
        deleted = [
            item for item in self._by_key.values()
            if item.name == name and template_id in ("", item.id)
        ]  # fmt: skip
        for item in deleted:
            del self._by_key[item.name, item.language]
        return deleted

    def get_sendable(self, name: str, language: str) -> MessageTemplate:
        """Return the template, or raise GraphError if it may not be sent now.

        A missing and an unapproved template get the same error, 132001.
        """
        template = self.find(name, language)
        if template and template.status in UNSENDABLE_STATUSES:
            raise GraphError(*UNSENDABLE_STATUSES[template.status])
        if template is None or template.status is not TemplateStatus.APPROVED:
            raise GraphError(132001, f"template name ({name}) does not exist in {language}")
        return template

    def page(self, wanted: TemplateFilter, *, after: str, before: str, limit: int) -> TemplatePage:
        found = [item for item in self._by_key.values() if wanted.matches(item)]
        start = read_cursor(after) if after else 0
        if before:
            end = read_cursor(before)
            start, limit = max(0, end - limit), min(limit, end)
        return TemplatePage(found[start : start + limit], start, start + limit < len(found))


def make_cursor(index: int) -> str:
    return base64.urlsafe_b64encode(f"QVFI:{index}".encode()).decode()


def read_cursor(cursor: str) -> int:
    try:
        prefix, index = base64.urlsafe_b64decode(cursor).decode().split(":")
        if prefix != "QVFI":
            raise ValueError(prefix)
        return max(0, int(index))
    except ValueError:
        raise GraphError(131059, "The cursor of this paging has expired.") from None

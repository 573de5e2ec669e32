"""Rules before the classifier, for intents that must not be missed. Consent has its own module."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PERSON_WORDS = (
    r"(?:atendentes?|humanos?|pessoas?|alguem|gente|gerente|responsavel|supervisora?|diretora?|dono"
    r"|dona|funcionari[oa]|consultora?|vendedora?|operadora?|secretari[oa]|financeiro|suporte)"
)
_HUMAN_REQUEST = re.compile(rf"\b(?:falar|conversar)(?: \w+)? com(?: \w+){{0,2}} {_PERSON_WORDS}\b")
_HUMAN_REFUSAL = re.compile(
    r"\bnao (?:quero|precis[oa])(?: mais)? (?:falar|conversar) com(?: \w+){0,2}"
)


def asks_for_person(words: Sequence[str]) -> bool:
    """Return whether the words ask for a person, which the classifier must not miss."""
    return bool(_HUMAN_REQUEST.search(_HUMAN_REFUSAL.sub(" ", " ".join(words))))

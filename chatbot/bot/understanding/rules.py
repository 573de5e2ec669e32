"""Rules before and after the classifier, for intents that must not be missed or guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chatbot.bot.intents import Intent

# Whole messages in the spelling of `tokenization.tokenize` ("mensagens" is "mensagem"). The LGPD
# requires us to obey them.
OPT_OUT_MESSAGES = frozenset(
    {
        "sair", "parar", "pare", "parem", "stop", "descadastrar", "descadastre", "descadastra",
        "descadastro", "descadastramento", "me descadastra", "me descadastre",
        "quero me descadastrar", "desinscrever", "unsubscribe", "optout", "opt out", "remover",
        "me remova", "me remove", "remova", "sair da lista", "quero sair da lista", "sair do grupo",
        "cancelar inscricao", "cancelar mensagem", "parar mensagem", "stop mensagem",
        "parar de receber", "parar de receber mensagem", "nao quero mais receber",
        "parar promocoes", "interromper promocoes", "stop promotions", "stop promotion",
        "nao quero receber", "nao quero mais mensagem", "nao quero mensagem", "nao perturbe",
    }
)  # fmt: skip

_POLITE_WORDS = re.compile(
    r"\b(?:por (?:favor|gentileza)|bom dia|boa (?:tarde|noite)|oi|ola|(?:muito )?obrigad[oa])\b"
)
_MESSAGE_WORDS = (
    r"(?:mensagem|propagandas?|promoc(?:ao|oes)|anuncios?|ofertas?|notificac(?:ao|oes)"
    r"|comunicados?|spam|divulgac(?:ao|oes)|marketing)"
)
# No other words in between: "não quero receber o boleto por mensagem" is not about messages.
_FILLER_WORDS = (
    r"(?: (?:mais|nada|de|as?|os?|ess[ae]s?|est[ae]s?|suas?|nenhuma?|tantas?|me|tipo)){0,3}"
)
_OPT_OUT_REQUEST = re.compile(
    r"\b(?:nao (?:quero|desejo|gostaria|aceito|autorizo|aguento)(?: (?:de|mais|ficar)){0,2} receber"
    r"|(?<!nao quero )(?:para|pare|parem|parar) de(?: me)? (?:mandar|enviar|receber))"
    rf"{_FILLER_WORDS} {_MESSAGE_WORDS}\b"
)
# Consent must be explicit, so the whole message must match. (Tokenizing makes "estou" of "to".)
_OPT_IN_REQUEST = re.compile(
    r"(?:(?:quero|aceito|autorizo|desejo)(?: voltar a)?|voltar a) receber"
    rf"(?: (?:as?|os?|suas?|seus?|de novo|novamente|outra vez))*(?: {_MESSAGE_WORDS})?"
    r"(?: (?:de novo|novamente|outra vez))?|opt ?in|subscribe|i want (?:to|estou) receive"
)
_PERSON_WORDS = (
    r"(?:atendentes?|humanos?|pessoas?|alguem|gente|gerente|responsavel|supervisora?|diretora?|dono"
    r"|dona|funcionari[oa]|consultora?|vendedora?|operadora?|secretari[oa]|financeiro|suporte)"
)
_HUMAN_REQUEST = re.compile(rf"\b(?:falar|conversar)(?: \w+)? com(?: \w+){{0,2}} {_PERSON_WORDS}\b")
_HUMAN_REFUSAL = re.compile(
    r"\bnao (?:quero|precis[oa])(?: mais)? (?:falar|conversar) com(?: \w+){0,2}"
)

# An opt-out needs a word for stopping and a word for messaging. "quero cancelar" and "parar de cair"
# have at most the first, whatever the classifier says.
_STOP_WORDS = re.compile(
    r"\b(?:nao|nunca|sem|chega|stop|tir[ae]\w*|remov\w*|retir\w*|exclu\w*|apag\w*|delet\w*"
    r"|par[ae]m?|parar\w*|sai|sair|saio|saia|descadastr\w*|desinscrev\w*|cancel\w*|desativ\w*"
    r"|bloque\w*|denunci\w*|revog\w*|deix[ae]m?|me esquec\w*|lgpd|spam|quem|optout|opt"
    r"|unsubscribe|perturb\w*)\b"
)
_MESSAGING_WORDS = re.compile(
    rf"\b(?:{_MESSAGE_WORDS}|receb\w*|mand\w*|envi\w*|cham\w*|contat\w*|list\w*|numero|telefone|dados"
    r"|whatsapp|grupo|cadastro|descadastr\w*|inscri\w*|desinscrev\w*|consentimento|autoriz\w*"
    r"|lgpd|encher|enchendo|perturb\w*|incomod\w*|paz|me esquec\w*|optout|opt|unsubscribe"
    r"|messages?|sending)\b"
)
# "Não quero mais receber a fatura pelo correio" has both, but is about the account.
_ACCOUNT_WORDS = re.compile(
    r"\b(?:boleto|conta|plano|internet|wifi|contrato|matricula|pix|mensalidade|cobrancas?"
    r"|pagamento|bloqueio)\b"
)
_NAMES_MESSAGES = re.compile(rf"(?<!por )\b(?:{_MESSAGE_WORDS}|lista)\b")
_OPT_OUT_REFUSAL = re.compile(r"\bnao (?:quero|vou)(?: mais)? (?:parar|sair|deixar|cancelar)\b")


def find_certain_intent(words: Sequence[str]) -> Intent | None:
    """Return the intent that the words alone determine, if any."""
    sentence = " ".join(words)
    plain = " ".join(_POLITE_WORDS.sub(" ", sentence).split())
    if plain in OPT_OUT_MESSAGES:
        return Intent.OPT_OUT
    if _OPT_IN_REQUEST.fullmatch(plain):
        return Intent.OPT_IN
    if _HUMAN_REQUEST.search(_HUMAN_REFUSAL.sub(" ", sentence)):
        return Intent.TALK_TO_HUMAN
    return Intent.OPT_OUT if _OPT_OUT_REQUEST.search(sentence) else None


def may_be_opt_out(words: Sequence[str]) -> bool:
    """Return whether the words support an opt-out, since a wrong one silences a customer."""
    sentence = " ".join(words)
    about_account = _ACCOUNT_WORDS.search(sentence) and not _NAMES_MESSAGES.search(sentence)
    if about_account or _OPT_OUT_REFUSAL.search(sentence):
        return False
    return bool(_STOP_WORDS.search(sentence) and _MESSAGING_WORDS.search(sentence))

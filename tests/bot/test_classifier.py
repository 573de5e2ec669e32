"""Certain intents, and a minimum accuracy on phrases outside the training data."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from chatbot.bot.understanding.classifier import (
    PHRASES,
    Classifier,
    Intent,
    classify,
    load_classifier,
)
from chatbot.bot.understanding.spelling import SpellingCorrector
from chatbot.bot.understanding.tokenization import HEAD_WORDS, TAIL_WORDS, tokenize

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests/data/utterances_pt_br.tsv"

Phrases = list[tuple[Intent, str]]

UNSEEN_LINES = """
address_location: manda a localização da loja pelo maps pfv
address_location: preciso levar uns documentos ai, como eu chego?
address_location: qual o enderesso da escola
address_location: tem alguma loja de vcs aqui perto da rodoviaria
balance_due: qnto q ta minha divida ai
balance_due: boa tarde, ficou alguma mensalidade pra tras?
balance_due: quanto deu minha fatura esse mes?
balance_due: quero saber quanto to devendo pra vcs 😬
balance_due: tem conta atrasada no cpf da minha mãe?
business_hours: ate q horas tem gente ai na loja
business_hours: a secretaria ta funcionando nas ferias de julho?
business_hours: q hrs começa o expediente de vcs amanha
business_hours: vai ter atendimento no feriado de quinta
cancel_service: quero cancelar essa porcaria de internet
cancel_service: como q eu faço pra encerrar o plano?
cancel_service: n vou mais ficar com a net de vcs, podem cancelar
cancel_service: quero tirar minha filha da escola no fim do semestre, como cancelo
cancel_service: qual a multa se eu sair antes da fidelidade
complaint: voces sao uma piada de mau gosto, pessimo atendimento
complaint: isso é um absurdo vou procurar o procon
complaint: nunca vi empresa tão ruim 🤬
complaint: quero deixar uma reclamaçao do tecnico q veio aqui
due_date: da pra mudar o vencimento pro dia 15
due_date: ate quando eu posso pagar sem multa
due_date: minha fatura vence quando hein
due_date: esqueci o dia do vencimento da net
fallback: qual o melhor carro pra comprar em 2024
fallback: me fala uma receita de brigadeiro
fallback: manda um meme bem engraçado
fallback: vcs vendem passagem de onibus?
fallback: quero marcar uma manicure
fallback: to precisando de um encanador urgente
fallback: mae compra pao
fallback: vcs tao precisando de funcionario?
fallback: qual a capital da australia
goodbye: ate mais entao
goodbye: flw, ate amanha
goodbye: nao preciso de mais nada, era so isso
greeting: boa tardeee, td bem com vcs?
greeting: oiii gente, bom dia pra todos
invoice_copy: meu boelto nao chegou esse mes
invoice_copy: consegue me enviar a fatura de agosto por aqui?
invoice_copy: quero o codigo de barra da conta de internet
invoice_copy: oi, eu apaguei sem querer a mensagem com a fatura, pode mandar outra vez?
opt_out: tira meu telefone dessa lista ai
opt_out: nao quero mais receber essas propagandas no zap
opt_out: parem de me mandar promoçao
opt_out: por favor me descadatrem dessas msgs
payment_done: ja foi pago ontem no app do banco
payment_done: eu paguei e ainda ta aparecendo em aberto
payment_done: fiz o pix ontem vcs receberam?
payment_done: ta aqui o comprovante 👇
pix_payment: me manda a chave pix de vcs
pix_payment: boa noite, gera um qr code do pix pra mim
pix_payment: qual o pix p pagar a mensalidade
plan_upgrade: quero aumenta a velocidade da minha net
plan_upgrade: vcs tem algum plano mais em conta?
plan_upgrade: bom dia queria trocar meu plano por um mais rapido
plan_upgrade: tem fibra de 1 giga?
talk_to_human: quero falar com uma pessoa de vdd
talk_to_human: chama alguem ai do financeiro
talk_to_human: isso é robo? quero gente
talk_to_human: tem algm ai pra me ajudar?
technical_support: o modem ta com a luz vermelha acesa
technical_support: wifi nao conecta no celular
technical_support: quero q essa net pare de cair
technical_support: intenet mt lenta nao carrega nem video
technical_support: boa noite choveu aqui e a internet nao voltou mais
thanks: valeu demais, ajudou muito
unblock_trust: libera minha net por favor q pago na sexta
unblock_trust: cortaram minha internet, tem como religar?
unblock_trust: minha net ta bloqueada como faço pra desbloquear
unblock_trust: tem aquele desbloqueio de confiança?
unblock_trust: to sem pagar mas recebo dia 10, libera ate la
"""


def read_phrases(text: str, separator: str) -> Phrases:
    pairs = (line.split(separator, 1) for line in text.splitlines() if line)
    return [(Intent(intent), phrase) for intent, phrase in pairs]


def accuracy(model: Classifier, phrases: Phrases) -> float:
    return sum(model.classify(text).intent is intent for intent, text in phrases) / len(phrases)


UNSEEN = read_phrases(UNSEEN_LINES, ": ")
TRAINING = read_phrases(PHRASES.read_text(encoding="utf-8"), "\t")


@pytest.mark.parametrize(
    "text",
    [
        "SAIR", "sair", "Sair.", "sairrr!!!", "*SAIR*", "sair, por favor", "parar", "PARE", "stop",
        "  Stop  ", "descadastrar", "não quero mais receber mensagens",
        "Bom dia, nao quero mais receber msgs de vcs", "parem de me mandar propaganda",
    ],
)  # fmt: skip
def test_a_plain_request_to_stop_messages_is_always_obeyed(text: str) -> None:
    assert classify(text).intent is Intent.OPT_OUT
    assert classify(text).confidence == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "quero cancelar", "cancelar", "parar de cair", "quando vai parar de cair", "quero sair",
        "quero sair do plano", "não quero mais", "não quero mais a internet", "p", "para",
        "não recebi a mensagem com o boleto", "não quero mais receber a fatura pelo correio",
        "não quero receber o boleto por mensagem", "parem de me cobrar, já paguei",
        "quero receber as promoções", "não quero parar de receber mensagens",
        "tira meu nome do serasa", "que horas posso sair", "stop de luz queimado no carro",
    ],
)  # fmt: skip
def test_other_requests_to_stop_something_are_not_opt_outs(text: str) -> None:
    assert classify(text).intent is not Intent.OPT_OUT


@pytest.mark.parametrize(
    "text",
    [
        "falar com atendente", "FALAR COM ATENDENTE", "falar c/ atendente",
        "quero falar com um atendente, minha internet caiu",
        "bom dia, preciso falar com alguém sobre meu boleto",
        "não quero falar com robô, quero falar com atendente",
        "já paguei o boleto no pix e a internet caiu, não conecta, quero falar com a gerente",
    ],
)  # fmt: skip
def test_a_request_for_a_person_is_always_recognized(text: str) -> None:
    assert classify(text).intent is Intent.TALK_TO_HUMAN


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("bom dia, me manda o boleto", Intent.INVOICE_COPY),
        ("oi, boa tarde! tudo bem? me manda a fatura por favor, obrigado", Intent.INVOICE_COPY),
        ("olá bom dia qual o pix", Intent.PIX_PAYMENT),
        ("boa noite, to sem internet", Intent.TECHNICAL_SUPPORT),
        ("bom dia quero cancelar", Intent.CANCEL_SERVICE),
    ],
)
def test_a_request_has_precedence_over_a_greeting_around_it(text: str, intent: Intent) -> None:
    assert classify(text).intent is intent


def test_a_request_is_found_in_the_middle_of_a_long_story() -> None:
    story = (
        "oi boa noite meu filho ficou doente e passei o dia inteiro no hospital com ele {} "
        "e depois ainda fui no mercado e encontrei a vizinha que mandou um abraço"
    )
    assert classify(story.format("me manda a segunda via do boleto")).intent is Intent.INVOICE_COPY
    assert classify(story.format("a internet nao funciona")).intent is Intent.TECHNICAL_SUPPORT
    assert classify(story.format("e ele queria um sorvete")).intent is Intent.FALLBACK


@pytest.mark.parametrize("text", ["oi", "Oi!", "OIII", "bom dia", "Olá!! 😊"])
def test_a_bare_greeting_is_a_greeting(text: str) -> None:
    assert classify(text).intent is Intent.GREETING


@pytest.mark.parametrize(
    "text", ["", "   ", "...", "😀😀", "👍", "kkkkkk", "aham", "quem descobriu a américa", "漢字"]
)
def test_irrelevant_text_is_fallback(text: str) -> None:
    assert classify(text).intent is Intent.FALLBACK


def test_4096_characters_of_noise_are_fallback() -> None:
    rng = random.Random(7)
    letters = "abcdefghij klmnop qrstuv wxyz ç 😀 \n\x00"
    for noise in ("a" * 4096, "ha" * 2048, "😀" * 4096, "ﷺ" * 4096, "9" * 4096):
        assert classify(noise).intent is Intent.FALLBACK
    assert classify("".join(rng.choices(letters, k=4096))).intent is Intent.FALLBACK


def test_the_unseen_phrases_are_not_in_the_training() -> None:
    trained = {tuple(tokenize(text)) for _, text in TRAINING}
    assert [text for _, text in UNSEEN if tuple(tokenize(text)) in trained] == []


def test_at_least_95_in_100_unseen_phrases_are_understood() -> None:
    assert accuracy(load_classifier(), UNSEEN) >= 0.95


def test_typing_errors_cost_little_accuracy() -> None:
    rng = random.Random(7)
    swapped = [(intent, swap_two_letters(text, rng)) for intent, text in UNSEEN]
    assert accuracy(load_classifier(), swapped) >= 0.88


def test_one_typo_in_a_known_word_is_fixed_and_a_short_word_is_kept() -> None:
    spelling = SpellingCorrector.train({"boleto": 9, "internet": 9, "bolo": 1, "conta": 9})
    slips = ["boelto", "boletto", "bolet", "bxleto", "itnernet", "bola", "guitarra"]
    fixed = ["boleto", "boleto", "boleto", "boleto", "internet", "bola", "guitarra"]
    assert [spelling.correct(slip) for slip in slips] == fixed


def test_the_work_for_a_message_does_not_grow_with_its_length() -> None:
    assert len(tokenize("manda ai " * 455)) == HEAD_WORDS + TAIL_WORDS


def test_chat_abbreviations_are_expanded() -> None:
    assert (
        tokenize("Vc me manda a 2ª VIAAA pfv??") == "voce me manda a segunda via por favor".split()
    )
    assert tokenize("kkkk ñ pego a net 300MB 😡") == "nao pego a internet 0 mega raivaemoji".split()


def swap_two_letters(text: str, rng: random.Random) -> str:
    said = text.split()
    longest = max(range(len(said)), key=lambda place: len(said[place]))
    word = said[longest]
    at = rng.randrange(max(1, len(word) - 1))
    said[longest] = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
    return " ".join(said)


def test_the_samples_are_understood_and_none_is_a_training_phrase() -> None:
    samples = read_phrases(SAMPLES.read_text(encoding="utf-8"), "\t")
    trained = {text.casefold() for _, text in TRAINING}
    assert [text for _, text in samples if text.casefold() in trained] == []
    assert accuracy(load_classifier(), samples) >= 0.92


def test_the_same_phrases_in_any_run_give_the_same_predictions() -> None:
    script = (
        "from chatbot.bot.understanding.classifier import classify\n"
        "for text in ('me ve o boleto', 'internet', 'quero', 'qual o dia', 'tem como'):\n"
        "    print(classify(text))\n"
    )
    runs = {
        subprocess.check_output(
            [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONHASHSEED": seed}, text=True
        )
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1
    assert "invoice_copy" in runs.pop()


def test_importing_the_bot_trains_nothing() -> None:
    script = (
        "from chatbot.bot.understanding.classifier import load_classifier as load;"
        "print(load.cache_info().currsize)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True)
    assert printed.strip() == "0"


def test_every_intent_has_phrases_and_no_phrase_has_two_intents() -> None:
    for intent in set(Intent) - {Intent.OPT_IN, Intent.KEEP_CONSENT}:  # by rules and buttons
        assert sum(trained is intent for trained, _ in TRAINING) >= 80
    texts = [text.casefold() for _, text in TRAINING]
    assert len(texts) == len(set(texts))


def test_a_prediction_is_frozen_and_its_scores_are_sorted() -> None:
    prediction = classify("me ve o boleto ai")
    assert prediction.scores[0] == (prediction.intent, prediction.confidence)
    assert [share for _, share in prediction.scores] == sorted(
        (share for _, share in prediction.scores), reverse=True
    )
    with pytest.raises(AttributeError):
        prediction.confidence = 0.0  # type: ignore[misc]


def test_a_model_learns_only_from_the_phrases_it_is_given() -> None:
    tiny = Classifier.train([(Intent.THANKS, "valeu demais"), (Intent.GREETING, "oi pessoal")])
    assert tiny.classify("valeu").intent is Intent.THANKS
    assert Classifier.train([]).classify("valeu").intent is Intent.FALLBACK

"""Fictitious customers and conversations of a fictitious internet provider, Vento Sul Fibra."""

from __future__ import annotations

FIRST_NAMES = (
    "Maria João Ana José Francisca Antônio Juliana Carlos Fernanda Paulo Camila Pedro "
    "Beatriz Lucas Larissa Marcos Patrícia Rafael Aline Gabriel"
).split()
LAST_NAMES = (
    "Souza Silva Oliveira Santos Pereira Lima Carvalho Ribeiro Almeida Gonçalves Araújo "
    "Barbosa Rocha Cardoso Teixeira Moreira Conceição Nunes Farias Brandão"
).split()
CITIES = (
    ("Porto Alegre", "51"),
    ("Pelotas", "53"),
    ("São Paulo", "11"),
    ("Florianópolis", "48"),
    ("Recife", "81"),
)
PLANS = (("Fibra 300", 8990), ("Fibra 500", 10990), ("Fibra 700", 12990), ("Fibra Gamer", 17990))

# (author, text, minutes after the first message)
CONVERSATIONS: tuple[tuple[tuple[str, str, int], ...], ...] = (
    (
        ("contact", "bom dia, me manda meu boleto", 0),
        ("bot", "*Fibra 500 · novembro*: R$ 109,90, vencimento em 10/11/2026.", 1),
        ("contact", "valeu!", 4),
        ("bot", "Por nada! Se precisar de mais alguma coisa, é só escrever.", 4),
    ),
    (
        ("contact", "minha internet caiu de novo", 0),
        (
            "bot",
            "Um atendente responde isso melhor. Já estou chamando; só um momento, por favor.",
            1,
        ),
        ("agent", "Oi! Sou a Carla, do suporte. A luz do modem está vermelha?", 9),
        ("contact", "tá sim, desde ontem à noite", 11),
        ("agent", "Abri um chamado; o técnico passa amanhã de manhã.", 14),
        ("contact", "obrigado", 15),
    ),
    (
        ("contact", "oi", 0),
        ("bot", "Olá! Sou a assistente virtual da Vento Sul Fibra. O que você precisa?", 1),
        ("contact", "quero pagar por pix", 2),
        ("bot", "Pix de *Fibra 300 · novembro*: R$ 89,90.", 2),
    ),
    (
        ("contact", "quero falar com um atendente", 0),
        ("bot", "Certo! Estou chamando um atendente. Alguém responde por aqui em instantes.", 1),
    ),
)

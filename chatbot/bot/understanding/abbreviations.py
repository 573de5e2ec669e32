"""Chat abbreviations and their full words; only forms that are not words of our domain."""

from __future__ import annotations

# "num" is omitted: it is both "não" and "em um".
_TABLE = """
que: q ke
o que: oq oque
porque: pq pk
voce: vc vose ce vce
voces: vcs vs ceis vcss
nao: n nn naum nop naao
tambem: tb tbm tbem
tudo: td tdo
todos: tds
beleza: blz bele blza
quero: qro qero kero queru qeru
queria: qria keria
quando: qdo qnd qndo cuando
quanto: qto qnt qnto qt cuanto
quantos: qts
qual: ql qal quau
qualquer: qq qlqr qlq
quem: qm
mesmo: msm msmo
hoje: hj oje
amanha: amh amanh
depois: dps dpois
agora: agr agra
ja: jah
muito: mt mto mtu
muita: mta
muitos: mts
obrigado: obg obgd obgdo brigado brigadao obrigadao
obrigada: obgda brigada
valeu: vlw vlws valew valeo
falou: flw flws
thanks: tks thx
por favor: pf pfv pfvr pfr plis pls pfavor porfavor fav
gente: gnt
mensagem: msg msgs mensagen mensagens menssagem mensagems msgm msn
comigo: cmg
contigo: ctg
com: cm c
de: d
para: p pra pro pras pros
para um: prum
esta: ta tah
estou: to tou
estao: tao
estava: tava
estamos junto: tmj
e: eh
aqui: aki aq ak
acho: axo
onde: ond aonde
cade: kd cd
endereco: end
telefone: tel fone
celular: cel
numero: nr nro
horas: h hr hrs hs
minutos: min
mega: mb mbps megas megabytes megabyte
giga: gb gigas
internet: net nete
boleto: fatura faturas boletos carne bolet
beijo: bjo
beijos: bj bjs
abracos: abs abraco
fim de semana: fds
ate: att
whatsapp: zap zapp wpp whats wats zapzap wats
aplicativo: app apk
bom dia: bdia bomdia
boa tarde: boatarde
boa noite: boanoite
de novo: dnv dnovo denovo
ninguem: ngm
nada: nd
sei la: sla
sim: s ss
pagamento: pgto pgt pagto pag
vencimento: venc
pix: pics px picx piks
wifi: waifai uaifai uifi wiffi
segunda: seg
sabado: sab
domingo: dom
e ai: eai iai eae iae
ai: ae aew
"""


def _parse_table(table: str) -> dict[str, tuple[str, ...]]:
    lines = (line.split(":") for line in table.strip().splitlines())
    return {short: tuple(full.split()) for full, shorts in lines for short in shorts.split()}


FULL_WORDS: dict[str, tuple[str, ...]] = _parse_table(_TABLE)

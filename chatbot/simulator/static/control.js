/** Control page: settings and faults as a form, the templates, and the last sends. */
import { get, make, post } from "./api.js";
import { begin as beginActions } from "./actions.js";
import { phoneNumber } from "./format.js";
import { locale, t, translatePage } from "./i18n.js";

const REFRESH_MS = 2000;
const SHOWN = 50;
const STATES = { APPROVED: "Aprovado", PENDING: "Em análise", REJECTED: "Rejeitado", PAUSED: "Pausado",
  DISABLED: "Desativado", IN_APPEAL: "Em recurso", PENDING_DELETION: "Em exclusão", LIMIT_EXCEEDED: "Limite excedido",
  ARCHIVED: "Arquivado" };
const QUALITIES = { UNKNOWN: "Sem nota", GREEN: "Alta", YELLOW: "Média", RED: "Baixa" };
const CATEGORIES = { MARKETING: "Marketing", UTILITY: "Utilidade", AUTHENTICATION: "Autenticação" };
const KINDS = { text: "Texto", interactive: "Interativa", template: "Modelo", image: "Imagem", audio: "Áudio",
  video: "Vídeo", document: "Documento", location: "Local", contacts: "Contato", sticker: "Figurinha", reaction: "Reação", read: "Leitura" };
const TILES = { accepted: "Aceitas", refused: "Recusadas", unique_recipients: "Destinatários",
  max_per_recipient: "Máximo por pessoa", duplicates: "Repetidas", webhooks_delivered: "Webhooks entregues",
  webhooks_pending: "Pendentes", people_reached_in_24_h: "Alcançadas em 24 h" };
const GROUPS = {
  "Situação das mensagens": {
    statuses: "Avisar situações", sent_min_s: "Enviada: mínimo (s)", sent_max_s: "Enviada: máximo (s)",
    delivered_min_s: "Entregue: mínimo (s)", delivered_max_s: "Entregue: máximo (s)",
    read_min_s: "Lida: mínimo (s)", read_max_s: "Lida: máximo (s)", read_share: "Parte lida (0 a 1)",
    status_delay_ms: "Atraso dos avisos (ms)" },
  "Falhas no envio (parte, de 0 a 1)": {
    reset_before_accept: "Conexão cai antes de aceitar", http_500_before: "Erro 500 antes de aceitar",
    html_502_before: "502 em HTML antes de aceitar", http_429: "429 sem Graph",
    hang_before_accept: "Não aceita, e não responde", refused: "Recusa com o código",
    refused_code: "Código da recusa", reset_after_accept: "Aceita, e a conexão cai",
    http_500_after: "Aceita, e responde 502 em HTML", unreadable_200: "Aceita, com resposta ilegível",
    hang_after_accept: "Aceita, e não responde", hang_s: "Silêncio dura (s)", latency_ms: "Lentidão (ms)",
    latency_jitter_ms: "Variação da lentidão (ms)" },
  "Falhas nos avisos (parte, de 0 a 1)": {
    webhook_outage: "Segurar todos os webhooks", verify_first: "Verificar antes de entregar", duplicate_status: "Avisos em dobro", duplicate_webhook: "POSTs em dobro",
    shuffle_status: "Avisos fora de ordem", skip_delivered: "Sem o aviso de entregue",
    undeliverable: "Pessoas sem WhatsApp (131026)", failed: "Falham depois com o código",
    failed_code: "Código da falha", failed_contacts: "Falha traz contacts" },
  "Entrega de webhooks": {
    batch_window_ms: "Juntar durante (ms)", batch_size: "Avisos por POST", webhook_concurrency: "POSTs simultâneos",
    webhook_timeout_s: "Prazo da resposta (s)", retry_first_s: "Primeira repetição (s)",
    retry_max_s: "Maior intervalo (s)", retry_give_up_s: "Desistir após (s)",
    mix_inbound: "Mensagens junto aos avisos", inbound_delay_ms: "Mensagens atrasadas (ms)" },
  "Regras da Meta": {
    service_window: "Janela de atendimento", service_window_s: "Duração da janela (s)",
    sync_131047: "131047 já na resposta", throughput_per_s: "Envios por segundo (0 = livre)",
    tier_limit: "Pessoas por dia (0 = livre)", pair_limit: "Limite por pessoa",
    pair_interval_s: "Intervalo por pessoa (s)", pair_burst: "Rajada por pessoa",
    ninth_digit_share: "Sem o nono dígito, DDD 31+", hidden_share: "Pessoas sem número visível",
    management_calls_per_h: "Chamadas de gestão por hora", magic_recipients: "Números mágicos" },
  "Modelos e arquivos": {
    held_share: "Modelos retidos (parte)", held_s: "Retenção dura (s)", held_dropped: "Retidos que caem (parte)",
    review_s: "Análise dura (s)", review_rejected: "Rejeitados na análise (parte)",
    media_url_s: "Endereço de arquivo vale (s)", media_expires_s: "Arquivo vale (s)", wrong_sha256: "sha256 errado" },
  "Simulação": { seed: "Semente", log_limit: "Envios guardados" },
};
const byId = (id) => document.getElementById(id);
const form = byId("settings");
let defaults = {};

async function start() {
  defaults = await get("/_sim/settings/defaults");
  byId("groups").append(...Object.entries(GROUPS).map(group));
  fill(await get("/_sim/settings"));
  await refresh();
}

function group([title, fields]) {
  const rows = Object.entries(fields).map(([name, label]) => make("label", { className: "setting" },
    make("span", {}, t(label)), input(name)));
  return make("fieldset", {}, make("legend", {}, t(title)), ...rows);
}

function input(name) {
  if (typeof defaults[name] === "boolean") return make("input", { type: "checkbox", name });
  return make("input", { type: "number", name, step: "any", min: 0 });
}

function fill(settings) {
  for (const field of inputs()) {
    if (field.type === "checkbox") field.checked = settings[field.name];
    else field.value = settings[field.name];
    mark(field);
  }
}

/** Highlight the settings that differ from their defaults. */
function mark(field) {
  field.parentElement.classList.toggle("changed", valueOf(field) !== defaults[field.name]);
}

function inputs() {
  return [...form.elements].filter((element) => element.name);
}

function valueOf(field) {
  return field.type === "checkbox" ? field.checked : field.valueAsNumber;
}

async function apply(settings) {
  try {
    fill(await post("/_sim/settings", settings));
    outcome(t("Aplicado."), false);
  } catch (error) {
    outcome(`${t("Não foi aplicado:")} ${error.message}`, true);
  }
}

function outcome(text, bad) {
  byId("outcome").textContent = text;
  byId("outcome").classList.toggle("bad", bad);
}

async function refresh() {
  const [summary, { entries }, { templates }] = await Promise.all([
    get("/_sim/log/summary"), get(`/_sim/log?limit=-${SHOWN}`), get("/_sim/templates")]);
  byId("tiles").replaceChildren(...Object.entries(TILES).map(([key, label]) =>
    make("div", {}, make("dt", {}, t(label)), make("dd", {}, summary[key].toLocaleString(locale)))));
  byId("log").replaceChildren(...entries.reverse().map(logRow));
  byId("no-log").hidden = entries.length > 0;
  if (!byId("templates").contains(document.activeElement)) {
    byId("templates").replaceChildren(...templates.map(templateRow));
  }
}

function logRow(entry) {
  const time = new Date(entry.at * 1000).toLocaleTimeString(locale);
  const result = t(entry.accepted ? "Aceita" : "Recusada");
  const why = entry.answer === "ok" ? "" : ` · ${entry.code || entry.answer}`;
  return make("tr", {}, make("td", {}, time),
    make("td", {}, entry.wa_id ? phoneNumber(entry.wa_id) : entry.to || "—"),
    make("td", {}, t(KINDS[entry.type] ?? (entry.type || "—"))),
    make("td", { className: entry.accepted ? "" : "bad" }, result + why),
    make("td", {}, entry.callback_data || "—"));
}

function templateRow({ name, language, category, status, quality_score }) {
  const change = (field, names, value) => {
    const options = Object.entries(names).map(([key, text]) => make("option", { value: key }, t(text)));
    const choice = make("select", { ariaLabel: `${name}: ${field}` }, ...options);
    choice.value = value;
    choice.onchange = () => {
      post("/_sim/templates", { name, language, [field]: choice.value })
        .then(() => outcome(`${name}: ${t(names[choice.value]).toLowerCase()}.`, false))
        .catch((error) => outcome(error.message, true));
      choice.blur();
    };
    return make("td", {}, choice);
  };
  return make("tr", {}, make("td", {}, name), make("td", {}, language),
    change("category", CATEGORIES, category), change("status", STATES, status),
    change("quality", QUALITIES, quality_score?.score ?? "UNKNOWN"));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const empty = inputs().find((field) => field.type === "number" && Number.isNaN(field.valueAsNumber));
  if (empty) {
    outcome(t("Preencha todos os campos com números."), true);
    empty.focus();
    return;
  }
  apply(Object.fromEntries(inputs().map((field) => [field.name, valueOf(field)])));
});
form.addEventListener("input", (event) => mark(event.target));
byId("defaults").addEventListener("click", () => apply(defaults));
byId("reset").addEventListener("click", async () => {
  if (!window.confirm(t("Apagar conversas, registro e ajustes do simulador?"))) return;
  await post("/_sim/reset", {});
  fill(await get("/_sim/settings"));
  await refresh();
});
setInterval(() => refresh().catch((error) => outcome(error.message, true)), REFRESH_MS);

translatePage();
beginActions();
start().catch((error) => outcome(error.message, true));

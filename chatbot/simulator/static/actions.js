/** Actions of the control page: events, the clock, an outage, scripted outcomes. */
import { get, make, post } from "./api.js";
import { t } from "./i18n.js";

const KINDS = {
  number_changed: ["Troca de número (o novo em “outro valor”)", (from, other) => ({ from, to: other })],
  user_id_changed: ["Troca de id de usuário", (from) => ({ from })],
  identity_changed: ["Troca de código de segurança", (from) => ({ from })],
  stop: ["Para de receber marketing", (from) => ({ event: "marketing_choice", from, value: "stop" })],
  resume: ["Volta a receber marketing", (from) => ({ event: "marketing_choice", from, value: "resume" })],
  error: ["Erro sem mensagem (código em “outro valor”)", (_, other) => ({ code: Number(other) })],
};
const byId = (id) => document.getElementById(id);

export async function begin() {
  listen("event", ({ kind, number, other }) => post("/_sim/events", eventOf(kind, number, other)));
  listen("clock", ({ hours }) => post("/_sim/clock", { advance_s: Number(hours) * 3600 }).then(showClock));
  listen("outage", ({ seconds }) => post("/_sim/outage", { seconds: Number(seconds) }));
  listen("script", ({ to, outcomes }) => post("/_sim/scripts", { to, outcomes: outcomes.split(/\s+/).filter(Boolean) }));
  const { account } = await get("/_sim/events");
  byId("event").elements.kind.replaceChildren(
    ...Object.entries(KINDS).map(([value, [label]]) => make("option", { value }, t(label))),
    ...account.map((name) => make("option", { value: `account:${name}` }, `${t("Conta:")} ${name}`)));
  showClock(await get("/_sim/clock"));
}

function eventOf(kind, number, other) {
  const [event, name] = kind.split(":");
  return name ? { event, name } : { event, ...KINDS[event][1](number, other) };
}

function listen(id, act) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const outcome = byId("action-row-outcome");
    try {
      await act(Object.fromEntries(new FormData(event.target)));
      outcome.textContent = t("Feito.");
      outcome.className = "";
    } catch (error) {
      outcome.textContent = error.message;
      outcome.className = "bad";
    }
  });
}

function showClock({ offset_s }) {
  byId("offset").textContent = offset_s ? `${t("Adiantado:")} ${(offset_s / 3600).toFixed(1)} h` : "";
}

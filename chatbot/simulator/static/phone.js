/** Phone page: choice of the customer, thread updated by long polls, and composer. */
import { get, make, post } from "./api.js";
import { fillAttachMenu } from "./attach.js";
import { bubble } from "./bubbles.js";
import { day, phoneNumber } from "./format.js";
import { t, translatePage } from "./i18n.js";

const WAIT_S = 20;
const RETRY_MS = 1500;
const byId = (id) => document.getElementById(id);
const list = byId("messages");
const composer = byId("composer");
const customerForm = byId("customer");

let customer = null;
let people = [];
let thread = new Map(); // id -> message
let items = new Map(); // id -> element
let stopPolling = new AbortController();

const context = { send, pick, find: (id) => thread.get(id) };

async function start() {
  people = await get("/_sim/customers");
  const query = new URLSearchParams(location.search);
  const kept = JSON.parse(localStorage.getItem("customer") ?? "null");
  const named = { number: query.get("numero"), name: query.get("nome") ?? t("Cliente") };
  open(named.number ? named : (kept ?? people[0] ?? { name: "Maria Souza", number: "5511987650001" }));
}

function open(chosen) {
  customer = { name: chosen.name, number: chosen.number.replace(/\D/g, "") };
  localStorage.setItem("customer", JSON.stringify(customer));
  customerForm.elements.name.value = customer.name;
  customerForm.elements.number.value = phoneNumber(customer.number);
  byId("side").classList.remove("open");
  showPeople();
  clear();
  stopPolling.abort();
  stopPolling = new AbortController();
  poll(customer.number, stopPolling.signal);
}

function showPeople() {
  byId("people").replaceChildren(...people.map((person) => {
    const initials = person.name.split(" ").map((word) => word[0]).slice(0, 2).join("");
    const face = make("span", { className: "avatar" }, initials);
    face.setAttribute("aria-hidden", "true");
    const choice = make("button", { className: "person", type: "button", onclick: () => open(person) },
      face, make("strong", {}, person.name), make("span", {}, phoneNumber(person.number)));
    choice.setAttribute("aria-pressed", String(person.number === customer.number));
    return make("li", {}, choice);
  }));
}

async function poll(number, signal) {
  let version = 0;
  let wait = 0;
  while (!signal.aborted) {
    try {
      const update = await get(`/_sim/chat/${number}?since=${version}&wait=${wait}`, signal);
      if (update.version < version) clear(); // the simulator was reset or started again
      version = update.version;
      wait = WAIT_S;
      show(update);
      problem("");
    } catch (error) {
      if (signal.aborted) return;
      problem(error instanceof TypeError ? t("Sem contato com o simulador. Tentando de novo…") : error.message);
      wait = 0;
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

function show({ messages, typing }) {
  byId("presence").textContent = t(typing ? "digitando…" : "Conta comercial");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const hasNewMessage = messages.filter(place).length > 0;
  if (hasNewMessage && atEnd) list.scrollTop = list.scrollHeight;
  if (thread.size) list.querySelector(".empty")?.remove();
  markAsRead();
}

/** Show a new or changed message; return whether it is new. */
function place(message) {
  const known = items.get(message.id);
  thread.set(message.id, message);
  if (message.content.type === "reaction") return react(message);
  const item = bubble(message, context);
  items.set(message.id, item);
  if (known) {
    const reaction = known.querySelector(".reaction");
    if (reaction) item.append(reaction);
    known.replaceWith(item);
    return false;
  }
  const today = day(message.at);
  if (list.dataset.day !== today) list.append(make("li", { className: "day" }, today));
  list.dataset.day = today;
  list.append(item);
  return true;
}

function react({ content }) {
  const target = items.get(content.reaction.message_id);
  target?.querySelector(".reaction")?.remove();
  if (content.reaction.emoji) {
    target?.append(make("span", { className: "reaction" }, content.reaction.emoji));
  }
  return false;
}

/** Report delivered messages as read while the page is visible. */
function markAsRead() {
  const unread = [...thread.values()].some(
    (message) => message.direction === "outbound" && message.status === "delivered");
  if (unread && document.visibilityState === "visible") {
    post("/_sim/read", { wa_id: customer.number }).catch((error) => problem(error.message));
  }
}

async function send(content) {
  try {
    await post("/_sim/inbound", { from: customer.number, name: customer.name, ...content });
    list.scrollTop = list.scrollHeight;
    return true;
  } catch (error) {
    problem(`${t("A mensagem não foi enviada:")} ${error.message}`);
    return false;
  }
}

function pick(message) {
  const { action, header } = message.content.interactive;
  const dialog = byId("list-picker");
  const rows = action.sections.flatMap((section) => section.rows);
  byId("list-title").textContent = header?.text ?? action.button;
  byId("list-sections").replaceChildren(...action.sections.flatMap(sectionOf));
  dialog.returnValue = "";
  dialog.onclose = () => {
    const chosen = dialog.querySelector("input:checked")?.value;
    if (dialog.returnValue !== "send" || chosen === undefined) return;
    const { id, title, description = "" } = rows.find((row) => row.id === chosen);
    send({ type: "list_reply", reply_id: id, title, description, context_id: message.id });
  };
  dialog.showModal();
}

function sectionOf({ title, rows }) {
  const choices = rows.map((row) => make("label", { className: "row" },
    make("input", { type: "radio", name: "row", value: row.id, required: true }),
    make("span", {}, row.title, row.description ? make("small", {}, row.description) : null)));
  return title ? [make("h3", {}, title), ...choices] : choices;
}

function clear() {
  thread = new Map();
  items = new Map();
  delete list.dataset.day;
  list.replaceChildren(make("li", { className: "empty" },
    t("Nenhuma mensagem ainda. Diga oi para começar.")));
}

function problem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = composer.elements.text;
  const text = field.value.trim();
  field.value = "";
  fit(field);
  if (text && !(await send({ type: "text", text }))) field.value = text;
});
composer.elements.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
composer.elements.text.addEventListener("input", (event) => fit(event.target));
customerForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, number } = customerForm.elements;
  open({ name: name.value.trim(), number: number.value });
});
byId("open-side").addEventListener("click", () => byId("side").classList.add("open"));
document.addEventListener("visibilitychange", markAsRead);

/** Grow the field with its text, up to 5 lines. */
function fit(field) {
  field.rows = Math.min(5, field.value.split("\n").length);
}

byId("attach").addEventListener("click", () => { byId("attachments").hidden = !byId("attachments").hidden; });
fillAttachMenu(byId("attachments"), byId("file"), send, problem);
translatePage();
start().catch((error) => problem(error.message));

/** Message bubbles. `context.send` is called with the customer's reply. */
import { make } from "./api.js";
import { fileOf } from "./attach.js";
import { clock, codeIn, formatted, link } from "./format.js";
import { t } from "./i18n.js";

const MEDIA = { image: "Imagem", video: "Vídeo", audio: "Áudio", document: "Documento",
  sticker: "Figurinha" };
const TICKS = { waiting: "Enviada", delivered: "Entregue", read: "Lida" };
const FAILURES = { 131047: "fora da janela de 24 horas", 131026: "número não alcançável",
  131050: "a pessoa não recebe promoções", 131053: "arquivo recusado" };
const SVG = "http://www.w3.org/2000/svg";

export function bubble(message, context) {
  const { content } = message;
  const box = make("div", { className: "box" }, quoted(content, context), ...body(message), meta(message, context));
  const failed = message.status === "failed" ? " failed" : "";
  const item = make("li", { className: `bubble ${message.direction}${failed}` }, box);
  const actions = message.direction === "outbound" ? actionsOf(message, context) : [];
  if (actions.length) item.append(make("div", { className: "actions" }, ...actions));
  return item;
}

/** Return the plain text of a message. */
export function textOf(message) {
  const { content, rendered } = message;
  if (rendered) return rendered.text;
  const { interactive } = content;
  const reply = interactive?.button_reply ?? interactive?.list_reply;
  return content.text?.body ?? reply?.title ?? interactive?.body?.text ?? content.button?.text ??
    content[content.type]?.caption ?? "";
}

function body(message) {
  const { content, rendered } = message;
  const { header, footer } = rendered ?? {
    header: content.interactive?.header?.text, footer: content.interactive?.footer?.text };
  const text = textOf(message);
  return [
    header ? make("div", { className: "text head" }, ...formatted(header)) : null,
    attachment(content),
    text ? make("div", { className: "text" }, ...formatted(text)) : null,
    footer ? make("div", { className: "foot" }, footer) : null,
  ];
}

function attachment(content) {
  const part = content[content.type];
  if (content.type === "location") {
    const name = part.name ?? `${part.latitude}, ${part.longitude}`;
    return make("div", { className: "attachment" }, "📍 ", name);
  }
  if (content.type === "contacts") {
    return make("div", { className: "attachment" }, "👤 ", part[0].name.formatted_name);
  }
  if (!(content.type in MEDIA)) {
    const known = ["text", "interactive", "template", "button", undefined].includes(content.type);
    return known ? null : make("div", { className: "attachment" }, `${t("Mensagem:")} ${content.type}`);
  }
  const name = part.filename ?? t(MEDIA[content.type]);
  const file = fileOf(content, name);
  if (file) return file;
  return make("div", { className: "attachment" }, "📎 ", part.link ? link(part.link, name) : name);
}

function quoted(content, { find }) {
  const original = find(content.context?.message_id ?? content.context?.id);
  return original ? make("div", { className: "quote" }, ...formatted(textOf(original))) : null;
}

function meta(message, context) {
  const row = make("div", { className: "meta" }, make("time", {}, clock(message.at)));
  if (message.direction === "inbound") row.append(ticks(message.status));
  else row.append(reactButton(message, context));
  if (message.status === "failed") {
    const why = t(FAILURES[message.code] ?? "") || `${t("erro")} ${message.code}`;
    row.prepend(make("span", { className: "error" }, `${t("Não chegou:")} ${why}`));
  }
  return row;
}

function reactButton(message, { send }) {
  const like = make("button", { className: "react", type: "button", textContent: "♡",
    onclick: () => send({ type: "reaction", message_id: message.id, emoji: "❤️" }) });
  like.setAttribute("aria-label", t("Reagir"));
  return like;
}

function ticks(status) {
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("class", `ticks ${status}`);
  icon.setAttribute("viewBox", "0 0 18 11");
  icon.setAttribute("role", "img");
  icon.setAttribute("aria-label", t(TICKS[status] ?? status));
  const strokes = status === "waiting" ? ["M6 6l3 3 6-8"] : ["M1 6l3 3 6-8", "M8 8l1 1 6-8"];
  for (const stroke of strokes) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", stroke);
    icon.append(path);
  }
  return icon;
}

function actionsOf(message, context) {
  const { interactive } = message.content;
  const action = interactive?.action;
  const buttons = [
    ...copyAction(textOf(message)),
    ...(message.rendered?.buttons ?? []).map((button) => templateButton(button, message, context)),
    ...(action?.buttons ?? []).map(({ reply }) => button(reply.title, () => context.send({
      type: "button_reply", reply_id: reply.id, title: reply.title, context_id: message.id }))),
  ];
  if (action?.sections) buttons.push(button(`☰ ${action.button}`, () => context.pick(message)));
  if (action?.name === "cta_url") {
    buttons.push(link(action.parameters.url, action.parameters.display_text, "action"));
  }
  return buttons;
}

function templateButton({ type, text, payload, url }, message, context) {
  if (type === "URL") return link(url, text, "action");
  if (type !== "QUICK_REPLY") return make("button", { className: "action", disabled: true }, text);
  return button(text, () => context.send({ type: "button", text, payload, context_id: message.id }));
}

function copyAction(text) {
  const code = codeIn(text);
  if (!code) return [];
  const copy = button(t("Copiar código"), async () => {
    await navigator.clipboard.writeText(code);
    copy.textContent = t("Copiado");
    setTimeout(() => { copy.textContent = t("Copiar código"); }, 2000);
  });
  return [copy];
}

function button(text, onclick) {
  return make("button", { className: "action", type: "button", onclick }, text);
}

/** WhatsApp's text formatting as elements. Built with text nodes, so that nothing can be injected. */
import { make } from "./api.js";
import { locale, t } from "./i18n.js";

const MARKS = new RegExp(
  [
    "```([\\s\\S]+?)```",
    "`([^`\\n]+)`",
    "(?<![\\p{L}\\p{N}])\\*([^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?![\\p{L}\\p{N}])",
    "(?<![\\p{L}\\p{N}])_([^\\s_](?:[^_\\n]*[^\\s_])?)_(?![\\p{L}\\p{N}])",
    "(?<![\\p{L}\\p{N}])~([^\\s~](?:[^~\\n]*[^\\s~])?)~(?![\\p{L}\\p{N}])",
    "(https?:\\/\\/[^\\s<>\"]*[^\\s<>\".,;:!?)*_~])",
  ].join("|"),
  "gu",
);
const TAGS = ["pre", "code", "strong", "em", "s"];
// Payment codes: a Pix code is a line that starts with 000201, a boleto has 44 to 48 digits.
const CODE = /^000201.{40,}$|(?<!\d)\d(?:[ .-]?\d){43,47}(?!\d)/m;

export function formatted(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(MARKS)) {
    parts.push(text.slice(end, match.index), element(match));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)].filter((part) => part !== "");
}

function element(match) {
  const [, ...groups] = match;
  const index = groups.findIndex((group) => group !== undefined);
  if (index === TAGS.length) return link(groups[index], groups[index]);
  const inner = index < 2 ? [groups[index].trim()] : formatted(groups[index]);
  return make(TAGS[index], {}, ...inner);
}

export function link(url, text, className = "") {
  const safe = /^https?:\/\//i.test(url) ? url : "#";
  return make("a", { href: safe, target: "_blank", rel: "noopener noreferrer", className }, text);
}

/** Return the code in a message that a customer may want to copy, or "". */
export function codeIn(text) {
  const mono = text.match(/```([\s\S]+?)```/);
  return mono ? mono[1].trim() : (text.match(CODE)?.[0] ?? "");
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}

export function day(seconds) {
  const date = new Date(seconds * 1000);
  if (date.toDateString() === new Date().toDateString()) return t("Hoje");
  return date.toLocaleDateString(locale, { day: "numeric", month: "long", year: "numeric" });
}

export function phoneNumber(digits) {
  const match = digits.match(/^55(\d{2})(\d{4,5})(\d{4})$/);
  return match ? `+55 ${match[1]} ${match[2]}-${match[3]}` : `+${digits}`;
}

/** Attachments of a customer: a file, a location, a contact card. */
import { make, upload } from "./api.js";
import { t } from "./i18n.js";

const PRACA_DA_SE = { latitude: -23.5503, longitude: -46.6339, place: "Praça da Sé", address: "Sé, São Paulo" };

/** Fill the menu; `send` is called with a message, `problem` with the text of an error. */
export function fillAttachMenu(menu, picker, send, problem) {
  const entries = {
    "Foto, áudio, vídeo ou documento": () => picker.click(),
    "Figurinha (WebP)": () => pickSticker(picker),
    "Localização": () => send({ type: "location", ...PRACA_DA_SE }),
    "Contato": () => send({ type: "contacts", contact_name: "Ana Lima", contact_phone: "+55 11 98765-0003" }),
  };
  menu.replaceChildren(...Object.entries(entries).map(([label, act]) => make("button", {
    type: "button", className: "button", onclick: () => { menu.hidden = true; act(); } }, t(label))));
  picker.onchange = async () => {
    const [file] = picker.files;
    const asSticker = picker.dataset.sticker === "yes";
    picker.dataset.sticker = "no";
    picker.value = "";
    if (!file) return;
    try {
      const { media_id, kind } = await upload(file);
      await send({ type: asSticker ? "sticker" : kindOf(kind), media_id, voice: kind === "audio" });
    } catch (error) {
      problem(error.message);
    }
  };
}

/** Return the message type of a file kind; an unknown kind is sent as a document. */
function kindOf(kind) {
  return ["image", "video", "audio", "sticker"].includes(kind) ? kind : "document";
}

function pickSticker(picker) {
  picker.dataset.sticker = "yes";
  picker.click();
}

/** Return the element that shows the message's file, or null if it has none. */
export function fileOf(content, name) {
  const part = content[content.type];
  if (!part?.id) return null;
  const src = `/_sim/media/${part.id}`;
  if (content.type === "image" || content.type === "sticker") {
    return make("img", { src, alt: part.caption || t("Imagem"), className: content.type });
  }
  if (content.type === "audio" || content.type === "video") {
    return make(content.type, { src, controls: true, preload: "metadata" });
  }
  return make("a", { href: src, download: part.filename ?? "", className: "attachment" }, "📎 ", name);
}

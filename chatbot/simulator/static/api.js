/** Calls of the control API. A refusal becomes an Error whose text can be shown. */

export async function get(path, signal) {
  return read(await fetch(path, { signal }));
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return read(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

/** Upload a file to the simulator; return {media_id, kind}. */
export async function upload(file) {
  const query = new URLSearchParams({ name: file.name, mime: file.type || "application/octet-stream" });
  const headers = { "Content-Type": "application/octet-stream" };
  return read(await fetch(`/_sim/media?${query}`, { method: "POST", headers, body: file }));
}

async function read(answer) {
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error ?? `HTTP ${answer.status}`);
  return content;
}

/** Create an element with properties and children. Text is never parsed as markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { className, ...rest } = properties;
  if (className) element.className = className;
  Object.assign(element, rest);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

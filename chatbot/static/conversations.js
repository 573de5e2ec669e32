// Refresh of an open thread: insert new messages and ticks without losing the typed reply or the scroll
// position. prosa.js makes the requests; this script applies the responses.
"use strict";

(function () {
  const chat = document.getElementById("chat");
  const list = document.getElementById("messages");
  const box = document.getElementById("chat-scroll");
  const jump = document.getElementById("jump");
  const form = document.getElementById("reply");
  const text = document.getElementById("text");
  const send = document.getElementById("send");
  const count = document.getElementById("count");
  if (!chat) return;

  const parse = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };
  const isAtEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const scrollToEnd = () => { box.scrollTop = box.scrollHeight; jump.hidden = true; };

  // --- days ---------------------------------------------------------------------------------------

  function insertDayMarks() {
    for (const mark of list.querySelectorAll(".day-mark")) mark.remove();
    let day = null;
    for (const bubble of [...list.children]) {
      if (bubble.dataset.day === day) continue;
      day = bubble.dataset.day;
      const mark = document.createElement("li");
      mark.className = "day-mark";
      mark.textContent = day;
      list.insertBefore(mark, bubble);
    }
  }

  // --- refresh ------------------------------------------------------------------------------------

  function merge(html) {
    let previous = null;
    let added = 0;
    for (const fresh of parse(html).querySelectorAll(".bubble")) {
      const present = document.getElementById(fresh.id);
      if (present && present.dataset.version === fresh.dataset.version) {
        previous = present;
        continue;
      }
      if (present) present.replaceWith(fresh);
      else if (previous) previous.after(fresh);
      else list.append(fresh);
      if (!present) added += 1;
      previous = fresh;
    }
    return added;
  }

  chat.addEventListener("refreshed", (event) => {
    const answer = event.detail;
    const wasAtEnd = isAtEnd();
    const added = merge(answer.messages);
    if (added) insertDayMarks();
    if (wasAtEnd) scrollToEnd(); // also after a failure reason has made a bubble taller
    else if (added) jump.hidden = false;
    showHead(answer.head, answer.head_version);
    showWindow(answer.is_open);
    markRead(answer.unread);
  });

  function showHead(html, version) {
    const place = document.getElementById("chat-head");
    // Not while one of its buttons is pressed: the click would be lost.
    if (version === place.dataset.version || place.matches(":focus-within")) return;
    place.dataset.version = version;
    place.replaceChildren(parse(html));
  }

  function showWindow(isOpen) {
    document.getElementById("window-closed").hidden = isOpen;
    if (form.dataset.sending !== "yes") send.disabled = !isOpen;
  }

  function markRead(unread) {
    if (unread && !document.hidden) postRead({});
  }

  function postRead(fields) {
    const token = form.querySelector("[name=csrf_token]").value;
    const body = new URLSearchParams(fields);
    fetch(chat.dataset.readUrl, { method: "POST", body, headers: { "X-CSRFToken": token } }).catch(() => {});
  }

  jump.addEventListener("click", scrollToEnd);
  box.addEventListener("scroll", () => { if (isAtEnd()) jump.hidden = true; });

  // --- older messages, inserted above without scrolling --------------------------------------------

  const older = document.getElementById("older");
  older?.addEventListener("click", async (event) => {
    event.preventDefault();
    older.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(older.href, { redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const height = box.scrollHeight;
      list.prepend(...page.querySelectorAll("#messages > .bubble"));
      const next = page.getElementById("older");
      if (next) older.href = next.href;
      else older.parentElement.remove();
      insertDayMarks();
      box.scrollTop += box.scrollHeight - height;
    } catch {
      location.href = older.href;
    }
    older.setAttribute("aria-busy", "false");
  });

  // --- the reply ----------------------------------------------------------------------------------

  const maxLength = text.maxLength;
  function resizeInput() {
    text.rows = Math.min(7, Math.max(1, text.value.split("\n").length));
    const left = maxLength - text.value.length;
    count.hidden = left > 500;
    count.textContent = `${text.value.length} / ${maxLength}`;
  }
  text.addEventListener("input", resizeInput);

  // WhatsApp shows "typing" for 25 seconds; the server checks that the conversation is assigned to us.
  const TYPING_MS = 20000;
  let typingSentAt = 0;
  text.addEventListener("input", () => {
    if (send.disabled || !text.value || Date.now() - typingSentAt < TYPING_MS) return;
    typingSentAt = Date.now();
    postRead({ typing: "1" });
  });

  const file = document.getElementById("file");
  const chosen = document.getElementById("chosen");
  function showChosen() {
    chosen.hidden = !file.files.length;
    document.getElementById("chosen-name").textContent = file.files[0]?.name || "";
  }
  file.addEventListener("change", () => { showChosen(); text.focus(); });
  document.getElementById("unchoose").addEventListener("click", () => { file.value = ""; showChosen(); });
  showChosen();
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !send.disabled) {
      event.preventDefault();
      form.requestSubmit(send);
    }
  });

  resizeInput();
  insertDayMarks();
  markRead(Number(chat.dataset.unread));
  if ("stickToEnd" in box.dataset) scrollToEnd();
  if (text.classList.contains("is-invalid")) text.focus();
})();

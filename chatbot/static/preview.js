// A form with data-preview-url shows in data-preview what the server makes of its values, while they
// are typed. Without this script the page still shows it, once the form is sent.
"use strict";

(function () {
  const PAUSE_MS = 250;
  for (const form of document.querySelectorAll("form[data-preview-url]")) {
    const target = document.querySelector(form.dataset.preview);
    let timer = 0;
    let latestRequest = 0;

    async function show() {
      const values = new FormData(form);
      values.delete("csrf_token");
      const requestNumber = ++latestRequest;
      try {
        const answer = await fetch(`${form.dataset.previewUrl}?${new URLSearchParams(values)}`, { redirect: "error" });
        const html = await answer.text();
        if (answer.ok && requestNumber === latestRequest) target.innerHTML = html; // an older answer may come later
      } catch { /* the next key asks again */ }
    }

    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, PAUSE_MS);
    });
  }
})();

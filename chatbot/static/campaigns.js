// Campaign page: the parts prosa.js does not fill in, and the form of the parameters.
"use strict";

(function () {
  const campaign = document.getElementById("campaign");
  const pace = document.getElementById("pace");
  const samples = []; // [seconds, recipients done], most recent ones

  function showPace(done, planned, isRunning) {
    const now = performance.now() / 1000;
    samples.push([now, done]);
    while (samples.length > 2 && now - samples[0][0] > 20) samples.shift();
    const rate = (done - samples[0][1]) / Math.max(now - samples[0][0], 1);
    pace.textContent = "";
    if (!isRunning || rate <= 0 || done >= planned) return;
    const language = document.documentElement.lang || "pt-BR";
    const ready = new Date(Date.now() + (1000 * (planned - done)) / rate);
    const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(ready);
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: rate < 10 ? 1 : 0 }).format(rate);
    pace.textContent = " · " + pace.dataset.words.replace("{rate}", number).replace("{time}", time);
  }
  campaign?.addEventListener("refreshed", (event) => {
    const answer = event.detail;
    showPace(answer.done, answer.planned, answer.state === "running");
    // Reload for the buttons of another state, but not while a confirmation dialog is open.
    const isAsking = document.querySelector("dialog[open]") !== null;
    if (answer.state !== campaign.dataset.state && !isAsking) location.reload();
    const causes = document.getElementById("causes");
    if (causes.dataset.html !== answer.causes && !causes.matches(":focus-within")) {
      causes.dataset.html = answer.causes;
      causes.innerHTML = answer.causes;
    }
    for (const bar of campaign.querySelectorAll("progress")) bar.max = answer.planned || 1;
  });

  for (const source of document.querySelectorAll("[data-parameter-source]")) {
    const text = source.parentElement.querySelector("input");
    const show = () => { text.hidden = source.value !== "text"; };
    source.addEventListener("change", () => { show(); if (!text.hidden) text.focus(); });
    show();
  }
})();

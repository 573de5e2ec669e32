// The panel's small script. Pages work without it, only less lively; macros.html lists its hooks.
"use strict";

(function () {
  const language = document.documentElement.lang || "pt-BR";
  const words = document.body.dataset;

  // --- theme ------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const root = document.documentElement;
    root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.bsTheme); } catch { /* this page only */ }
  });

  // --- menus close when one looks elsewhere ------------------------------------------------------

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeMenus(null);
  });

  // --- questions before what can't be undone, and forms that are sent once -----------------------

  const dialog = document.getElementById("confirm");
  let waiting = null; // the form and button of the question that is open

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const asked = event.submitter?.dataset.confirm ? event.submitter : form;
    if (dialog && asked.dataset.confirm && form.dataset.confirmed !== "yes") {
      event.preventDefault();
      ask(form, event.submitter, asked.dataset);
    } else if (form.dataset.sending === "yes") {
      event.preventDefault();
    } else if (form.method === "post") {
      preventResubmit(form);
    }
  });

  function ask(form, submitter, texts) {
    waiting = { form, submitter };
    dialog.querySelector("[data-text]").textContent = texts.confirm;
    const ok = dialog.querySelector("[value=ok]");
    ok.textContent = texts.confirmOk || ok.dataset.default;
    ok.className = texts.confirmStyle === "primary" ? "btn btn-primary" : "btn btn-bad";
    dialog.returnValue = "";
    dialog.showModal();
  }

  dialog?.addEventListener("close", () => {
    const { form, submitter } = waiting || {};
    waiting = null;
    if (!form || dialog.returnValue !== "ok") return;
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter);
    delete form.dataset.confirmed;
  });

  function preventResubmit(form) {
    form.dataset.sending = "yes";
    // Later, so that the pressed button's own name and value are still sent.
    setTimeout(() => setBusy(form, true));
  }

  function setBusy(form, busy) {
    for (const button of form.querySelectorAll("button:not([type=button]), input[type=submit]")) {
      button.toggleAttribute("disabled", busy);
      button.setAttribute("aria-busy", String(busy));
    }
  }

  // The back button may bring a page back as it was left, with its forms held.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sending]")) {
      delete form.dataset.sending;
      setBusy(form, false);
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-submit-on-change]")) event.target.form?.requestSubmit();
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.querySelector(button.dataset.copy);
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
    button.textContent = words.copied;
  });

  // --- times ------------------------------------------------------------------------------------

  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];

  function since(seconds) {
    for (const [unit, size] of STEPS) {
      if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
    }
    return relative.format(0, "second");
  }

  function left(seconds) {
    const minutes = Math.max(0, Math.ceil(seconds / 60));
    return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
  }

  function updateTimes() {
    for (const element of document.querySelectorAll("time[data-ago], time[data-countdown]")) {
      const seconds = (new Date(element.dateTime) - Date.now()) / 1000;
      if ("ago" in element.dataset) element.textContent = since(seconds);
      else element.textContent = seconds > 0 ? left(seconds) : element.dataset.countdown;
    }
  }

  // --- moving parts -----------------------------------------------------------------------------

  const LIVE_MS = 60000;

  class Refresher {
    constructor(element) {
      this.element = element;
      this.everyMs = 1000 * (Number(element.dataset.refreshEvery) || 5);
      this.soonMs = 1000 * (Number(element.dataset.liveEvery) || 0.2);
      this.lagMs = 1000 * (Number(element.dataset.liveLag) || 0);
      this.failures = 0;
      this.askedAt = 0;
      this.settledAt = 0;
      // live.js tells when something has changed, and when it will tell no more.
      element.addEventListener("changed", () => {
        this.settledAt = Date.now() + this.lagMs;
        this.refreshSoon();
      });
      element.addEventListener("live", () => this.plan());
      this.plan();
    }

    // While hints come, asking without one is only a safety net.
    get pauseMs() {
      return "live" in this.element.dataset ? Math.max(this.everyMs, LIVE_MS) : this.everyMs;
    }

    // An answer out of a cache may be older than the hint: it is asked for once more when it can't be.
    plan() {
      const pauseMs = Math.min(this.pauseMs * 2 ** this.failures, Math.max(60000, this.pauseMs));
      const isOwed = this.lagMs > 0 && this.askedAt < this.settledAt;
      this.wait(isOwed ? Math.min(pauseMs, Math.max(0, this.settledAt - Date.now())) : pauseMs);
    }

    wait(ms) {
      clearTimeout(this.timer);
      if (this.done || document.hidden || !this.element.isConnected) return;
      this.timer = setTimeout(() => this.refresh(), ms);
    }

    // Not more often than `data-live-every`, and not all pages at the same moment.
    refreshSoon() {
      this.again = this.busy;
      const sinceMs = Date.now() - this.askedAt;
      if (!this.busy) this.wait(Math.max(0, this.soonMs - sinceMs) + Math.random() * this.soonMs / 4);
    }

    async refresh() {
      clearTimeout(this.timer);
      if (this.busy || this.done) return;
      this.busy = true;
      this.askedAt = Date.now();
      try {
        await this.ask();
        this.failures = 0;
        delete this.element.dataset.stale;
      } catch {
        this.failures += 1;
        if (this.failures > 1) this.element.dataset.stale = "";
      }
      this.busy = false;
      this.plan();
      if (this.again) this.refreshSoon();
    }

    async ask() {
      const response = await fetch(this.element.dataset.refreshUrl, {
        headers: { Accept: "text/html, application/json;q=0.9", "X-Requested-With": "fetch" },
        redirect: "manual", signal: AbortSignal.timeout(10000), cache: "no-store",
      });
      // The session ended: the page itself knows the way to the sign-in.
      if (response.type === "opaqueredirect" || response.status === 401) location.reload();
      if (response.status === 204) return;
      if (!response.ok) throw new Error(String(response.status));
      const kind = response.headers.get("Content-Type") || "";
      const body = kind.includes("json") ? await response.json() : await response.text();
      if (typeof body === "string") this.show(body);
      else this.fill(body);
      this.element.dispatchEvent(new CustomEvent("refreshed", { detail: body, bubbles: true }));
      updateTimes(); // also those that a listener has put in
      if (response.headers.get("X-Refresh") === "done") this.done = true;
    }

    show(html) {
      if (html === this.shown) return;
      const held = this.element.contains(document.activeElement) && document.activeElement.id;
      const atEnd = isAtEnd(this.element);
      this.element.innerHTML = html;
      this.shown = html;
      if (held) document.getElementById(held)?.focus({ preventScroll: true });
      if (atEnd) scrollToEnd(this.element);
      updateTimes();
    }

    fill(values) {
      for (const part of this.element.querySelectorAll("[data-value]")) {
        const value = part.dataset.value.split(".").reduce((at, name) => at?.[name], values);
        if (value === undefined || value === null) continue;
        if (part.localName === "progress") part.value = Number(value);
        else part.textContent = String(value);
      }
    }
  }

  const scrolling = (element) => element.closest("[data-stick-to-end]");
  function isAtEnd(element) {
    const box = scrolling(element);
    return box !== null && box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  }
  function scrollToEnd(element) {
    const box = scrolling(element);
    if (box) box.scrollTop = box.scrollHeight;
  }

  const refreshers = [...document.querySelectorAll("[data-refresh-url]")].map((e) => new Refresher(e));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) for (const refresher of refreshers) refresher.refresh();
  });
  document.querySelectorAll("[data-stick-to-end]").forEach(scrollToEnd);
  updateTimes();
  setInterval(() => document.hidden || updateTimes(), 15000);
})();

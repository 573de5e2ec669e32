// Runs in the head, before anything is painted: the chosen theme, else the device's.
"use strict";
(function () {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const apply = () => {
    document.documentElement.dataset.bsTheme = chosen() || (dark.matches ? "dark" : "light");
  };
  dark.addEventListener("change", apply);
  window.addEventListener("storage", apply); // another tab changed it
  apply();
})();

// A segment's form: only what the chosen condition needs is shown. Without this script all is.
"use strict";

for (const line of document.querySelectorAll("[data-rule-line]")) {
  const kind = line.querySelector("[data-rule-kind]");
  const name = line.querySelector("[data-rule-name]");
  const value = line.querySelector("[data-rule-value]");
  const show = () => {
    const chosen = kind.selectedOptions[0];
    name.hidden = !("needsName" in chosen.dataset);
    value.hidden = chosen.dataset.valueType === "nothing";
    value.inputMode = chosen.dataset.valueType === "days" ? "numeric" : "text";
  };
  kind.addEventListener("change", show);
  show();
}

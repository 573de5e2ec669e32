// Segment form: show only the fields that the chosen condition needs. Without this script all are shown.
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

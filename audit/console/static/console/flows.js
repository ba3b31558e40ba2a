// The forms of flows: fields that belong to a choice, and the first focus.
"use strict";

(() => {
  // A field that belongs to one choice of what to count is shown with it.
  const fit = (select) => {
    for (const field of document.querySelectorAll("[data-when]")) {
      const box = field.closest(".group");
      if (box) box.hidden = field.dataset.when !== select.value;
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("id_scope");
    if (!select || !document.querySelector("[data-when]")) return;
    fit(select);
    select.addEventListener("change", () => fit(select));
  });

  // The theme hides the page until its scripts are there: what is hidden can't have the focus.
  document.addEventListener("alpine:initialized", () => {
    const wanted = document.querySelector(".flow [autofocus], .console-card [autofocus], #login-form [autofocus]");
    if (wanted) requestAnimationFrame(() => wanted.focus());
  });
})();

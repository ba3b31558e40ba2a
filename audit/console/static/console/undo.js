// Undo, beside the message of what was posted, counts down and goes. The document's page keeps it.
"use strict";

(() => {
  const offer = (link) => {
    let left = Number(link.dataset.undo);
    link.removeAttribute("data-undo");
    const seconds = document.createElement("span");
    seconds.setAttribute("aria-hidden", "true"); // Readers hear of Undo once, not each second.
    link.append(seconds);
    const show = () => { seconds.textContent = ` (${left})`; };
    show();
    const timer = setInterval(() => {
      // Time stands still while somebody is about to use it.
      if (link.matches(":hover, :focus") || document.querySelector("dialog[open]")) return;
      left -= 1;
      if (left > 0) return show();
      clearInterval(timer);
      link.remove();
    }, 1000);
  };
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-undo]").forEach(offer));
})();

// Undo beside the message after posting: counts down and is removed. The page of the document has Reverse.
"use strict";

(() => {
  const offer = (link) => {
    let left = Number(link.dataset.undo);
    link.removeAttribute("data-undo");
    const seconds = document.createElement("span");
    seconds.setAttribute("aria-hidden", "true"); // Screen readers announce Undo once, not each second.
    link.append(seconds);
    const show = () => { seconds.textContent = ` (${left})`; };
    show();
    const timer = setInterval(() => {
      // The countdown pauses while Undo is hovered or focused, or a dialog is open.
      if (link.matches(":hover, :focus") || document.querySelector("dialog[open]")) return;
      left -= 1;
      if (left > 0) return show();
      clearInterval(timer);
      link.remove();
    }, 1000);
  };
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-undo]").forEach(offer));
})();

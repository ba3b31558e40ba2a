// Shows the progress of exports, and their links at the end.
"use strict";

(() => {
  const page = document.querySelector("[data-exports]");
  const shown = page ? [...page.querySelectorAll('[data-export][data-state="WRITING"]')] : [];
  if (!shown.length) return;

  const show = (export_, progress) => {
    const bar = export_.querySelector("progress");
    bar.max = progress.rows;
    bar.value = progress.done;
    const words = export_.querySelector("[data-words]");
    words.textContent = progress.words;
    words.classList.toggle("flow-alert", progress.is_stuck);
  };

  const ask = async () => {
    try {
      const answer = await fetch(page.dataset.exports, { credentials: "same-origin" });
      const found = answer.ok && !answer.redirected ? await answer.json() : null;
      if (!found || shown.some((each) => found[each.dataset.export]?.state !== "WRITING")) return location.reload();
      shown.forEach((each) => show(each, found[each.dataset.export]));
    } catch {
      // No network: try again.
    }
    setTimeout(ask, document.hidden ? 10000 : 1500);
  };

  setTimeout(ask, 500);
})();

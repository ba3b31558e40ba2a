// Shows the progress of a large file, and the result at the end.
"use strict";

(() => {
  const shown = document.querySelector("[data-progress]");
  if (!shown) return;
  const bar = shown.querySelector("progress");

  const show = (state) => {
    if (state.rows && state.done) {
      bar.max = state.rows;
      bar.value = state.done;
      shown.querySelector("[data-done]").textContent = `${Math.floor(100 * state.done / state.rows)} %`;
    }
    shown.querySelector("[data-waiting]").hidden = !state.waiting;
    if (state.begun) shown.querySelector("[data-cancel]")?.remove();
  };

  const ask = async () => {
    try {
      const answer = await fetch(shown.dataset.progress, { credentials: "same-origin" });
      const state = answer.ok && !answer.redirected ? await answer.json() : null;
      if (!state || !state.working) return location.reload();
      show(state);
    } catch {
      // No network: try again.
    }
    setTimeout(ask, document.hidden ? 5000 : 1000);
  };

  setTimeout(ask, 500);
})();

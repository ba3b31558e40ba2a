// Time left goes on counting on the page. Without this script, it is what it was when the page was made.
"use strict";

(() => {
  const began = Date.now();
  const clock = (seconds) => {
    const two = (number) => String(number).padStart(2, "0");
    const minutes = Math.floor(seconds / 60) % 60;
    const hours = Math.floor(seconds / 3600);
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  };

  // The reader's clock may be wrong: only how far it has gone since the page came is asked of it.
  const tick = () => {
    const gone = Math.floor((Date.now() - began) / 1000);
    for (const span of document.querySelectorAll("[data-seconds-left]")) {
      const left = Number(span.dataset.secondsLeft) - gone;
      span.classList.toggle("is-soon", left <= 300);
      if (left > 0) {
        span.textContent = clock(left);
        continue;
      }
      span.textContent = span.dataset.over;
      span.removeAttribute("data-seconds-left");
      const row = span.closest("tr, form");
      const badge = row && row.querySelector("[data-state]");
      if (badge && span.dataset.expired) {
        badge.textContent = span.dataset.expired;
        badge.dataset.state = "EXPIRED";
        badge.classList.replace("is-active", "is-expired");
      }
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    tick();
    setInterval(tick, 1000);
  });
})();

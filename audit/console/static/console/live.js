// The dashboard and lists refresh themselves while somebody looks at them and does nothing with them.
"use strict";

(() => {
  const PAUSE_MS = 30000;
  const NEWS_PAUSE_MS = 10000; // The least time between two refreshes, however much is going on.
  const MOST_SOON = 45; // So many refreshes of an hour may come early: the other half is for an hour without news.
  const MOST_AN_HOUR = 90;
  const QUIET_MS = 5000; // After a key, a click or a scroll, the page stays as it is.
  const LONGEST_MS = 2 * 3600000; // After this time without input the page stops, so that its session can end.
  const PARTS = ["#console-live", "#result_list"];
  const sent = []; // When the refreshes of the last hour began.
  let touchedAt = 0;
  let known = null;
  let failures = 0;
  let cursor = ""; // How far the log of events is known.

  const part = (root) => PARTS.map((selector) => root.querySelector(selector)).find(Boolean);
  const isInUse = () => document.hidden || !navigator.onLine || performance.now() - touchedAt < QUIET_MS || performance.now() - touchedAt > LONGEST_MS ||
    document.querySelector("dialog[open], :popover-open, #result_list input:checked, [aria-expanded=true]:not(.console-wide, .console-narrow)") ||
    (part(document) && part(document).contains(document.activeElement)) ||
    !getSelection().isCollapsed || [...document.querySelectorAll("#searchbar")].some((field) => field.value !== field.defaultValue);

  const isTooOften = () => {
    while (sent.length && performance.now() - sent[0] > 3600000) sent.shift();
    return sent.length >= MOST_AN_HOUR;
  };

  const refresh = async () => {
    sent.push(performance.now());
    const headers = { "X-Console-Live": "1", ...(known ? { "If-None-Match": known } : {}) };
    const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store", headers });
    if (answer.status === 304) return;
    // The session has ended, or an error: keep the shown content.
    if (!answer.ok || answer.redirected) throw new Error("not the page");
    const tag = answer.headers.get("ETag");
    const fresh = part(new DOMParser().parseFromString(await answer.text(), "text/html"));
    const own = part(document);
    if (!own || isInUse()) return;
    if (!fresh || fresh.id !== own.id) return;
    const opened = [...own.querySelectorAll("details[open]")].map((one) => one.className);
    for (const one of fresh.querySelectorAll("details")) one.open = opened.includes(one.className);
    const [left, top] = [scrollX, scrollY];
    own.replaceChildren(...[...fresh.childNodes].map((node) => document.adoptNode(node)));
    scrollTo(left, top);
    known = tag;
  };

  const beat = async () => {
    if (!part(document) || isInUse() || isTooOften()) return;
    try {
      await refresh();
      failures = 0;
    } catch {
      failures += 1;
    }
  };
  // Whether something was published; waits for it up to half a minute. A page that is in use asks for nothing.
  const hasNews = async () => {
    if (!part(document) || isInUse() || isTooOften() || sent.length >= MOST_SOON) return false;
    try {
      const answer = await fetch(`/admin/news/?after=${cursor}`, { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok || answer.redirected) return false;
      const news = await answer.json();
      cursor = news.cursor;
      return news.isNew;
    } catch {
      return false;
    }
  };
  const sleep = (ms) => new Promise((done) => { setTimeout(done, Math.max(0, ms)); });

  const watch = async () => {
    for (;;) {
      const ends = performance.now() + PAUSE_MS * Math.min(8, 2 ** failures);
      await sleep(NEWS_PAUSE_MS);
      if (failures || !await hasNews()) await sleep(ends - performance.now());
      await beat();
    }
  };

  for (const name of ["keydown", "pointerdown", "wheel", "scroll", "input"]) {
    addEventListener(name, () => { touchedAt = performance.now(); }, { capture: true, passive: true });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });
  document.addEventListener("DOMContentLoaded", () => { if (part(document) && document.getElementById("console-session")) watch(); });

  window.consoleLive = { beat, hasNews };
})();

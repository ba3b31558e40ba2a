// Lines and details of a draft are saved as they are edited: one command for each line, so that two tabs don't overwrite
// each other. scanning.js saves what is scanned. Without scripts, the form is sent whole.
"use strict";

(() => {
  const RETRY_MS = 3000;
  const PAUSE_MS = 700;
  const draft = () => document.querySelector("form[data-lines-url]");
  const rowOf = (field) => field.closest("[data-key]");
  const seenIn = (row) => row.querySelector("[data-seen]");
  const unitsIn = (row) => row.querySelector(".flow-units");
  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // Also where crypto.randomUUID is missing: on an address without HTTPS.
  const newId = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const text = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  const tell = (text, isAlert) => {
    const words = document.createElement("p");
    words.className = isAlert ? "flow-alert" : "flow-good";
    words.textContent = text;
    document.getElementById("flow-told").replaceChildren(...(text ? [words] : []));
  };

  const addUp = (answer) => {
    for (const [name, value] of [["line-count", answer.lines], ["unit-count", answer.units]]) {
      for (const shown of document.querySelectorAll(`[data-${name}]`)) shown.textContent = value;
    }
    for (const empty of document.querySelectorAll("[data-when-empty]")) empty.hidden = answer.lines > 0;
  };

  // ----------------------------------------------------------------------------------------------- edits, in order

  let waiting = Promise.resolve();
  let open = 0;

  const queued = (work) => {
    open += 1;
    waiting = waiting.then(work).catch(() => {}).finally(() => { open -= 1; });
    return waiting;
  };

  // Sends until there is an answer. The command keeps its id, so that it is carried out once.
  const post = async (url, body) => {
    for (;;) {
      try {
        const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true };
        const answer = await window.consoleSession.fetch(url, options);
        if (answer.status < 500 && answer.status !== 429) return answer;
      } catch (error) {
        if (error.name === "AbortError") throw error;
      }
      tell(draft().dataset.offline, true);
      await wait(RETRY_MS);
    }
  };

  const heard = (row, answer, sent) => {
    const [outcome] = answer.outcomes;
    const quantity = outcome.line ? outcome.line.quantity : 0;
    const units = unitsIn(row);
    seenIn(row).value = quantity;
    if (Number(units.value || 0) === sent || outcome.status === "refused") units.value = units.dataset.was = quantity || "";
    addUp(answer);
    tell(outcome.status === "refused" ? outcome.message : "", true);
  };

  const change = (row, act) => queued(async () => {
    const units = unitsIn(row);
    const seen = Number(seenIn(row).value || 0);
    const quantity = act === "remove" ? 0 : Number(units.value.trim() || 0);
    if (quantity === seen && act !== "remove") return;
    const one = { id: newId(), key: row.dataset.key, do: quantity ? "set" : "remove", quantity, seen };
    const answer = await post(draft().dataset.linesUrl, { changes: [one] });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) return tell(said.message || draft().dataset.failed, true);
    heard(row, said, quantity);
    if (act === "remove" && !Number(seenIn(row).value)) row.remove();
  });

  const isWhole = (units) => /^\d*$/.test(units.value.trim());
  const save = (units) => {
    units.toggleAttribute("aria-invalid", !isWhole(units));
    if (!isWhole(units)) {
      units.setAttribute("aria-invalid", "true");
      return tell(draft().dataset.notWhole, true);
    }
    return change(rowOf(units), "set");
  };

  // --------------------------------------------------------------------------------------------------------- details

  const saveDetails = () => queued(async () => {
    const form = draft();
    const given = new FormData(form);
    for (const name of [...given.keys()]) {
      if (name.startsWith("units-") || name === "code") given.delete(name);
    }
    given.set("do", "save");
    const answer = await window.consoleSession.fetch(form.action, { method: "POST", body: given });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) return location.assign(answer.url);
    const alert = page.querySelector("form[data-lines-url] [role=alert], form[data-lines-url] .errors");
    if (!answer.ok) return tell(alert ? alert.textContent.trim() : form.dataset.failed, true);
    for (const fresh of page.querySelectorAll("form[data-lines-url] > input[name^=seen-]")) {
      const known = form.elements.namedItem(fresh.name);
      if (known) known.value = fresh.value;
    }
    return tell("", false);
  });

  // ---------------------------------------------------------------------------------------------------------- events

  const isUnits = (target) => target instanceof Element && target.matches("form[data-lines-url] .flow-units");
  let pause = 0;
  document.addEventListener("input", (event) => {
    if (!isUnits(event.target)) return;
    clearTimeout(pause);
    pause = setTimeout(() => { if (isWhole(event.target) && event.target.value) save(event.target); }, PAUSE_MS);
  });
  document.addEventListener("change", (event) => {
    if (isUnits(event.target)) {
      clearTimeout(pause);
      save(event.target);
    } else if (event.target instanceof Element && event.target.closest("form[data-lines-url] [data-details]")) {
      saveDetails();
    }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-lines-url]") || event.defaultPrevented) return;
    const act = event.submitter ? event.submitter.value : "";
    if (act.startsWith("remove:")) {
      event.preventDefault();
      change(rowOf(event.submitter), "remove");
    } else if (open) {
      event.preventDefault();
      waiting.then(() => form.requestSubmit(event.submitter));
    }
  });
  // The units after a scan become the units that the person saw.
  document.addEventListener("scans:answered", (event) => {
    const { url, outcome } = event.detail;
    if (!outcome.line || !draft() || draft().dataset.scanUrl !== url) return;
    const row = document.querySelector(`[data-lines] [data-key="${CSS.escape(outcome.line.key)}"]`);
    if (row) seenIn(row).value = outcome.line.quantity || 0;
  });

  const isTyped = () => isUnits(document.activeElement) && Number(document.activeElement.value || 0) !== Number(seenIn(rowOf(document.activeElement)).value);
  document.addEventListener("DOMContentLoaded", () => {
    if (draft() && window.consoleSession) window.consoleSession.unsent.add(() => open > 0 || isTyped());
  });
})();

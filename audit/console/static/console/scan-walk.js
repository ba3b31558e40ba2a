// The walk of a count without a reload between two lines: a number is saved for the line that was shown when it was
// typed, and the next line is shown at once. Each scan of a product counts one unit of it and shows its line.
"use strict";

var scanWalk = (() => {
  const MOST_FIGURE = 1000; // A larger number is sent as a form: the server may ask for confirmation.
  let lines = [];
  let current = null;
  let unresolved = null; // The last scan, until the server answers which line it belongs to.
  let shown = ""; // The number that this script put into the field.

  const isPlain = (figure) => /^\d{1,7}$/.test(figure) && Number(figure) <= MOST_FIGURE;
  const field = (form) => form.elements.namedItem("counted");
  const same = (one, other) => one.toLowerCase() === other.toLowerCase() || (/^\d{8,14}$/.test(one) && /^\d{8,14}$/.test(other) && one.padStart(14, "0") === other.padStart(14, "0"));

  const show = (form, line, figure = "") => {
    current = line;
    form.elements.namedItem("line").value = line.key;
    const texts = { place: line.place || form.dataset.noPlace, sku: line.sku, name: line.name, warning: line.warning };
    for (const [name, text] of Object.entries(texts)) form.querySelector(`[data-${name}]`).textContent = text;
    form.querySelector("[data-correction]").hidden = !line.isCounted;
    const counted = field(form);
    counted.value = figure;
    counted.dispatchEvent(new Event("input", { bubbles: true }));
    shown = figure;
    counted.focus();
    counted.select();
  };

  // The next line to count after this one; from the top again after the last.
  const next = () => {
    const place = lines.indexOf(current);
    const after = [...lines.slice(place + 1), ...lines.slice(0, place < 0 ? 0 : place)];
    return after.find((line) => !line.isCounted);
  };

  const advance = async (form) => {
    const line = next();
    if (line) return show(form, line);
    // The page has no more lines: load the next ones from the server.
    field(form).value = shown = "";
    await scanning.queue.empty();
    scanning.tellNext();
    location.assign(form.dataset.walk);
  };

  const enter = (form, total) => {
    const scan = unresolved ? { code: unresolved.code, total } : { line: current.key, total };
    scanning.add(form.dataset.scanUrl, scan);
    if (!unresolved) current.isCounted = true;
    unresolved = null;
  };

  // Save a number that was typed but not entered before the next product was scanned.
  const enterTyped = (form) => {
    const typed = field(form).value.trim();
    if (typed === shown) return true;
    if (isPlain(typed)) enter(form, Number(typed));
    return isPlain(typed);
  };

  const read = (form, code) => {
    if (!enterTyped(form)) return scanning.fail(code, form.dataset.textFirst);
    shown = field(form).value.trim();
    const found = lines.filter((line) => line.codes.some((one) => same(one, code)));
    const entry = scanning.add(form.dataset.scanUrl, { code, quantity: 1 });
    unresolved = found.length === 1 ? null : entry.scan;
    if (found.length === 1 && found[0] !== current) show(form, found[0]);
    else field(form).select();
  };

  const lineOf = (line) => {
    let known = lines.find((one) => one.key === line.key);
    if (!known) {
      known = { key: line.key, sku: line.sku, name: line.name, place: line.text, warning: line.warning, codes: [line.sku], isCounted: false };
      lines.push(known);
    }
    return known;
  };

  const heard = (form, scan, outcome, answer) => {
    scanning.tell(outcome.message, !["added", "place", "repeat"].includes(outcome.status));
    for (const words of document.querySelectorAll("[data-progress]")) {
      if (answer.lines) words.textContent = words.dataset.progress.replace("{counted}", answer.lines);
    }
    const progress = document.querySelector("progress");
    if (progress && answer.lines) progress.value = answer.lines;
    const isLatest = unresolved && unresolved.id === scan.id;
    if (isLatest) unresolved = null;
    const refused = !outcome.line && lines.find((one) => one.key === scan.line);
    if (refused) refused.isCounted = false;
    if (!outcome.line) return;
    const line = lineOf(outcome.line);
    const quantity = outcome.line.quantity;
    if (quantity !== null && quantity !== undefined) {
      line.isCounted = true;
      remember(outcome.line);
    }
    const figure = quantity === null || quantity === undefined ? "" : String(quantity);
    const isTyped = field(form).value.trim() !== shown;
    if (scan.total === undefined && (isLatest || line === current) && !isTyped) show(form, line, figure);
  };

  const remember = (line) => {
    const list = document.querySelector("[data-lately]");
    const template = document.getElementById("walk-lately");
    if (!list || !template) return;
    const old = [...list.children].find((row) => row.dataset.key === line.key);
    if (old) old.remove();
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.key = line.key;
    row.querySelector("[data-sku]").textContent = line.sku;
    row.querySelector("[data-name]").textContent = line.name;
    row.querySelector("[data-warning]").textContent = line.warning;
    row.querySelector("[data-quantity]").textContent = line.quantity;
    const link = row.querySelector("a");
    link.href = link.getAttribute("href").replace("{key}", line.key);
    link.setAttribute("aria-label", link.getAttribute("aria-label").replace("{sku}", line.sku));
    list.prepend(row);
    while (list.children.length > 5) list.lastElementChild.remove();
    list.closest("[data-lately-box]").hidden = false;
  };

  const submitted = (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-walk]")) return;
    if (form.dataset.ready) return;
    const typed = field(form).value.trim();
    event.preventDefault();
    event.stopImmediatePropagation();
    if (isPlain(typed)) {
      enter(form, Number(typed));
      return advance(form);
    }
    if (/\p{L}/u.test(typed)) {
      // A code that was typed, or one that is too short for a burst.
      field(form).value = shown;
      return read(form, typed);
    }
    // The server validates everything else.
    const button = event.submitter;
    scanning.queue.empty().then(() => {
      form.dataset.ready = "yes";
      form.requestSubmit(button);
    });
  };

  const start = (form) => {
    lines = [...document.querySelectorAll("[data-walk-lines] [data-key]")].map((row) => ({
      key: row.dataset.key,
      sku: row.dataset.sku,
      name: row.dataset.name,
      place: row.dataset.place,
      warning: row.dataset.warned,
      codes: [row.dataset.sku, row.dataset.barcode].filter(Boolean),
      isCounted: row.hasAttribute("data-counted"),
    }));
    const key = form.elements.namedItem("line").value;
    shown = field(form).defaultValue.trim();
    current = lines.find((line) => line.key === key) || { key, codes: [] };
  };
  addEventListener("submit", submitted, true);
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-walk]")) delete form.dataset.ready;
  });

  // Whether a figure was typed and not entered.
  const isUnsent = () => {
    const form = document.querySelector("form[data-walk]");
    return form !== null && field(form).value.trim() !== shown;
  };

  return { start, read, heard, isUnsent };
})();

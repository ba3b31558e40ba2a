// Scanning on every page. A burst of fast keys is a scan wherever the focus is: its text is removed from the focused
// field again, and the open page decides what the code is used for.
"use strict";

var scanning = (() => {
  const { Bursts, isEnd, isPrintable, PAUSE } = scanBursts;
  const NUMBERS = "input[type=number], input[inputmode=numeric], input[inputmode=decimal], .flow-units, [data-whole-number]";
  const TEXTS = "textarea, input:not([type]), input[type=text], input[type=search], input[type=email], input[type=url], input[type=tel], input[type=password]";
  let root = null;
  let queue = null;

  const isNumber = (field) => field instanceof Element && field.matches(NUMBERS);
  const scanForm = () => document.querySelector("form[data-scan-url]");
  const searchBar = () => document.getElementById("searchbar");

  // ------------------------------------------------------------------------------------------------ to the server

  const token = () => {
    const field = document.querySelector("input[name=csrfmiddlewaretoken]");
    return root.dataset.csrf || (field ? field.value : "");
  };

  const request = (url, body) => {
    const options = {
      method: "POST",
      body: JSON.stringify(body),
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token(), Accept: "application/json" },
    };
    return globalThis.consoleSession ? consoleSession.fetch(url, options) : fetch(url, options);
  };

  // The outcome of a request: an answer, a final refusal, or "later".
  const post = async (url, scans) => {
    const answer = await request(url, { scans, sentAt: new Date().toISOString() });
    const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    if (answer.ok) return isJson && !answer.redirected ? answer.json() : { later: true };
    if ([401, 408, 409, 425, 429].includes(answer.status) || answer.status >= 500) return { later: true };
    const said = isJson ? await answer.json() : {};
    return { refused: answer.status === 400 ? said.message || root.dataset.textRefused : root.dataset.textRefused };
  };

  const page = () => document.title.split("|")[0].trim();

  const fail = (scan, outcome, url) => scanPanel.add({
    id: scan.id,
    code: scan.code,
    message: scan.total === undefined || scan.total === null ? outcome.message : `${outcome.message} ${root.dataset.textFigure} ${scan.total}`,
    choices: outcome.choices || [],
    at: scan.at,
    page: page(),
    url,
    total: scan.total,
    quantity: scan.quantity,
  });

  const isDone = (outcome) => ["added", "place", "repeat"].includes(outcome.status);

  const heard = (entry, outcome, answer) => {
    const form = scanForm();
    const isHere = form && form.dataset.scanUrl === entry.url;
    if (!isDone(outcome)) fail(entry.scan, outcome, entry.url);
    if (isHere && form.matches("[data-walk]")) scanWalk.heard(form, entry.scan, outcome, answer);
    else if (isHere && outcome.address) queue.empty().then(() => location.assign(outcome.address));
    else if (isHere) showLine(form, outcome, answer);
    document.dispatchEvent(new CustomEvent("scans:answered", { detail: { url: entry.url, outcome, answer } }));
  };

  const add = (url, scan) => queue.add(url, scan, page());

  // ---------------------------------------------------------------------------------------- lines of a scanned form

  const TOLD = "console-told";
  let last = { text: "", isAlert: false };

  // Keeps the last message for the next page, which shows it.
  const tellNext = () => sessionStorage.setItem(TOLD, JSON.stringify(last));
  const tellBefore = () => {
    const before = sessionStorage.getItem(TOLD);
    sessionStorage.removeItem(TOLD);
    if (before) tell(JSON.parse(before).text, JSON.parse(before).isAlert);
  };

  const tell = (text, isAlert) => {
    last = { text, isAlert };
    const told = document.getElementById("flow-told");
    if (!told || !text) return;
    const words = document.createElement("p");
    words.className = isAlert ? "flow-alert" : "flow-good";
    words.textContent = text;
    told.replaceChildren(words);
  };

  const fill = (row, line) => {
    const set = (name, value) => {
      for (const shown of row.querySelectorAll(`[data-${name}]`)) shown.textContent = value;
    };
    set("sku", line.sku);
    set("name", line.name);
    set("note", line.text);
    if (line.quantity !== null && line.quantity !== undefined) set("quantity", line.quantity);
    const units = row.querySelector(".flow-units");
    const was = units && (units.dataset.was ?? units.defaultValue);
    if (units && line.quantity !== null && !(units === document.activeElement && units.value !== was)) {
      units.value = units.dataset.was = String(line.quantity);
    }
  };

  const newRow = (line) => {
    const template = document.getElementById("flow-line");
    if (!template) return null;
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.key = line.key;
    const named = { "{key}": line.key, "{sku}": line.sku };
    for (const element of [row, ...row.querySelectorAll("*")]) {
      for (const attribute of [...element.attributes]) {
        const value = attribute.value.replace(/\{key\}|\{sku\}/g, (found) => named[found]);
        if (value !== attribute.value) attribute.value = value;
      }
    }
    return row;
  };

  const showLine = (form, outcome, answer) => {
    tell(outcome.message, !isDone(outcome));
    for (const [name, value] of [["line-count", answer.lines], ["unit-count", answer.units]]) {
      for (const shown of document.querySelectorAll(`[data-${name}]`)) if (value !== undefined) shown.textContent = value;
    }
    const list = document.querySelector("[data-lines]");
    if (!list || !outcome.line) return;
    const rows = [...list.querySelectorAll("[data-key]")];
    const known = rows.find((one) => one.dataset.key === outcome.line.key);
    const row = known || newRow(outcome.line);
    if (!row) return;
    fill(row, outcome.line);
    for (const other of rows) other.classList.remove("is-latest");
    row.classList.add("is-latest");
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    if (!known || list.hasAttribute("data-newest-first")) list.prepend(row);
    if (focused) focused.focus();
    for (const empty of document.querySelectorAll("[data-when-empty]")) empty.hidden = true;
    for (const some of document.querySelectorAll("[data-when-lines]")) some.hidden = false;
  };

  // ------------------------------------------------------------------------------------------------- a code was read

  const search = (code) => {
    const bar = searchBar();
    bar.value = code;
    bar.form.requestSubmit ? bar.form.requestSubmit() : bar.form.submit();
  };

  // On a page without lines to scan: look up the code and go to the page of the result.
  const find = async (code, choice = "", isFromBar = false) => {
    const scan = { id: scanQueue.newId(), at: new Date().toISOString(), code, quantity: null, choice };
    const url = `${root.dataset.findUrl}?page=${encodeURIComponent(location.pathname)}`;
    let answer;
    try {
      answer = await post(url, [scan]);
    } catch {
      answer = { later: true };
    }
    if (answer.later) return fail(scan, { message: `${code}: ${root.dataset.textOffline}` }, "");
    const outcome = answer.outcomes ? answer.outcomes[0] : { message: answer.refused };
    if (outcome.address) return location.assign(outcome.address);
    // The search of a list also finds references, document numbers and words.
    const isSearched = searchBar() && outcome.status !== "ambiguous" && (isFromBar || !root.hasAttribute("data-lists-codes"));
    if (outcome.status === "unknown" && !isSearched && (await consoleSearch.opensFor(code))) return;
    const isCode = /\d/.test(code) && !/\s/.test(code);
    if (!isSearched || (root.hasAttribute("data-lists-codes") && isCode)) fail(scan, outcome, "");
    if (isSearched) search(code);
  };

  const read = (text, field = null) => {
    const code = text.trim();
    if (!code) return;
    if (document.querySelector("dialog[open]:not(.scan-camera)")) return failed(code, root.dataset.textDialog);
    const form = scanForm();
    // A scan must not leave a page with a form that wasn't sent yet.
    if (!form && document.querySelector("main form[data-once]:not([data-scan-leads])")) return failed(code, root.dataset.textDialog);
    if (!form) return find(code, "", field !== null && field === searchBar());
    if (form.matches("[data-walk]")) return scanWalk.read(form, code);
    add(form.dataset.scanUrl, { code, quantity: 1 });
  };

  const failed = (code, message) => fail({ id: scanQueue.newId(), at: new Date().toISOString(), code }, { message: `${code}: ${message}` }, "");

  const chosen = (one, choice) => {
    if (one.url) add(one.url, { code: one.code, quantity: one.quantity, total: one.total, choice: choice.key });
    else find(one.code, choice.key);
  };

  // ------------------------------------------------------------------------------------------------------- the keys

  const bursts = new Bursts();
  let befores = []; // The field before each key of the burst.
  let pause = 0;

  const remember = (field) => {
    if (!(field instanceof HTMLElement) || !("value" in field)) return null;
    const isText = field.matches(TEXTS);
    return { field, value: field.value, isText, start: isText ? field.selectionStart : null, end: isText ? field.selectionEnd : null };
  };

  const putBack = (state) => {
    if (!state || !state.field.isConnected) return;
    const { field, value } = state;
    if (field.value === value) return;
    field.value = value;
    if (field === document.activeElement && isNumber(field)) field.select();
    else if (state.isText && field === document.activeElement) field.setSelectionRange(state.start, state.end);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (field instanceof HTMLSelectElement) field.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // In a field for text, such as the SKU of a new product or a reference, the scanned code stays as the text.
  const asksForText = (field) => {
    if (!(field instanceof Element) || !field.matches(TEXTS) || isNumber(field)) return false;
    if (field.matches("[type=password], [data-scan-text]")) return true;
    return field !== searchBar() && !(field.form && field.form.matches("[data-scan-url]"));
  };

  // Enter submits a search. It submits no other form: more fields may have to be filled in.
  const isSentByEnter = (field) => field.matches("[type=password], [role=combobox]") || !field.form || field.form.method === "get";

  // The focus may move while a scanner types: each field gets back what it had before its first key.
  const finish = ({ code, first }) => {
    const states = befores.slice(first);
    const state = states[0] || null;
    befores = [];
    clearTimeout(pause);
    if (!code || (state && asksForText(state.field))) return false;
    for (const one of new Set(states.map((other) => other && other.field))) putBack(states.find((other) => other && other.field === one));
    read(code, state && state.field);
    return true;
  };

  const stop = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  const ended = (event) => {
    const field = event.target;
    const isText = asksForText(field);
    const burst = bursts.end(event.timeStamp);
    if (!burst.code) {
      befores = [];
      clearTimeout(pause);
      if (bursts.isTail(event.timeStamp)) stop(event);
      return;
    }
    finish(burst);
    if (isText && isSentByEnter(field)) return;
    stop(event);
    // In a text area for codes, each scan ends its line, whatever its terminator.
    if (isText && field instanceof HTMLTextAreaElement) field.setRangeText("\n", field.selectionStart, field.selectionEnd, "end");
  };

  // A pause ends a scan without a terminator. Keys that were queued while the page was busy are handled first.
  const isInputPending = () => Boolean(navigator.scheduling && navigator.scheduling.isInputPending && navigator.scheduling.isInputPending());
  const paused = (keys) => {
    pause = setTimeout(() => {
      if (bursts.keys.length !== keys || !bursts.isLong) return;
      if (isInputPending()) paused(keys);
      else finish(bursts.end(performance.now(), true));
    });
  };

  const typed = (event, before) => {
    const place = bursts.add(event.key, event.timeStamp);
    befores = [...befores.slice(0, place), before];
    // Keys of a scanner must not trigger shortcuts or buttons of the page.
    if (bursts.isFast && !(event.target instanceof Element && event.target.matches(`${TEXTS}, ${NUMBERS}, select`))) stop(event);
    clearTimeout(pause);
    pause = setTimeout(() => paused(bursts.keys.length), PAUSE);
  };

  const pressed = (event, before = remember(event.target)) => {
    if (typeof event.key !== "string") return; // The browser filled in a saved value.
    if (isEnd(event)) ended(event);
    else if (isPrintable(event)) typed(event, before);
    else if (!["Shift", "Control", "Alt", "AltGraph", "CapsLock"].includes(event.key)) bursts.forget();
  };

  // A scanner doesn't wait for a page: keys that come before it is there are kept, and those that the page before got.
  const BEGUN = "console-burst";
  let early = [];
  const keydown = (event) => {
    if (early) early.push([event, remember(event.target)]);
    else if (root) pressed(event);
  };
  // Only a burst that goes on at this moment, and nothing of a password, which no storage may have.
  const isPassword = (before) => before !== null && before.field.matches("[type=password]");
  const handOver = () => {
    const { keys } = bursts;
    if (!root || !keys.length || performance.now() - keys.at(-1).at > PAUSE || befores.some(isPassword)) return;
    sessionStorage.setItem(BEGUN, JSON.stringify({ keys, origin: performance.timeOrigin }));
  };
  const takeUp = () => {
    const begun = JSON.parse(sessionStorage.getItem(BEGUN));
    sessionStorage.removeItem(BEGUN);
    if (begun) bursts.resume(begun.keys, performance.timeOrigin - begun.origin);
    befores = bursts.keys.map(() => null);
    const kept = early;
    early = null;
    for (const [event, before] of kept) pressed(event, before);
  };
  addEventListener("keydown", keydown, true);
  addEventListener("pagehide", handOver);

  // ---------------------------------------------------------------------------------------------------- fields, forms

  // In the field for codes, TAB also ends a code that is too short for a burst.
  const tabbed = (event) => {
    const field = event.target;
    if (event.key !== "Tab" || event.shiftKey || event.defaultPrevented) return;
    if (!(field instanceof Element) || !field.matches("#flow-code, [data-scan-code]") || !field.value.trim()) return;
    event.preventDefault();
    take(field);
  };

  const take = (field) => {
    const code = field.value;
    field.value = "";
    field.focus();
    read(code);
  };

  const submitted = (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-scan-url]:not([data-walk])")) return;
    const act = event.submitter ? event.submitter.value : "add";
    if (act === "add") {
      stop(event);
      take(form.elements.namedItem("code"));
    } else if (act === "review" && queue.entries.length) {
      stop(event);
      queue.empty().then(() => form.requestSubmit(event.submitter));
    }
  };

  // Entering a field for a number selects it, so that typing replaces it; a second click sets the caret.
  let entered = null;
  const focused = (event) => {
    if (!isNumber(event.target) || typeof event.target.select !== "function") return;
    entered = event.target;
    event.target.select();
  };
  const released = (event) => {
    if (event.target === entered) event.preventDefault();
    entered = null;
  };

  const start = () => {
    root = document.getElementById("console-scans");
    if (!root) {
      early = null;
      return;
    }
    scanPanel.start(root, root.dataset.person, chosen);
    const changed = () => scanPanel.waiting(queue.isWaiting ? queue.entries.length : 0);
    queue = new scanQueue.Queue({ person: root.dataset.person, storage: localStorage, post, heard, changed });
    addEventListener("online", () => queue.resume());
    if (globalThis.consoleSession && consoleSession.unsent) consoleSession.unsent.add(() => queue.entries.length > 0 || scanWalk.isUnsent());
    if (queue.entries.length) queue.send();
    addEventListener("keydown", tabbed);
    addEventListener("submit", submitted, true);
    addEventListener("focusin", focused);
    addEventListener("mouseup", released, true);
    tellBefore();
    const form = scanForm();
    if (form && form.matches("[data-walk]")) scanWalk.start(form);
    if (globalThis.scanCamera) scanCamera.start(root, read);
    if (isNumber(document.activeElement)) document.activeElement.select();
    takeUp();
  };
  document.addEventListener("DOMContentLoaded", start);

  return { add, tell, tellNext, fail: failed, get queue() { return queue; } };
})();

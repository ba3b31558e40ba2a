// The search over any page: Ctrl-K, "/" or its button. The focus stays in the field; the arrows choose in the grid of
// results: a row for each result, and after its first cell a cell for each action.
"use strict";

var consoleSearch = (() => {
  const PAUSE = 120; // Milliseconds between a key and the request.
  let dialog = null;
  let field = null;
  let grid = null;
  let summary = null;
  let asked = null; // The text whose results are shown, null for none.
  let running = null;
  let pause = 0;
  let opensFirst = false; // Enter came before the results.
  let chosen = null; // [row, cell]

  const rows = () => [...grid.querySelectorAll("[role=row]")].map((row) => [...row.querySelectorAll("[role=gridcell]")]);

  const choose = (row, cell = 0) => {
    const all = rows();
    chosen = all.length && row !== null ? [row, Math.min(cell, all[row].length - 1)] : null;
    all.forEach((cells, y) => {
      cells[0].parentElement.classList.toggle("is-chosen", Boolean(chosen) && y === chosen[0]);
      cells.forEach((one, x) => {
        const isChosen = Boolean(chosen) && y === chosen[0] && x === chosen[1];
        one.classList.toggle("is-chosen", isChosen);
        one.setAttribute("aria-selected", String(isChosen));
        if (isChosen) one.scrollIntoView({ block: "nearest" });
      });
    });
    if (chosen) field.setAttribute("aria-activedescendant", all[chosen[0]][chosen[1]].id);
    else field.removeAttribute("aria-activedescendant");
  };

  const element = (name, className, text = "") => {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  };

  let cells = 0;
  const cell = (address, isDialog, ...content) => {
    const made = element("div", "console-search-cell");
    made.setAttribute("role", "gridcell");
    made.id = `console-search-cell-${cells += 1}`;
    const link = element("a", "");
    link.href = address;
    link.tabIndex = -1;
    if (isDialog) link.dataset.dialog = "";
    link.append(...content);
    made.append(link);
    return made;
  };

  const row = (result) => {
    const made = element("div", "console-search-row");
    made.setAttribute("role", "row");
    made.append(cell(result.address, false, element("strong", "", result.title), element("small", "", result.note)));
    for (const action of result.actions) {
      made.append(cell(action.address, action.is_dialog, action.label, element("span", "flow-unseen", ` ${result.title}`)));
    }
    return made;
  };

  const group = (found) => {
    const made = element("div", "");
    made.setAttribute("role", "rowgroup");
    made.setAttribute("aria-label", found.label);
    const heading = element("div", "console-search-group", found.label);
    heading.setAttribute("aria-hidden", "true");
    made.append(heading, ...found.results.map(row));
    return made;
  };

  const show = (answer) => {
    const shown = answer.groups.filter((found) => found.results.length);
    const hints = answer.groups.map((found) => found.hint && `${found.label}: ${found.hint}`).filter(Boolean);
    grid.replaceChildren(...shown.map(group));
    grid.hidden = !shown.length;
    field.setAttribute("aria-expanded", String(Boolean(shown.length)));
    summary.textContent = [answer.text && answer.summary, ...hints].filter(Boolean).join(" ");
    choose(shown.length ? 0 : null);
  };

  const clear = () => {
    asked = null;
    show({ text: "", groups: [], summary: "" });
  };

  // The results for a text. Throws an AbortError for a search that another one has replaced.
  const results = async (text, signal) => {
    const address = new URL(field.form.action);
    address.searchParams.set("q", text);
    const options = { headers: { Accept: "application/json" }, signal };
    const answer = await (window.consoleSession ? consoleSession.fetch(address, options) : fetch(address, options));
    if (!answer.ok || !(answer.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error("no results");
    return answer.json();
  };

  const ask = async () => {
    clearTimeout(pause);
    if (running) running.abort();
    const text = field.value.trim();
    if (!text) return clear();
    running = new AbortController();
    const own = running;
    grid.setAttribute("aria-busy", "true");
    summary.textContent = dialog.dataset.busy;
    try {
      const answer = await results(text, own.signal);
      if (own !== running) return;
      asked = text;
      show(answer);
      if (opensFirst && chosen) follow();
    } catch (error) {
      if (error.name === "AbortError" || own !== running) return;
      clear();
      summary.textContent = dialog.dataset.failed;
    } finally {
      if (own === running) {
        opensFirst = false;
        running = null;
        grid.removeAttribute("aria-busy");
      }
    }
  };

  const follow = (isElsewhere = false) => {
    const link = rows()[chosen[0]][chosen[1]].querySelector("a");
    if (isElsewhere) return window.open(link.href);
    link.click();
  };

  const move = (event) => {
    const all = rows();
    if (!all.length) return;
    const [y, x] = chosen || [-1, 0];
    const last = all.length - 1;
    if (event.key === "ArrowDown") choose(y < last ? y + 1 : 0);
    else if (event.key === "ArrowUp") choose(y > 0 ? y - 1 : last);
    else if (event.key === "ArrowRight" && chosen && field.selectionEnd === field.value.length && x < all[y].length - 1) choose(y, x + 1);
    else if (event.key === "ArrowLeft" && chosen && x > 0) choose(y, x - 1);
    else return;
    event.preventDefault();
  };

  const pressed = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (asked === field.value.trim() && !running) {
        if (chosen) follow(event.ctrlKey || event.metaKey);
        return;
      }
      opensFirst = true;
      ask();
    } else {
      move(event);
    }
  };

  const open = (text = "") => {
    if (!dialog || dialog.open) return;
    if (text) field.value = text;
    dialog.showModal();
    field.focus();
    field.select();
    if (field.value.trim() && asked !== field.value.trim()) ask();
  };

  // Opens with what was found for a scanned code. Resolves to whether anything was.
  const opensFor = async (code) => {
    if (!dialog || dialog.open) return false;
    try {
      const answer = await results(code);
      if (!answer.groups.some((found) => found.results.length)) return false;
      asked = code;
      show(answer);
      open(code);
      return true;
    } catch {
      return false;
    }
  };

  const isTyping = (target) => target instanceof Element && target.matches("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable=true], .select2-selection");

  const shortcut = (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const isPalette = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "k";
    const isSlash = event.key === "/" && !event.ctrlKey && !event.metaKey && !isTyping(event.target);
    if (!isPalette && !isSlash) return;
    if (document.querySelector("dialog[open]:not(.console-search)")) return;
    event.preventDefault();
    event.stopPropagation(); // The theme would focus the search of a list.
    open();
  };

  const start = () => {
    dialog = document.getElementById("console-search");
    if (!dialog) return;
    field = dialog.querySelector("input");
    grid = dialog.querySelector("[role=grid]");
    summary = dialog.querySelector("[data-summary]");
    document.addEventListener("keydown", shortcut);
    field.addEventListener("keydown", pressed);
    field.addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(ask, PAUSE);
    });
    grid.addEventListener("click", (event) => {
      if (event.target.closest("a") && !event.ctrlKey && !event.metaKey && !event.shiftKey) dialog.close();
    }, true);
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close-search]")) dialog.close();
    });
    for (const button of document.querySelectorAll("[data-open-search]")) {
      button.addEventListener("click", (event) => {
        event.preventDefault();
        open();
      });
    }
  };
  document.addEventListener("DOMContentLoaded", start);

  return { open, opensFor };
})();

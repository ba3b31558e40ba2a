// Menus of rows, the drawer of filters, and keyboard shortcuts on every page.
"use strict";

(() => {
  // ------------------------------------------------------------------------------------------------- menus of rows

  const buttonOf = (menu) => document.querySelector(`[aria-controls="${CSS.escape(menu.id)}"]`);

  const place = (menu) => {
    const button = buttonOf(menu).getBoundingClientRect();
    const below = button.bottom + 4;
    const fits = below + menu.offsetHeight <= innerHeight;
    menu.style.top = `${Math.max(8, fits ? below : button.top - menu.offsetHeight - 4)}px`;
    menu.style.left = `${Math.max(8, Math.min(button.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  };

  document.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!(menu instanceof Element) || !menu.matches("[data-row-menu]")) return;
    const isOpen = event.newState === "open";
    buttonOf(menu).setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    place(menu);
    menu.querySelector("a").focus({ preventScroll: true });
  }, true);

  const openMenu = () => document.querySelector("[data-row-menu]:popover-open");
  addEventListener("scroll", () => { if (openMenu()) place(openMenu()); }, { capture: true, passive: true });
  addEventListener("resize", () => { if (openMenu()) place(openMenu()); });

  document.addEventListener("keydown", (event) => {
    const menu = event.target instanceof Element && event.target.closest("[data-row-menu]");
    if (!menu || !["ArrowDown", "ArrowUp", "Tab"].includes(event.key)) return;
    if (event.key === "Tab") return menu.hidePopover();
    event.preventDefault();
    const links = [...menu.querySelectorAll("a")];
    const step = event.key === "ArrowDown" ? 1 : links.length - 1;
    links[(links.indexOf(event.target) + step) % links.length].focus();
  });
  document.addEventListener("click", (event) => {
    const menu = event.target instanceof Element && event.target.closest("[data-row-menu]");
    if (menu) menu.hidePopover();
  });

  // --------------------------------------------------------------------------------------------- drawer of filters

  const drawer = () => document.getElementById("console-filters");
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !drawer()) return;
    if (event.target.closest("[data-open-filters]")) drawer().showModal();
    else if (event.target === drawer() || event.target.closest("[data-close-filters]")) drawer().close();
  });

  // --------------------------------------------------------------------------------------------------- shortcuts

  // What each key does, by the name that its words have in the page (console/shortcuts.html).
  const go = (selector) => () => {
    const link = document.querySelector(selector);
    if (link) link.click();
  };
  const help = () => {
    const dialog = document.getElementById("console-shortcuts");
    if (dialog && !dialog.open) dialog.showModal();
  };
  const actions = {
    help,
    search: () => { if (window.consoleSearch) window.consoleSearch.open(); else if (document.getElementById("searchbar")) document.getElementById("searchbar").focus(); },
    filters: go("[data-open-filters]"),
  };
  let before = ""; // The first key of a pair such as "g s".
  let beforeAt = 0;
  let waiting = 0; // A key that is followed by another one at once is part of a scan, not a shortcut.
  const SCAN_MS = 250;

  const isTyping = (target) => target instanceof Element &&
    target.matches("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable=true], .select2-selection");

  document.addEventListener("keydown", (event) => {
    clearTimeout(waiting);
    if (event.defaultPrevented || event.isComposing || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
    if (isTyping(event.target) || document.querySelector("dialog[open], [data-row-menu]:popover-open")) return;
    const pair = performance.now() - beforeAt < 1200 ? `${before} ${event.key}` : "";
    const known = [...document.querySelectorAll("#console-shortcuts [data-keys]")];
    const row = known.find((one) => one.dataset.keys === pair) || known.find((one) => one.dataset.keys === event.key);
    [before, beforeAt] = [event.key, performance.now()];
    if (!row || row.dataset.elsewhere !== undefined) return;
    event.preventDefault();
    event.stopPropagation(); // The theme has shortcuts of its own.
    before = "";
    waiting = setTimeout(() => {
      if (row.dataset.address) location.assign(row.dataset.address);
      else actions[row.dataset.does]();
    }, SCAN_MS);
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-close-shortcuts]")) event.target.closest("dialog").close();
    if (event.target instanceof Element && event.target.closest("[data-open-shortcuts]")) help();
    const find = event.target instanceof Element && event.target.closest("[data-find]");
    if (find && window.consoleSearch) {
      event.preventDefault();
      window.consoleSearch.open();
    }
  });
})();

// What the console adds to its theme. No library, no other host.
"use strict";

(() => {
  // Times are shown in the reader's zone: the server reads it from this cookie.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `console_zone=${zone}; path=/admin/; max-age=31536000; samesite=lax`;

  // Pages without the theme follow its choice of light and dark all the same.
  const shade = () => {
    if (!document.querySelector(".console-plain")) return;
    const chosen = (localStorage.getItem("adminTheme") || "").replaceAll('"', "");
    const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.classList.toggle("dark", dark);
  };

  // The theme's menus open by clicks on texts and icons: let them be buttons for the keyboard and for readers.
  const native = "a[href], button, input, select, textarea, summary, form, label";
  const reachable = (root) => {
    // An icon beside a text says nothing more: a reader would read its name out. One without a text has a title.
    for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      const holder = icon.closest("a, button");
      if (!holder || holder === icon) continue;
      const text = holder.textContent.replace(icon.textContent, "").trim();
      if (!text && holder.title && !holder.hasAttribute("aria-label")) holder.setAttribute("aria-label", holder.title);
      if (text || holder.hasAttribute("aria-label")) icon.setAttribute("aria-hidden", "true");
    }
    // Parts that scroll are regions; each by its own name.
    const words = document.getElementById("console-names");
    for (const region of root.querySelectorAll(".simplebar-content-wrapper[role=region]")) {
      const name = region.closest("#nav-sidebar") ? words.dataset.menu : words.dataset.rows;
      if (region.getAttribute("aria-label") !== name) region.setAttribute("aria-label", name);
    }
    const here = root.querySelector("#nav-sidebar-apps a.active:not([aria-current])");
    if (here) here.setAttribute("aria-current", "page");
    // A searching choice speaks of itself by what is chosen; let it say what for.
    for (const choice of root.querySelectorAll(".select2-selection[aria-labelledby]")) {
      const select = choice.closest(".select2-container").previousElementSibling;
      const label = select && select.labels && select.labels[0];
      if (!label) continue;
      choice.removeAttribute("aria-labelledby");
      for (const part of [choice, choice.querySelector(".select2-selection__rendered")]) {
        if (part) part.setAttribute("aria-label", label.textContent.trim());
      }
    }
    for (const element of root.querySelectorAll("[x-on\\:click]")) {
      if (element.matches(native) || element.hasAttribute("tabindex")) continue;
      element.setAttribute("role", "button");
      element.setAttribute("tabindex", "0");
      const icon = element.matches(".material-symbols-outlined") ? element : element.querySelector(".material-symbols-outlined");
      const names = document.getElementById("console-names");
      const name = icon && names && names.dataset[icon.textContent.trim().replace(/_(\w)/g, (_, c) => c.toUpperCase())];
      const text = icon ? element.textContent.replace(icon.textContent, "").trim() : element.textContent.trim();
      if (!element.hasAttribute("aria-label") && !text && name) element.setAttribute("aria-label", name);
    }
  };
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const target = event.target;
    if (target instanceof HTMLElement && target.getAttribute("role") === "button" && !target.matches(native)) {
      event.preventDefault();
      target.click();
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-print]")) print();
  });

  // Against double submits: the server recognises the form's key, and the button shows that it is busy. Forms without a key
  // are blocked until their page is left; those that leave no page (a download, another window) are unblocked soon.
  const RELEASED_MS = 8000;
  const release = (form) => {
    delete form.dataset.sent;
    for (const one of form.querySelectorAll("[aria-busy]")) one.removeAttribute("aria-busy");
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-once]")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-busy", "true");
  });
  // On the window: after the scripts that send a form themselves.
  addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.matches("[data-once]")) return;
    if (form.method !== "post" || form.target) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
    setTimeout(release, RELEASED_MS, form);
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) release(form);
  });

  shade();
  document.addEventListener("DOMContentLoaded", () => {
    shade();
    reachable(document);
    new MutationObserver(() => reachable(document)).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-labelledby"] });
  });
})();

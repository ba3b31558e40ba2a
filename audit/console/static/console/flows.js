// Scanning without a reload between two scans. Without this script the same form is sent whole.
"use strict";

(() => {
  let waiting = Promise.resolve();

  // What was typed while the answer was on its way is newer than the answer.
  const typedSince = (form, given) => [...form.elements].filter((field) =>
    field.matches("[data-live] input:not([type=hidden])[name]") && given.has(field.name) && field.value !== given.get(field.name));

  // The sums follow every scan and every edit. What is no whole number is marked, and adds nothing yet.
  const addUp = (form) => {
    const units = [...form.querySelectorAll(".flow-units")].map((field) => {
      const isNumber = /^\d*$/.test(field.value.trim());
      if (isNumber) field.removeAttribute("aria-invalid");
      else field.setAttribute("aria-invalid", "true");
      return isNumber ? Number(field.value) : 0;
    });
    const sums = { lines: units.filter(Boolean).length, units: units.reduce((sum, one) => sum + one, 0) };
    for (const shown of form.querySelectorAll("[data-sum]")) shown.textContent = sums[shown.dataset.sum];
  };

  const show = (text, form, given) => {
    const newer = typedSince(form, given).map((field) => [field.name, field.value, field === document.activeElement]);
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = [...page.querySelectorAll("[data-live][id]")];
    if (!fresh.length) throw new Error("not the form");
    for (const part of fresh) {
      const own = document.getElementById(part.id);
      if (own) own.replaceChildren(...[...part.childNodes].map((node) => document.adoptNode(node)));
    }
    for (const [name, value, hadFocus] of newer) {
      const field = form.elements.namedItem(name);
      if (!field) continue;
      field.value = value;
      if (hadFocus) field.focus();
    }
    addUp(form);
  };

  const send = async (form, act, code) => {
    const given = new FormData(form);
    given.set("do", act);
    given.set("code", code);
    try {
      const answer = await fetch(form.action, { method: "POST", body: given, credentials: "same-origin" });
      if (!answer.ok) throw new Error("refused");
      show(await answer.text(), form, given);
    } catch {
      const words = document.createElement("p");
      words.className = "flow-alert";
      words.textContent = code ? `${form.dataset.failed} (${code})` : form.dataset.failed;
      document.getElementById("flow-told").replaceChildren(words);
    }
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-scan]")) return;
    const act = event.submitter ? event.submitter.value : "add";
    if (act === "review") {
      // What was scanned just now belongs to it.
      if (form.dataset.ready) {
        delete form.dataset.ready;
        return;
      }
      event.preventDefault();
      const button = event.submitter;
      // Not at once: within its own submission a form can't be submitted.
      waiting = waiting.then(() => setTimeout(() => {
        form.dataset.ready = "yes";
        form.requestSubmit(button);
      }));
      return;
    }
    event.preventDefault();
    const field = form.elements.namedItem("code");
    const code = act === "add" ? field.value.trim() : "";
    field.value = "";
    field.focus();
    if (act === "add" && !code) return;
    waiting = waiting.then(() => send(form, act, code));
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-scan] .flow-units")) addUp(event.target.form);
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-scan]").forEach(addUp));

  // A field that belongs to one choice of what to count is shown with it.
  const fit = (select) => {
    for (const field of document.querySelectorAll("[data-when]")) {
      const box = field.closest(".group");
      if (box) box.hidden = field.dataset.when !== select.value;
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("id_scope");
    if (!select || !document.querySelector("[data-when]")) return;
    fit(select);
    select.addEventListener("change", () => fit(select));
  });

  // The theme hides the page until its scripts are there: what is hidden can't have the focus.
  document.addEventListener("alpine:initialized", () => {
    const wanted = document.querySelector(".flow [autofocus], .console-card [autofocus]");
    if (wanted) requestAnimationFrame(() => wanted.focus());
  });
})();

// Dialogs open over the page; where that fails, the link leads to the same form on a page of its own. Errors and
// questions of the service are shown in the dialog.
"use strict";

(() => {
  // To the first field that is wrong, or the first message about a form; in a new dialog, else to its first field.
  const focusIn = (root, isNew) => {
    const said = [...root.querySelectorAll(".console-card [role=alert]")].find((part) => part.textContent.trim());
    const first = isNew && root.querySelector("input:not([type=hidden]), select, textarea, .console-button");
    const target = root.querySelector("[aria-invalid=true]:not([type=hidden])") || said || first;
    if (!target) return;
    if (target === said) target.tabIndex = -1;
    target.focus();
  };

  // The part of a page that a dialog can show: a form, a result or an error.
  const cardOf = (page) => {
    const card = page.querySelector("#console-card, [data-error], #content .console-card");
    if (!card) return null;
    card.classList.add("console-card");
    return document.adoptNode(card);
  };

  const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  const fill = (dialog, card) => {
    dialog.replaceChildren(card);
    const title = card.querySelector("h1, h2");
    if (title) {
      title.id = title.id || "console-card-title";
      dialog.setAttribute("aria-labelledby", title.id);
    }
    // An error ends the dialog, without a page to go to.
    if (!card.matches("[data-error]")) return;
    const close = card.querySelector(".console-button");
    close.dataset.close = "";
    close.textContent = document.getElementById("console-names").dataset.close;
  };

  // A dialog in which something was typed is closed by whoever says so twice.
  const close = (dialog) => {
    const isKept = window.consoleSession.holdsUnsent(dialog) && !confirm(document.getElementById("console-names").dataset.unsent);
    if (!isKept) dialog.close();
  };

  const open = async (link) => {
    const address = new URL(link.href);
    address.searchParams.set("next", location.pathname + location.search);
    link.setAttribute("aria-busy", "true");
    try {
      const answer = await window.consoleSession.fetch(address);
      const card = cardOf(await parsed(answer));
      if (!card || (answer.ok && !card.querySelector("form"))) return location.assign(address);
      const dialog = document.createElement("dialog");
      dialog.className = "console-dialog";
      fill(dialog, card);
      const opener = link.closest("[data-row-menu]") ? document.querySelector(`[aria-controls="${link.closest("[data-row-menu]").id}"]`) : link;
      // Back on a phone. Escape comes as a key before: a second one would close the dialog unasked.
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        close(dialog);
      });
      dialog.addEventListener("close", () => {
        dialog.remove();
        // The event comes a moment later: the search may be open by then, and has the focus.
        const isElsewhere = document.activeElement && document.activeElement.closest("dialog[open]");
        if (opener && opener.isConnected && !isElsewhere) opener.focus();
      });
      document.body.append(dialog);
      dialog.showModal();
      focusIn(dialog, true);
    } catch (error) {
      if (error.name !== "AbortError") location.assign(address);
    } finally {
      link.removeAttribute("aria-busy");
    }
  };

  const complain = (dialog, form, words) => {
    let place = dialog.querySelector("[data-failed-here]");
    if (!place) {
      place = document.createElement("p");
      place.className = "flow-alert";
      place.setAttribute("role", "alert");
      place.dataset.failedHere = "";
      form.prepend(place);
    }
    place.textContent = words;
  };

  const send = async (dialog, form, button) => {
    const given = new FormData(form, button);
    const options = { method: "POST", body: given, headers: { "X-Console-Dialog": "1" } };
    try {
      const answer = await window.consoleSession.fetch(form.action, options);
      const next = answer.headers.get("X-Location");
      if (next) {
        dialog.close();
        return location.assign(next);
      }
      const card = cardOf(await parsed(answer));
      if (!card) throw new TypeError("no page of the console");
      dialog.dataset.sentBack = "";
      fill(dialog, card);
      focusIn(dialog, true);
    } catch (error) {
      if (error.name !== "AbortError") complain(dialog, form, document.getElementById("console-names").dataset.failed);
    } finally {
      delete form.dataset.sent;
      for (const one of form.querySelectorAll("[aria-busy]")) one.removeAttribute("aria-busy");
    }
  };

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const button = event.target.closest("dialog.console-dialog [data-close]");
    if (button) {
      event.preventDefault();
      close(button.closest("dialog"));
      return;
    }
    const link = event.target.closest("a[data-dialog]");
    if (!link) return;
    event.preventDefault();
    open(link);
  });

  document.addEventListener("keydown", (event) => {
    const dialog = event.target instanceof Element && event.target.closest("dialog.console-dialog:not([data-session])");
    if (!dialog || event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
    event.preventDefault();
    close(dialog);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const dialog = form instanceof HTMLFormElement && form.closest("dialog.console-dialog:not([data-session])");
    if (event.defaultPrevented || !dialog || form.method !== "post" || form.target) return;
    event.preventDefault();
    send(dialog, form, event.submitter);
  });

  // The theme hides a page until its scripts are loaded, and hidden elements can't get the focus.
  document.addEventListener("alpine:initialized", () => {
    const main = document.getElementById("console-main");
    if (main) requestAnimationFrame(() => focusIn(main, false));
  });
})();

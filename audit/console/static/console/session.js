// Sessions that end while a page is open: the login opens over the page and the waiting request is repeated, a rotated
// token is renewed, and leaving with unsent work asks first. Other scripts use window.consoleSession.
"use strict";

(() => {
  const own = () => document.getElementById("console-session");
  const dialogIn = (name) => document.getElementById(name).content.firstElementChild.cloneNode(true);
  const cookie = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1] || "";

  // Who is logged in, and a token for forms. Throws a TypeError if the service can't be reached.
  const ask = async () => {
    const answer = await fetch(own().dataset.address, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) throw new TypeError(`status ${answer.status}`);
    return answer.json();
  };

  // Shows a dialog over the page until its form is sent or it is closed. ``sent`` resolves to whether it is done.
  const over = (dialog, sent) => new Promise((resolve) => {
    const before = document.activeElement;
    const form = dialog.querySelector("form");
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopPropagation();
      isDone = await sent(dialog, form);
      if (isDone) dialog.close();
    });
    dialog.querySelector("[data-not-now]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before) before.focus();
      resolve(isDone);
    });
    document.body.append(dialog);
    dialog.showModal();
  });

  const complain = (dialog, text) => {
    const place = dialog.querySelector("[role=alert]");
    place.textContent = text;
    place.hidden = !text;
  };

  const sendLogin = async (dialog, form) => {
    const button = form.querySelector("button[type=submit]");
    button.setAttribute("aria-busy", "true");
    try {
      const given = new FormData(form);
      given.set("csrfmiddlewaretoken", (await ask()).token);
      // A login that succeeded leads elsewhere; one that failed shows its page again.
      const answer = await fetch(form.action, { method: "POST", body: given, credentials: "same-origin", redirect: "manual" });
      if (answer.type === "opaqueredirect") return true;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const alert = page.querySelector("[role=alert]");
      const said = alert ? [alert] : [...page.querySelectorAll("main > h1, main > p")];
      complain(dialog, said.map((part) => part.textContent.trim()).filter(Boolean).join(" ") || dialog.dataset.failed);
    } catch {
      complain(dialog, dialog.dataset.failed);
    } finally {
      button.removeAttribute("aria-busy");
    }
    const password = form.querySelector("[type=password]");
    password.value = "";
    password.focus();
    return false;
  };

  // One login at a time, however many requests wait for it.
  let login = null;
  const loggedIn = () => {
    login = login || over(dialogIn("console-login"), sendLogin).finally(() => { login = null; });
    return login;
  };

  const reachable = () => over(dialogIn("console-offline"), async (dialog) => {
    try {
      await ask();
      return true;
    } catch {
      complain(dialog, dialog.dataset.failed);
      return false;
    }
  });

  // Resolves to a fresh token once the person of this page is logged in and the service can be reached, or to nothing
  // if the person gave up.
  const ready = async () => {
    for (;;) {
      let known;
      try {
        known = await ask();
      } catch {
        if (!await reachable()) return "";
        continue;
      }
      if (known.account === own().dataset.user) return known.token;
      if (known.account) {
        // Somebody else logged in in another tab: nothing is sent in their name.
        location.reload();
        return "";
      }
      if (!await loggedIn()) return "";
    }
  };

  const isLogin = (answer) => answer.redirected && new URL(answer.url).pathname === own().dataset.login;

  const send = async (address, options, token) => {
    const headers = new Headers(options.headers);
    if ((options.method || "GET") !== "GET") headers.set("X-CSRFToken", token);
    if (options.body instanceof FormData && options.body.has("csrfmiddlewaretoken")) {
      options.body.set("csrfmiddlewaretoken", token);
    }
    return fetch(address, { credentials: "same-origin", ...options, headers });
  };

  // As fetch: rejects only if the service can't be reached, or with an AbortError if the person did not log in.
  const fetchInSession = async (address, options = {}) => {
    let answer = await send(address, options, cookie());
    if (!own() || !(isLogin(answer) || (answer.status === 403 && options.method && options.method !== "GET"))) return answer;
    const known = await ask();
    if (!known.account && !await loggedIn()) throw new DOMException("Not logged in", "AbortError");
    const token = (await ask()).token;
    answer = await send(address, options, token);
    if (isLogin(answer)) throw new DOMException("Not logged in", "AbortError");
    return answer;
  };

  // A form is sent only with a valid session of its person and a valid token. The forms of drafts are saved by drafts.js
  // and scanning.js, but for the buttons Review and Save.
  const isSaved = (form, button) => form.matches("[data-lines-url]") && !(button && ["review", "save"].includes(button.value));
  const isOurs = (form, button) => form instanceof HTMLFormElement && form.method === "post" && own() && form.id !== "logout-form" &&
    !(button && button.formTarget) && !form.target && !form.closest("dialog[data-session]") && !isSaved(form, button);
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !isOurs(form, event.submitter) || form.dataset.checked) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (form.dataset.checking) return;
    form.dataset.checking = "yes";
    const token = await ready();
    delete form.dataset.checking;
    if (!token) return;
    for (const field of form.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
    form.dataset.checked = "yes";
    form.requestSubmit(event.submitter);
    delete form.dataset.checked;
  }, true);

  // A form has unsent work if its values differ from those that it had when the person began to edit it.
  const unsent = new Set();
  const begun = new Map();
  const held = (form) => JSON.stringify([...new FormData(form)].map(([name, value]) =>
    name === "csrfmiddlewaretoken" ? "" : [name, value instanceof File ? value.name : value]));
  // Never what a form holds: one that came back with what is wrong holds what was typed, and none of it is saved.
  const LOST = "";
  const isSentBack = (form) => form.closest("dialog[data-sent-back]") !== null ||
    form.querySelector("[aria-invalid=true]:not([type=hidden])") !== null;
  const begin = (event) => {
    const form = event.target instanceof Element && event.target.closest("form");
    if (!form || form.method !== "post" || begun.has(form)) return;
    if (form.matches("[data-lines-url], [data-scan-url], #changelist-form, #login-form") || form.closest("dialog[data-session]")) return;
    begun.set(form, isSentBack(form) ? LOST : held(form));
  };
  document.addEventListener("focusin", begin, true);
  document.addEventListener("pointerdown", begin, true);
  // Whether forms of the page, or of a part of it, hold something that was typed and not sent.
  const holdsUnsent = (part = document) => [...begun].some(([form, before]) => part.contains(form) && held(form) !== before);
  const isUnsent = () => holdsUnsent() || [...unsent].some((asks) => asks());

  let isLeaving = false;
  addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    isLeaving = true;
    // A file that is downloaded leaves the page open.
    setTimeout(() => { isLeaving = false; }, 5000);
  });
  addEventListener("beforeunload", (event) => {
    if (!isLeaving && isUnsent()) event.preventDefault();
  });

  // Replaces the history entry of an answered form, so that Back and Reload send nothing again.
  history.replaceState(history.state, "", location.href);
  addEventListener("pageshow", (event) => {
    isLeaving = false;
    if (event.persisted && document.querySelector("[data-draft]")) location.reload();
  });

  window.consoleSession = { fetch: fetchInSession, unsent, holdsUnsent };
})();

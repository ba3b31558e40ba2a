// The scans that failed, on every page until they are dealt with, and those that wait for the network.
"use strict";

var scanPanel = (() => {
  const MOST = 200;
  let root = null;
  let person = "";
  let sound = null;
  let choose = () => {};

  // Low and rough, unlike the beep of a scanner.
  const alarm = () => {
    try {
      if (navigator.vibrate) navigator.vibrate([200, 80, 200]);
      sound = sound || new AudioContext();
      if (sound.state === "suspended") sound.resume();
      for (const start of [0, 0.22]) {
        const tone = sound.createOscillator();
        const volume = sound.createGain();
        tone.type = "square";
        tone.frequency.value = 220;
        volume.gain.value = 0.15;
        tone.connect(volume).connect(sound.destination);
        tone.start(sound.currentTime + start);
        tone.stop(sound.currentTime + start + 0.16);
      }
    } catch {
      // The browser has no sound: the list alone shows the failure.
    }
  };

  const key = () => `console-scans-failed:${person}`;

  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(key())) || [];
    } catch {
      return [];
    }
  };

  let failed = [];

  const write = () => {
    try {
      if (failed.length) localStorage.setItem(key(), JSON.stringify(failed));
      else localStorage.removeItem(key());
    } catch {
      // Without storage they are listed only on this page.
    }
    show();
  };

  const settle = (id) => {
    failed = failed.filter((one) => one.id !== id);
    write();
  };

  const button = (text, act, label = "") => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "console-button is-plain";
    made.textContent = text;
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };

  // The time, with the day unless it is today.
  const when = (at) => {
    const day = at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
    return at.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
  };

  const item = (one) => {
    const row = document.createElement("li");
    row.className = "scan-failed-item";
    const words = document.createElement("p");
    words.textContent = one.message;
    const where = document.createElement("span");
    where.className = "flow-soft";
    where.textContent = [one.page, when(new Date(one.at))].filter(Boolean).join(" · ");
    const buttons = document.createElement("div");
    buttons.className = "scan-failed-buttons";
    for (const choice of one.choices || []) {
      buttons.append(button(`${choice.sku} ${choice.name}`.trim(), () => {
        settle(one.id);
        choose(one, choice);
      }));
    }
    buttons.append(button(root.dataset.textDone, () => settle(one.id), `${root.dataset.textDone}: ${one.message}`));
    row.append(words, where, buttons);
    return row;
  };

  const show = () => {
    if (!root) return;
    const list = root.querySelector("[data-failed]");
    root.querySelector("[data-failed-list]").replaceChildren(...failed.map(item));
    list.hidden = !failed.length;
    root.querySelector("[data-failed-count]").textContent = failed.length;
  };

  // Lists a failed scan; once, even if two pages report it.
  const add = (one) => {
    failed = read();
    if (!failed.some((other) => other.id === one.id)) failed = [one, ...failed].slice(0, MOST);
    write();
    alarm();
  };

  const waiting = (count) => {
    const told = root && root.querySelector("[data-waiting]");
    if (!told) return;
    told.hidden = !count;
    told.querySelector("[data-waiting-count]").textContent = count;
  };

  const start = (element, whose, chosen) => {
    root = element;
    person = whose;
    choose = chosen;
    failed = read();
    show();
    root.querySelector("[data-failed-clear]").addEventListener("click", () => {
      failed = [];
      write();
    });
    addEventListener("storage", (event) => {
      if (event.key !== key()) return;
      failed = read();
      show();
    });
  };

  return { start, add, waiting, alarm };
})();

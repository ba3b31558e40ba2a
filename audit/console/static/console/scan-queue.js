// The queue of scans: kept in the browser until each has its answer, sent in order. The server recognises a scan by its
// id, so one that is sent twice, by another tab or after a lost answer, counts once.
"use strict";

var scanQueue = (() => {
  const MOST_AT_ONCE = 50;
  const DELAYS = [1000, 2000, 4000, 8000, 15000];
  const PREFIX = "console-scan:";

  const newId = () => {
    if (globalThis.crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  class Queue {
    // ``post(url, scans)`` resolves to {outcomes, …}, to {later: true} if the server wasn't reached, or to
    // {refused: "<why>"}. ``heard(entry, outcome, answer)`` is called for each answered scan, ``changed()`` when the queue changes.
    constructor({ person, storage, post, heard, changed }) {
      Object.assign(this, { storage, post, heard, changed });
      this.prefix = `${PREFIX}${person}:`;
      this.serial = 0;
      this.failures = 0;
      this.oneByOne = 0;
      this.isSending = false;
      this.entries = this.stored();
    }

    // The unsent scans of earlier pages and of other open ones.
    stored() {
      const found = [];
      try {
        const keys = Object.keys(this.storage).filter((key) => key.startsWith(this.prefix)).sort();
        for (const key of keys) found.push({ ...JSON.parse(this.storage.getItem(key)), key });
      } catch {
        // No storage, or foreign content in it: no scan is waiting.
      }
      return found;
    }

    add(url, scan, page = "") {
      const now = Date.now();
      this.serial += 1;
      const entry = {
        key: `${this.prefix}${String(now).padStart(15, "0")}-${String(this.serial).padStart(6, "0")}`,
        url,
        page,
        scan: { id: newId(), at: new Date(now).toISOString(), ...scan },
      };
      this.entries.push(entry);
      try {
        this.storage.setItem(entry.key, JSON.stringify({ url, page, scan: entry.scan }));
      } catch {
        // Without storage the scan waits only in this page, and leaving the page asks for confirmation.
      }
      this.changed();
      this.send();
      return entry;
    }

    remove(entry) {
      this.entries = this.entries.filter((other) => other !== entry);
      try {
        this.storage.removeItem(entry.key);
      } catch {
        // It was never stored.
      }
    }

    // The next scans with one address, in order.
    batch() {
      const first = this.entries[0];
      const end = this.entries.findIndex((entry) => entry.url !== first.url);
      const most = this.oneByOne > 0 ? 1 : MOST_AT_ONCE;
      return this.entries.slice(0, Math.min(end < 0 ? this.entries.length : end, most));
    }

    async send() {
      if (this.isSending || this.retry) return;
      this.isSending = true;
      while (this.entries.length) {
        const batch = this.batch();
        let answer;
        try {
          answer = await this.post(batch[0].url, batch.map((entry) => entry.scan));
        } catch (error) {
          answer = { later: true, isRefusedByPerson: error.name === "AbortError" };
        }
        if (answer.later) {
          this.isSending = false;
          this.wait(answer.isRefusedByPerson);
          return;
        }
        this.failures = 0;
        this.take(batch, answer);
        this.changed();
      }
      this.isSending = false;
      this.changed();
    }

    take(batch, answer) {
      if (answer.refused && batch.length > 1) {
        this.oneByOne = batch.length;
        return;
      }
      this.oneByOne = Math.max(0, this.oneByOne - 1);
      const outcomes = new Map((answer.outcomes || []).map((outcome) => [outcome.id, outcome]));
      for (const entry of batch) {
        const outcome = outcomes.get(entry.scan.id) || { id: entry.scan.id, status: "refused", message: answer.refused || "" };
        this.remove(entry);
        this.heard(entry, outcome, answer);
      }
    }

    // After a cancelled login, the next scan asks for it again.
    wait(isRefusedByPerson) {
      const delay = DELAYS[Math.min(this.failures, DELAYS.length - 1)];
      this.failures += 1;
      if (!isRefusedByPerson) this.retry = setTimeout(() => this.resume(), delay);
      this.changed();
    }

    // Try again now: the network may be back.
    resume() {
      clearTimeout(this.retry);
      this.retry = null;
      this.send();
    }

    get isWaiting() {
      return this.failures > 0 && this.entries.length > 0;
    }

    // Resolves when nothing is left to send.
    async empty() {
      while (this.entries.length) await new Promise((done) => setTimeout(done, 20));
    }
  }

  return { Queue, newId };
})();

if (typeof module !== "undefined") module.exports = scanQueue;

// Distinguishes scans from typing by the time between two keys. It needs no page, so that it can be tested without one.
"use strict";

var scanBursts = (() => {
  // Keys of a scanner are a few milliseconds apart, those of a person about 100. A busy machine delays single keys, so
  // the mean decides, and only a long gap ends a burst.
  const MOST_GAP = 200;
  // How long no key comes until a scan without a terminator is over. Longer, since keys may wait for a busy page.
  const PAUSE = 500;
  const MOST_MEAN_GAP = 40;
  const SLOW = 140;
  const FEWEST_KEYS = 4;
  // How long after a scan its second terminator may come, CR and then LF; or its only one, where a pause ended the scan.
  const TAIL = 150;
  const LATE = 400;

  // The keys that end a scan. Scanners send the control characters TAB, LF and CR as Ctrl+I, Ctrl+J and Ctrl+M, too.
  const CONTROLS = new Set(["i", "j", "m"]);
  const ENDS = new Set(["Enter", "Tab", "Linefeed", "\n", "\r", "\t"]);

  const isEnd = (event) => {
    if (event.altKey || event.metaKey || (event.shiftKey && event.key === "Tab")) return false;
    return ENDS.has(event.key) || (event.ctrlKey && CONTROLS.has(event.key.toLowerCase()));
  };

  const isPrintable = (event) => {
    if ([...event.key].length !== 1 || event.isComposing || event.repeat) return false;
    const typesThird = typeof event.getModifierState === "function" && event.getModifierState("AltGraph");
    return typesThird || !(event.ctrlKey || event.altKey || event.metaKey);
  };

  class Bursts {
    constructor() {
      this.forget();
      this.tailUntil = -Infinity;
    }

    forget() {
      this.keys = [];
    }

    // A character was typed at this time, in milliseconds. Answers which key of its burst it is, from 0.
    add(character, at) {
      if (this.keys.length && at - this.keys.at(-1).at > MOST_GAP) this.forget();
      this.tailUntil = -Infinity;
      this.keys.push({ character, at });
      return this.keys.length - 1;
    }

    // Whether the last key came as fast after the one before it as a scanner's.
    get isFast() {
      return this.keys.length > 1 && this.keys.at(-1).at - this.keys.at(-2).at <= MOST_MEAN_GAP;
    }

    // How many keys a person typed right before the scanner: those that the next key follows slowly.
    get byHand() {
      const isSlow = (place) => place + 1 < this.keys.length && this.keys[place + 1].at - this.keys[place].at > SLOW;
      let place = 0;
      while (isSlow(place)) place += 1;
      return place;
    }

    // Keys that were typed on the page before, whose clock began this many milliseconds earlier.
    resume(keys, earlier) {
      this.keys = keys.map(({ character, at }) => ({ character, at: at - earlier }));
    }

    // Whether the keys so far may be a scan: a pause after fewer of them doesn't say that no more are to come.
    get isLong() {
      return this.keys.length >= FEWEST_KEYS;
    }

    // The burst has ended at this time, by a terminator or, without one, by a pause. Answers the code, "" if it is none,
    // and which key of the burst was its first.
    end(at, isPause = false) {
      const first = this.byHand;
      const keys = this.keys.slice(first);
      this.forget();
      if (keys.length < FEWEST_KEYS || (!isPause && at - keys.at(-1).at > MOST_GAP)) return { code: "", first };
      if ((keys.at(-1).at - keys[0].at) / (keys.length - 1) > MOST_MEAN_GAP) return { code: "", first };
      this.tails = isPause ? 2 : 1;
      this.tailUntil = at + (isPause ? LATE : TAIL);
      return { code: keys.map((key) => key.character).join(""), first };
    }

    // Whether a terminator at this time is the rest of the last scan's terminator, which has two keys at most: the next
    // Tab is a person's, however soon it comes.
    isTail(at) {
      if (at > this.tailUntil) return false;
      this.tails -= 1;
      this.tailUntil = this.tails ? at + TAIL : -Infinity;
      return true;
    }
  }

  return { Bursts, isEnd, isPrintable, PAUSE };
})();

if (typeof module !== "undefined") module.exports = scanBursts;

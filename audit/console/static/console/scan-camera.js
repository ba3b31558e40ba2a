// The camera of a phone as a scanner, where the browser can read barcodes. Elsewhere its button stays hidden.
"use strict";

var scanCamera = (() => {
  const WANTED = ["ean_13", "ean_8", "upc_a", "upc_e", "code_128", "code_39", "itf", "qr_code", "data_matrix"];
  const EVERY = 150;
  const SAME = 1500; // A code that stays before the camera is read once.
  let root = null;
  let read = () => {};

  const supported = async () => {
    if (!("BarcodeDetector" in globalThis) || !navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) return [];
    try {
      const formats = await BarcodeDetector.getSupportedFormats();
      return WANTED.filter((format) => formats.includes(format));
    } catch {
      return [];
    }
  };

  const watch = (dialog, video, formats) => {
    const detector = new BarcodeDetector({ formats });
    let last = "";
    let lastAt = 0;
    const look = async () => {
      if (!dialog.open) return;
      try {
        const [found] = await detector.detect(video);
        const now = Date.now();
        if (found && (found.rawValue !== last || now - lastAt > SAME)) {
          if (navigator.vibrate) navigator.vibrate(40);
          read(found.rawValue);
        }
        if (found) [last, lastAt] = [found.rawValue, now];
      } catch {
        // The picture isn't there yet.
      }
      setTimeout(look, EVERY);
    };
    look();
  };

  const open = async (formats) => {
    const dialog = document.createElement("dialog");
    dialog.className = "scan-camera";
    dialog.setAttribute("aria-label", root.dataset.textCamera);
    const video = document.createElement("video");
    video.muted = video.playsInline = true;
    const told = document.createElement("p");
    told.setAttribute("role", "status");
    const close = document.createElement("button");
    close.type = "button";
    close.className = "console-button is-plain";
    close.textContent = root.dataset.textClose;
    close.addEventListener("click", () => dialog.close());
    dialog.append(video, told, close);
    document.body.append(dialog);
    let stream = null;
    const over = new AbortController();
    dialog.addEventListener("close", () => {
      over.abort();
      if (stream) for (const track of stream.getTracks()) track.stop();
      dialog.remove();
    });
    dialog.showModal();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (!dialog.open) return stream.getTracks().forEach((track) => track.stop());
      video.srcObject = stream;
      video.play().catch(() => {}); // Closed before the first picture.
      document.addEventListener("scans:answered", (event) => { told.textContent = event.detail.outcome.message; }, { signal: over.signal });
      watch(dialog, video, formats);
    } catch {
      told.textContent = root.dataset.textNoCamera;
    }
  };

  const start = async (element, reader) => {
    root = element;
    read = reader;
    const formats = await supported();
    if (!formats.length) return;
    const button = root.querySelector("[data-camera]");
    button.hidden = false;
    button.addEventListener("click", () => open(formats));
  };

  return { start };
})();

// A receiver of webhooks: verifies them, answers at once, and prints each event once.
// It verifies HMAC (WEBHOOK_SECRET, whsec_…) or, better, ed25519 (WEBHOOK_PUBLIC_KEY, whpk_…), which is no secret.

import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const MOST_BYTES = 20_000;
const keysOf = (text, prefix) =>
  (text ?? "").split(" ").filter(Boolean).map((key) => Buffer.from(key.slice(prefix.length), "base64"));
// Separated by blanks: two while they are being replaced.
const secrets = keysOf(process.env.WEBHOOK_SECRET, "whsec_");
const ED25519 = Buffer.from("302a300506032b6570032100", "hex");
const publicKeys = keysOf(process.env.WEBHOOK_PUBLIC_KEY, "whpk_").map((raw) =>
  createPublicKey({ key: Buffer.concat([ED25519, raw]), format: "der", type: "spki" }),
);
const seen = new Set(); // In a real receiver: a unique column, written in the transaction that acts on the event.

function isGenuine(headers, body) {
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${timestamp}.`), body]);
  return (headers["webhook-signature"] ?? "").split(" ").some((each) => {
    const [scheme, text] = each.split(",");
    const signature = Buffer.from(text ?? "", "base64");
    if (scheme === "v1a") return publicKeys.some((key) => verify(null, signed, key, signature));
    if (scheme !== "v1") return false;
    return secrets.some((secret) => {
      const good = createHmac("sha256", secret).update(signed).digest();
      return good.length === signature.length && timingSafeEqual(good, signature);
    });
  });
}

const server = createServer(async (request, response) => {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length < MOST_BYTES) parts.push(part);
  }
  const body = Buffer.concat(parts);
  if (request.method !== "POST" || length >= MOST_BYTES || !isGenuine(request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  if (!seen.has(request.headers["webhook-id"])) {
    seen.add(request.headers["webhook-id"]);
    const event = JSON.parse(body);
    console.log(event.type, event.key);
  }
  response.writeHead(204).end();
});
server.listen(Number(process.env.PORT ?? 8787), "127.0.0.1", () =>
  console.log(`Listening on port ${server.address().port}`),
);

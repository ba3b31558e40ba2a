import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";
import { retryingFetch } from "./retrying.js";

const TENT = "d4c3be38-2bb1-53da-ab83-5417b452563e";

const client = createClient<paths>({
  baseUrl: process.env.ADDRESS ?? "http://127.0.0.1:8000",
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  fetch: retryingFetch,
});

type Problem = { code: string; detail: string; requestId: string };

/** The answer to a request. Ends the program with the reason if it was refused. */
function answered<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (data === undefined) throw new Error(`${error?.code}: ${error?.detail} (request ${error?.requestId})`);
  return data;
}

/** Hold tents for a cart. Returns the reservation, or null if too few are left. */
async function reserve(cartId: string, quantity: number) {
  const answer = await client.POST("/api/v1/inventory/reserve", {
    params: { header: { "Idempotency-Key": `${cartId}-${quantity}` } },
    body: { cartId, items: [{ productId: TENT, quantity }] },
  });
  if (answer.error?.code === "insufficient_stock") {
    const line = answer.error.errors?.[0];
    console.log(`Refused: ${answer.error.code}, ${line?.requested} requested, ${line?.available} available`);
    return null;
  }
  return answered(answer);
}

const cartId = `cart-${randomUUID()}`;
const stock = answered(
  await client.POST("/api/v1/inventory/check-availability", { body: { items: [{ productId: TENT, quantity: 1 }] } }),
);
console.log(`Available: ${stock.items[0]?.availableQuantity}`);

await reserve(cartId, 10_000);
const held = await reserve(cartId, 1);
if (held === null || !("reservationId" in held)) throw new Error("sold out");
console.log(`Held: ${held.status}, ${held.expiresInSeconds} seconds left`);
const { reservationId } = held;

const extended = answered(
  await client.POST("/api/v1/inventory/extend", {
    params: { header: { "Idempotency-Key": `${cartId}-extend` } },
    body: { reservationId, minutes: 10 },
  }),
);
console.log(`Extended: ${extended.status}`);

const sold = answered(
  await client.POST("/api/v1/inventory/consume", {
    params: { header: { "Idempotency-Key": `${cartId}-consume` } },
    body: { reservationId, orderId: `order-of-${cartId}` },
  }),
);
console.log(`Sold: ${sold.status}`);

import { randomUUID } from "node:crypto";
import { checkAvailability, consume, extend, reserve } from "./inventory/index.js";
import { client } from "./inventory/client.gen.js";
import { retryingFetch } from "./retrying.js";

const TENT = "d4c3be38-2bb1-53da-ab83-5417b452563e";

client.setConfig({
  baseUrl: process.env.ADDRESS ?? "http://127.0.0.1:8000",
  auth: process.env.TOKEN,
  fetch: retryingFetch,
});

type Problem = { code: string; detail: string; requestId: string };

/** The answer to a request. Ends the program with the reason if it was refused. */
function answered<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (error instanceof Error) throw error; // No answer at all.
  if (data === undefined) throw new Error(`${error?.code}: ${error?.detail} (request ${error?.requestId})`);
  return data;
}

/** Hold tents for a cart. Returns the reservation, or null if too few are left. */
async function hold(cartId: string, quantity: number) {
  const answer = await reserve({
    headers: { "Idempotency-Key": `${cartId}-${quantity}` },
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
const stock = answered(await checkAvailability({ body: { items: [{ productId: TENT, quantity: 1 }] } }));
console.log(`Available: ${stock.items[0]?.availableQuantity}`);

await hold(cartId, 10_000);
const held = await hold(cartId, 1);
if (held === null || !("reservationId" in held)) throw new Error("sold out");
console.log(`Held: ${held.status}, ${held.expiresInSeconds} seconds left`);
const { reservationId } = held;

const extended = answered(
  await extend({ headers: { "Idempotency-Key": `${cartId}-extend` }, body: { reservationId, minutes: 10 } }),
);
console.log(`Extended: ${extended.status}`);

const sold = answered(
  await consume({
    headers: { "Idempotency-Key": `${cartId}-consume` },
    body: { reservationId, orderId: `order-of-${cartId}` },
  }),
);
console.log(`Sold: ${sold.status}`);

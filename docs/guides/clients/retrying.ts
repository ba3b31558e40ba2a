const ATTEMPTS = 5;
const REPEATED = [429, 500, 502, 503, 504];

/** `fetch` that repeats GET requests, and requests with an Idempotency-Key, until they are answered. */
export async function retryingFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const repeatable = request.method === "GET" || request.headers.has("Idempotency-Key");
  for (let attempt = 1; ; attempt++) {
    const isLast = !repeatable || attempt === ATTEMPTS;
    let waitSeconds = 0.1 * 2 ** attempt;
    try {
      const response = await fetch(request.clone());
      if (isLast || !(await mayBeRepeated(response))) return response;
      waitSeconds = Number(response.headers.get("Retry-After") ?? waitSeconds);
    } catch (error) {
      if (isLast) throw error; // No answer: the connection was refused, or broke.
    }
    await new Promise((resolve) => setTimeout(resolve, waitSeconds * 1000));
  }
}

async function mayBeRepeated(response: Response): Promise<boolean> {
  if (response.status !== 409) return REPEATED.includes(response.status);
  const problem = await response.clone().json();
  return problem.code === "idempotency_in_progress"; // The first of two equal requests is still running.
}

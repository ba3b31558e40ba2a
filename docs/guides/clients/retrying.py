"""A transport of httpx that repeats requests until they are answered."""

import time

import httpx

ATTEMPTS = 5
REPEATED = {429, 500, 502, 503, 504}


class RetryingTransport(httpx.HTTPTransport):
    """Repeats GET requests, and requests with an Idempotency-Key."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises httpx.TransportError if there is no answer at the last attempt either."""
        repeatable = request.method == "GET" or "Idempotency-Key" in request.headers
        for attempt in range(1, ATTEMPTS if repeatable else 1):
            wait_seconds = 0.1 * 2**attempt
            try:
                response = super().handle_request(request)
                if not may_be_repeated(response):
                    return response
                wait_seconds = float(response.headers.get("Retry-After", wait_seconds))
                response.close()
            except httpx.TransportError:
                pass  # No answer: the connection was refused, or broke.
            time.sleep(wait_seconds)
        return super().handle_request(request)


def may_be_repeated(response: httpx.Response) -> bool:
    """Whether the same request may be answered differently in a moment."""
    if response.status_code != 409:
        return response.status_code in REPEATED
    response.read()
    # The first of two equal requests is still running.
    return bool(response.json()["code"] == "idempotency_in_progress")

"""How long answers take, by the pattern of their address."""

from time import perf_counter
from typing import Final

from django.http import HttpRequest

from audit.metrics.definitions import HTTP_REQUEST_DURATION

NO_ROUTE: Final = "(none)"


class Latency:
    """The time of one request. Begins when it is made."""

    __slots__ = ("_began", "_method", "route")

    def __init__(self, method: str) -> None:
        self._method = method
        self._began = perf_counter()
        self.route = NO_ROUTE
        """The pattern of the address, set once a view is found."""

    def answered(self, status: int) -> None:
        """Count the request, which is answered with this status."""
        HTTP_REQUEST_DURATION.observe(perf_counter() - self._began, self._method, self.route, str(status))


def route_of(request: HttpRequest) -> str:
    """The pattern of a request's address; ``(none)`` if no view was found for it."""
    match = request.resolver_match
    return f"/{match.route}" if match else NO_ROUTE

"""The one place where the end of a request is known: its latency is counted and its line logged here."""

from time import perf_counter
from typing import Final

from django.http import HttpRequest

from audit.authentication import Caller
from config.bodies import Message
from config.logs.requests import log_request
from config.metrics import latency
from config.streams import Send

NO_ROUTE: Final = "(none)"


class Answering:
    """A request that is being answered. Its time begins when this is made."""

    __slots__ = ("_began", "_method", "client", "request_id", "route", "size")

    def __init__(self, method: str) -> None:
        self._method = method
        self._began = perf_counter()
        self.route = NO_ROUTE
        """The pattern of the address, set once a view is found."""
        self.client: str = ""
        """The name of the API client, or ``staff:`` and the id of a person; empty if unknown."""
        self.request_id = ""
        self.size = 0
        """The bytes of the answer's body that were sent."""

    def know(self, request: HttpRequest) -> None:
        """Note the route, the client and the id of a request that Django has answered, without a query."""
        self.route = route_of(request)
        self.client = client_of(request)
        self.request_id = request.META.get("inventory.request_id", "")

    def answered(self, status: int, size: int = 0) -> None:
        """The answer was sent, with a body of ``size`` bytes."""
        self.size = size
        self.begun(status)
        self.ended(status)

    def begun(self, status: int) -> None:
        """An answer that is sent in pieces has begun: its latency is counted."""
        latency.note(perf_counter() - self._began, self._method, self.route, status)

    def ended(self, status: int, *, waits: bool = False) -> None:
        """The answer is complete: it is logged. ``waits``: its duration says nothing about this service."""
        log_request(
            self._method,
            self.route,
            status,
            perf_counter() - self._began,
            size=self.size,
            client=self.client,
            request_id=self.request_id,
            waits=waits,
        )

    def counting(self, send: Send) -> Send:
        """``send``, and count the bytes of the body that it sends."""

        async def counted(message: Message) -> None:
            await send(message)
            self.size += len(message.get("body", b""))

        return counted


def route_of(request: HttpRequest) -> str:
    """The pattern of a request's address; ``(none)`` if no view was found for it."""
    match = request.resolver_match
    return f"/{match.route}" if match else NO_ROUTE


def client_of(request: HttpRequest) -> str:
    """Who sent a request, if that is known by now: no session is read for a line of the log."""
    user = request.__dict__.get("user")
    if isinstance(user, Caller):
        return user.name
    person = request.__dict__.get("_cached_user")
    return f"staff:{person.pk}" if person is not None and person.pk else ""

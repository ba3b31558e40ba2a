"""The ASGI application with a span for each request. Used only where traces are on."""

from typing import Any, Final

from django.http import HttpResponseBase

from audit import spans, traces
from config.answering import NO_ROUTE, Answering
from config.asgi_app import ALIVE, Application
from config.bodies import Message, Receive
from config.streams import Send

_SPAN: Final = "inventory.span"
_CONTEXT: Final = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD: Final = "_OTHER"
_REQUEST_ID: Final = b"x-request-id"


class TracedApplication(Application):
    """Answers requests as its base does, each in a span that is named by method and route.

    Probes of the process itself (``/health/live``) have none. The span of an answer that goes on, such as an export or
    the stream of events, lasts until its end.
    """

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        if traces.active is None or scope["path"] == ALIVE:
            await super()._serve(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else _OTHER_METHOD
        found = self.routes.find(scope["path"], scope["method"])
        route = found[0].pattern if found else ""
        span = scope[_SPAN] = traces.active.request(method, route, _sent_context(scope))
        status: int | None = None

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == _REQUEST_ID:
                        span.set_attribute("inventory.request_id", value.decode("latin1"))
            await send(message)

        with traces.active.during(span):
            await super()._serve(scope, receive, noting)
            if status is not None:  # Else the caller is gone.
                spans.answered(span, status)

    def _respond(self, scope: Message, body: bytes, answering: Answering) -> HttpResponseBase:
        span: Any = scope.get(_SPAN)
        with traces.inside(span):
            response = super()._respond(scope, body, answering)
        if span is not None and answering.route != NO_ROUTE:
            method = scope["method"] if scope["method"] in _METHODS else _OTHER_METHOD
            spans.name_request(span, method, answering.route)
        return response


def _sent_context(scope: Message) -> dict[str, str]:
    """The trace context that the caller sent, by the lower-case name of its header."""
    return {known: value.decode("latin1") for name, value in scope["headers"] if (known := _CONTEXT.get(name))}

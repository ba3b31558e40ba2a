"""The request id of every request."""

from collections.abc import Callable
from typing import Final

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from audit import context
from config import health, problems

_PROGRAMS: Final = ("/api/v1/", "/api/inventory/")


class RequestContextMiddleware:
    """Takes over or makes ``X-Request-ID`` and gives it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = context.begin(request.META.get("HTTP_X_REQUEST_ID"))
        request.META["inventory.request_id"] = request_id
        response = self._health(request) or self._api(request) or self._get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _health(request: HttpRequest) -> HttpResponse | None:
        """Probes come by address, not by a host name that is served: they are answered before that is looked at."""
        probe = {"/health/live": health.live, "/health/ready": health.ready}.get(request.path)
        return probe(request) if probe else None

    @staticmethod
    def _api(request: HttpRequest) -> HttpResponse | None:
        """Requests of programs go straight to their view: sessions, messages, CSRF and static files are for browsers.

        Each of those middlewares would do nothing here, at a quarter of the time of a request's way to its view.
        """
        if not request.path_info.startswith(_PROGRAMS):
            return None
        try:
            request.get_host()
            view, args, kwargs = resolve(request.path_info)
        except DisallowedHost:
            return problems.problem(request, 400, "This host name is not served here.")
        except Resolver404:
            return problems.no_such_route(request, request.path)
        response: HttpResponse = view(request, *args, **kwargs)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Length"] = str(len(response.content))
        return response

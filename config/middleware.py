"""The request id of every request."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from audit import context
from config import health, problems


class RequestContextMiddleware:
    """Takes over or makes ``X-Request-ID`` and gives it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = context.begin(request.META.get("HTTP_X_REQUEST_ID"))
        request.META["inventory.request_id"] = request_id
        response = self._health(request) or self._refuse_foreign_host(request) or self._get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _health(request: HttpRequest) -> HttpResponse | None:
        """Probes come by address, not by a host name that is served: they are answered before that is looked at."""
        probe = {"/health/live": health.live, "/health/ready": health.ready}.get(request.path)
        return probe(request) if probe else None

    @staticmethod
    def _refuse_foreign_host(request: HttpRequest) -> HttpResponse | None:
        """API callers get a problem document for a host that isn't served, where Django would answer with HTML."""
        if problems.is_api(request):
            try:
                request.get_host()
            except DisallowedHost:
                return problems.problem(request, 400, "This host name is not served here.")
        return None

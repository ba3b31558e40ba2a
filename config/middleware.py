"""Middleware: request ids, fast routes for probes and the API, and the console's time zone and security policy."""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import DisallowedHost, PermissionDenied, ValidationError
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils import timezone

from audit import context
from audit.api import deprecation
from audit.api.http import options_answer
from audit.errors import DomainError
from audit.instants import readers_zone
from config import compression, error_pages, problems, throttling
from config.health import probes
from config.loop_routes import PROGRAMS

_CONSOLE: Final = "/admin/"
_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # The console's menus are attributes that Alpine.js, which it serves itself, evaluates.
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_FORM_TOKEN: Final = re.compile(rb"\b[A-Za-z0-9]{64}\b")
_PROBES: Final = {
    "/health/live": probes.live,
    "/health/ready": probes.ready,
    "/health/status": probes.in_detail,
}
_WITHOUT_BODY: Final = (204, 304)
_DOCUMENTS: Final = ("/api/schema/", "/api/docs/")
_NOT_CACHED: Final = ("/api/", "/health/")


class RequestContextMiddleware:
    """Takes the request id from ``X-Request-ID`` or makes one, and returns it in the response.

    It also keeps answers to programs out of caches.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = context.begin(request.META.get("HTTP_X_REQUEST_ID"))
        request.META["inventory.request_id"] = request_id
        response = self._options(request) or self._health(request) or self._api(request) or self._get_response(request)
        response.headers["X-Request-ID"] = request_id
        deprecation.mark(response, request.path_info)
        if request.path_info.startswith(_NOT_CACHED):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @staticmethod
    def _options(request: HttpRequest) -> HttpResponse | None:
        """Answer OPTIONS of the routes that only read; the views of the API answer it themselves."""
        if request.method != "OPTIONS" or request.path not in (*_PROBES, *_DOCUMENTS):
            return None
        return options_answer(("GET", "HEAD", "OPTIONS"))

    @staticmethod
    def _health(request: HttpRequest) -> HttpResponse | None:
        """Answer probes, which use an address instead of a served host name, before the host name is checked."""
        probe = _PROBES.get(request.path)
        if probe is None:
            return None
        request.resolver_match = ResolverMatch(probe, (), {}, route=request.path[1:])
        return probe(request)

    @staticmethod
    def _api(request: HttpRequest) -> HttpResponse | None:
        """Answer API requests by their view directly: sessions, messages, CSRF and static files are for browsers.

        The middleware for those would do nothing here, and take a quarter of the time until the view.
        """
        if not request.path_info.startswith(PROGRAMS):
            return None
        try:
            request.get_host()
            view, args, kwargs = request.resolver_match = resolve(request.path_info)
        except DisallowedHost:
            return problems.problem(request, 400, "This host name is not served here.")
        except Resolver404:
            return problems.no_such_route(request, request.path)
        response: HttpResponse = view(request, *args, **kwargs)
        throttling.charge_command(request, response.status_code, len(response.content))
        for name, value in throttling.headers_for(getattr(request, "user", None)).items():
            response.headers[name] = value
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.status_code not in _WITHOUT_BODY:
            compression.pack(response, request)
        return response


class SessionEndMiddleware:
    """Ends a session ``SESSION_MAX_HOURS`` after its login, however busy it is: a stolen cookie is of no use for ever.

    A session whose beginning is not known begins with this request.
    """

    _BEGAN_AT: Final = "began_at"

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if SESSION_KEY in session:
            began_at = session.setdefault(self._BEGAN_AT, time.time())
            if time.time() - began_at > settings.SESSION_MAX_HOURS * 3600:
                session.flush()
        return self._get_response(request)


class ConsoleMiddleware:
    """Serves the console's pages in the reader's time zone, with a policy that allows connections only to this host.

    The zone comes from a cookie that ``console.js`` sets. Domain errors of a view are shown as a page of the console;
    other exceptions are left to Django, which logs them and answers with 500.html.

    A redirect that answers a form in a dialog (``X-Console-Dialog``) is a 204 with the address in ``X-Location``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(_CONSOLE):
            return self._get_response(request)
        request.is_live = "X-Console-Live" in request.headers  # type: ignore[attr-defined]
        with timezone.override(readers_zone(request.COOKIES.get("console_zone", ""))):
            response = self._get_response(request)
        if request.headers.get("X-Console-Dialog") and "Location" in response.headers:
            # A script can't see where a redirect leads without following it, which would use up the page's messages.
            response.status_code = 204
            response.headers["X-Location"] = response.headers["Location"]
            del response.headers["Location"]
        if request.is_live and request.method == "GET" and response.status_code == 200:  # type: ignore[attr-defined]
            response = _unless_known(request, response)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    @staticmethod
    def process_view(request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """Refuse NUL before any query: no browser sends it, and the database stores no text with it."""
        is_refused = request.path_info.startswith(_CONSOLE) and _has_nul(request)
        return error_pages.page(request, 400) if is_refused else None

    @staticmethod
    def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A domain error as a page. None leaves the exception to Django."""
        if not request.path_info.startswith(_CONSOLE):
            return None
        if isinstance(error, DataError):
            error = problems.of_database(error)
        if isinstance(error, DomainError):
            return problems.console_problem(request, error)
        if isinstance(error, ValidationError):
            return error_pages.page(request, 400)  # A parameter that is no id, which Django's own views don't check.
        if isinstance(error, PermissionDenied):
            return error_pages.page(request, 403)
        if isinstance(error, Http404):
            return error_pages.page(request, 404)
        return None


def _unless_known(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """A 304 for a page that is refreshed and is still the same; else the page, with its ETag.

    The tag leaves out form tokens, which differ in each answer.
    """
    if response.streaming:
        return response
    content = _FORM_TOKEN.sub(b"", response.content)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def _has_nul(request: HttpRequest) -> bool:
    """Whether a parameter or a field of a form has a NUL. Searches drop it themselves, and say so."""
    sent = [*request.GET.lists()] if "%00" in request.META.get("QUERY_STRING", "") else []
    sent += request.POST.lists() if request.method == "POST" else []
    return any("\0" in text for name, values in sent if name != SEARCH_VAR for text in (name, *values))

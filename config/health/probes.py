"""The views of ``/health/…``, which show whether the service works. Routed by ``RequestContextMiddleware``."""

from typing import Any, Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from audit.authentication import Caller
from audit.errors import PermissionDenied, Throttled
from audit.roles import Capability
from config import draining, problems, throttling
from config.health import readiness, status
from config.health.components import Status

_REFUSED: Final = "Details are for clients that see all stores and may read the health of the service."


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 if the database answers, all migrations are applied and the pool hands out connections, else 503 with the
    reason; also 503 while the process is about to stop."""
    if draining.is_stopping():
        return JsonResponse({"status": "stopping"}, status=503)
    checks = readiness.checks()
    ok = set(checks.values()) == {"ok"}
    return JsonResponse({"status": "ok" if ok else "unavailable", "checks": checks}, status=200 if ok else 503)


@require_safe
def in_detail(request: HttpRequest) -> HttpResponse:
    """The status of the service: 503 if it is DOWN, else 200. Its components only for a token that may read them."""
    try:
        shows_details = _may_read_details(request)
    except (AuthenticationFailed, NotAuthenticated, PermissionDenied, Throttled) as error:
        return problems.exception_handler(error, {"request": Request(request)})
    report = status.current()
    answer: dict[str, Any] = {"status": report.status.name}
    if shows_details:
        answer["components"] = {
            name: {"status": each.status.name, **({"details": each.details} if each.details else {})}
            for name, each in report.components.items()
        }
        answer["capped"] = report.capped
    return JsonResponse(answer, status=503 if report.status is Status.DOWN else 200)


def _may_read_details(request: HttpRequest) -> bool:
    """Whether the caller may read details. False for a caller without a token, and if the database, which knows the
    tokens, is away. Raises AuthenticationFailed, Throttled and PermissionDenied."""
    try:
        found = throttling.ThrottledTokenAuthentication().authenticate(Request(request))
    except DatabaseError:
        return False
    if found is None:
        return False
    caller: Caller = found[0]
    if caller.store_codes or not caller.may(Capability.READ_HEALTH):
        raise PermissionDenied(_REFUSED)
    return True

"""Every error becomes a problem document (RFC 9457), and the table of errors is complete."""

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.request import Request

from audit.context import begin
from audit.errors import Busy, DomainError, Fault, Throttled, Unstorable
from config import problems
from config.problems import DOMAIN_STATUS, exception_handler
from tests.contract.problems import REQUIRED

# docs/reference/errors.md describes each.
CODES = {
    400: "malformed invalid",
    403: "permission_denied",
    404: "not_found reservation_not_found",
    409: """insufficient_stock already_extended reservation_expired reservation_consumed reservation_released
        product_inactive listing_expired warehouse_inactive version_conflict quantity_limit idempotency_in_progress
        sku_taken already_in_count nothing_to_count count_too_large count_closed count_incomplete count_below_zero
        product_frozen warehouse_frozen store_frozen hold_limit_exceeded hold_not_in_the_way reserved_unexplained
        incident_resolved order_already_held""",
    410: "archived",
    413: "too_large",
    422: """unknown_product unknown_warehouse unknown_store warehouse_not_in_store timeout_too_long
        product_not_in_count idempotency_key_reused""",
    429: "throttled",
    503: "busy",
}


def leaves(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in kind.__subclasses__():
        yield child
        yield from leaves(child)


def of_the_service() -> list[type[DomainError]]:
    return [kind for kind in leaves(DomainError) if not kind.__module__.startswith("tests")]


def test_every_error_has_a_status() -> None:
    missing = [kind for kind in of_the_service() if not any(base in DOMAIN_STATUS for base in kind.__mro__)]
    assert missing == []


def test_codes_are_those_of_the_contract() -> None:
    actual: dict[int, set[str]] = {}
    for kind, (status, _) in DOMAIN_STATUS.items():
        actual.setdefault(status, set()).add(kind.code)
    expected = {status: set(codes.split()) for status, codes in CODES.items()}
    for status, codes in expected.items():
        assert codes <= actual[status], status


def test_a_code_is_the_name_of_its_error() -> None:
    for kind in DOMAIN_STATUS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
        assert kind.code.replace("_", "") == kind.__name__.lower() or issubclass(kind, Busy | Unstorable)


@pytest.fixture
def request_() -> Request:
    request = HttpRequest()
    request.path = request.path_info = "/api/v1/inventory/levels"
    request.META["inventory.request_id"] = begin("problem-1")
    return Request(request)


def handled(error: Exception, request: Request) -> tuple[Any, dict[str, Any]]:
    response = exception_handler(error, {"request": request})
    return response, json.loads(response.content)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("secret"), 404, "not_found"),
        (PermissionDenied("secret"), 403, "permission_denied"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("x"), 415, "unsupported_media_type"),
        (OperationalError("secret"), 503, "busy"),
        (InterfaceError("secret"), 503, "busy"),
        (DataError("secret"), 400, "invalid"),
        (Busy("busy"), 503, "busy"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
        (Throttled("slow", 7), 429, "throttled"),
    ],
)
def test_every_kind_of_error_becomes_a_problem_document(
    request_: Request, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    logged: list[str] = []
    note = lambda event, **facts: logged.append(event)  # noqa: E731
    monkeypatch.setattr(problems, "logger", SimpleNamespace(warning=note, error=note, exception=note))
    response, document = handled(error, request_)
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert {name: type(document[name]) for name in REQUIRED} == REQUIRED
    assert document["requestId"] == "problem-1"
    assert "secret" not in response.content.decode()
    assert ("Retry-After" in response.headers) is (status in {429, 503})
    assert bool(logged) is (status == 500 or isinstance(error, OperationalError | InterfaceError | DataError))


def test_a_fault_carries_its_facts(request_: Request) -> None:
    kind = next(iter(DOMAIN_STATUS))
    fault = Fault("/items/0", "short", "too few", {"available": 3})
    _, document = handled(kind("no", [fault]), request_)
    assert document["errors"] == [{"pointer": "/items/0", "code": "short", "detail": "too few", "available": 3}]
    assert "errors" not in handled(kind("no"), request_)[1]

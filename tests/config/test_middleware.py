"""Middleware: request ids and hosts."""

from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from audit.models import AuditEntry
from config.middleware import RequestContextMiddleware
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import lines, make_level, make_store

pytestmark = pytest.mark.django_db


def test_an_answer_gives_the_request_id_back_and_the_audit_keeps_it(api: Api) -> None:
    make_store()
    level = make_level(10)
    response = api.post("reserve", {"cartId": "c", "items": lines((level, 1))}, X_Request_ID="shop-1")
    assert (response.status_code, response.headers["X-Request-ID"]) == (201, "shop-1")
    entry = AuditEntry.objects.get(action="inventory_reservation_created")
    assert (entry.request_id, entry.source) == ("shop-1", "api")


def test_each_request_without_an_id_gets_one_of_its_own(api: Api) -> None:
    first, second = (UUID(api.get("levels").headers["X-Request-ID"]) for _ in range(2))
    assert first != second


@pytest.mark.parametrize("host", ["evil.example", "localhost:x", "a_b", "", "localhost@evil", "[::1"])
@pytest.mark.parametrize("path", ["/api/v1/inventory/levels", "/api/v1/nothing", "/api/schema/", "/api/nothing"])
def test_a_host_that_is_not_served_is_a_problem_document(api: Api, host: str, path: str) -> None:
    response = Client(headers={"Authorization": f"Bearer {api.token}"}).get(path, headers={"Host": host})
    problem(response, 400)


@pytest.mark.parametrize("path", ["/admin/nothing", "/nothing"])
def test_people_get_pages(path: str) -> None:
    response = Client(headers={"Host": "localhost"}).get(path)
    assert response.status_code in {302, 404}
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["X-Request-ID"]


def test_answers_to_programs_are_not_sniffed_and_have_a_length(api: Api) -> None:
    response = api.get("levels")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Length"] == str(len(response.content))


@pytest.mark.parametrize("path", ["levels", "reservations/x", "/api/v1/nothing", "/api/nothing", "/health/live"])
def test_no_cache_keeps_an_answer_to_a_program(api: Api, path: str) -> None:
    assert api.get(path).headers["Cache-Control"] == "no-store"


def test_an_answer_that_may_be_kept_says_so_itself() -> None:
    request = RequestFactory().get("/api/x", headers={"Host": "localhost"})
    answer = HttpResponse("{}", headers={"Cache-Control": "private, no-cache"})
    assert RequestContextMiddleware(lambda _: answer)(request).headers["Cache-Control"] == "private, no-cache"


def test_a_command_needs_no_csrf_token(api: Api) -> None:
    """The test client enforces CSRF tokens. A bearer token isn't a cookie that another site could use."""
    assert api.put("/api/v1/stores/s", {"name": "n", "warehouses": []}).status_code == 201


@pytest.mark.parametrize("path", ["levels", "reservations", "/api/v1/products"])
def test_head_is_get_without_a_body(api: Api, path: str) -> None:
    response = api.send("HEAD", path)
    assert (response.status_code, response.content) == (200, b"")

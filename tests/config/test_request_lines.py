"""Each request ends in one place, which knows its route, client, status, duration and bytes."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections

from audit.api.http import ApiView, Pending
from audit.authentication import find_caller, issue_token
from audit.idempotency import StoredAnswer
from audit.roles import Role
from config import answering
from config.asgi_app import Application
from config.lanes import Lanes
from config.logs import requests
from config.logs.bounding import MOST, REQUESTS, Bounded
from config.loop_routes import Route
from tests.factories import make_client
from tests.loops import run

pytestmark = pytest.mark.django_db(transaction=True)


class ThisThread(Lanes):
    """Lanes whose requests are answered by the thread of the loop, and leave no connection open."""

    async def run(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        finally:
            connections.close_all()

    def lane_of(self, scope: Any) -> Any:
        return self


def in_this_thread() -> Application:
    application = Application()
    application._lanes = ThisThread()
    return application


@pytest.fixture(autouse=True)
def _on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def lines(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The lines of the requests that follow."""
    settings.LOG_REQUESTS = "all"
    monkeypatch.setattr(requests, "BOUNDED", Bounded())
    monkeypatch.setattr(requests.BOUNDED, "_await_end", lambda: None)
    found: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.msg)  # type: ignore[assignment, arg-type, return-value]
    logger = logging.getLogger(REQUESTS)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def ask(application: Application, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, int]:
    """Send a request. Returns the status and the bytes of the answer's body."""
    own = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": own}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    run(application({**scope, "client": ("10.0.0.9", 1), "scheme": "http"}, receive, send))
    return sent[0]["status"], sum(len(message.get("body", b"")) for message in sent)


def test_line_has_the_pattern_of_the_address_and_who_sent_it(lines: list[dict[str, Any]]) -> None:
    application = in_this_thread()
    client = make_client(Role.MANAGER)
    token = issue_token(client)
    bearer = {"authorization": f"Bearer {token}", "x-request-id": "r-1"}
    expected = [
        ("/api/v1/inventory/reservations/01890000-0000-7000-8000-000000000000", "GET", bearer, client.name),
        ("/api/v1/inventory/levels", "GET", {"authorization": "Bearer nobody", "x-request-id": "r-2"}, ""),
        ("/nowhere", "GET", {"x-request-id": "r-3"}, ""),
        ("/admin/login/", "GET", {"x-request-id": "r-4"}, ""),
        ("/admin/login/", "GET", {"x-request-id": "r-5", "host": "evil.example"}, ""),
    ]
    for path, method, headers, name in expected:
        status, size = ask(application, path, method, **headers)
        line = lines[-1]
        assert (line["status"], line["bytes"], line["client"]) == (status, size, name), path
        assert line["request_id"] == headers["x-request-id"]
        assert 0 < line["duration_ms"] < 600_000
    assert len(lines) == len(expected)
    assert [line["route"] for line in lines] == [
        "/api/v1/inventory/reservations/<str:reservation_id>",
        "/api/v1/inventory/levels",
        "/<path:path>",
        "/admin/login/",
        answering.NO_ROUTE,
    ]


class Decided:
    """A submission with an immediate outcome."""

    async def outcome_on_loop(self) -> StoredAnswer:
        return StoredAnswer(200, b'{"done": true}')


def decide(_view: ApiView, _request: object) -> Pending:
    return Pending(Decided(), lambda outcome: outcome)  # type: ignore[arg-type]


def test_call_on_the_loop_has_its_line_too(lines: list[dict[str, Any]], settings: LazySettings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 0
    application = in_this_thread()
    client = make_client(Role.CHECKOUT)
    token = issue_token(client)
    assert find_caller(token)  # The loop serves only callers whose token is cached.
    path = "/api/v1/inventory/release"
    view = application.routes._plain[path].view
    application.routes._plain[path] = Route(path, type("Probe", (view,), {"post": decide}))
    status, size = ask(application, path, "POST", b"{}", authorization=f"Bearer {token}", **{"x-request-id": "r-9"})
    [line] = lines
    assert (status, size) == (200, 14)
    assert (line["route"], line["client"], line["status"], line["bytes"], line["request_id"]) == (
        path,
        client.name,
        200,
        14,
        "r-9",
    )


def test_failed_tokens_and_bad_hosts_write_a_few_lines(lines: list[dict[str, Any]], settings: LazySettings) -> None:
    settings.LOG_REQUESTS = "errors"
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 0
    application = in_this_thread()
    for _ in range(MOST + 20):
        ask(application, "/api/v1/inventory/levels", authorization="Bearer nobody")
        ask(application, "/api/v1/inventory/levels", host="evil.example")
    assert {status: sum(line["status"] == status for line in lines) for status in (400, 401)} == {400: MOST, 401: MOST}

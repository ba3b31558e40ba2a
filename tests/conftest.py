"""Fixtures for the tests of all packages."""

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as property_settings
from whitenoise.middleware import WhiteNoiseMiddleware

from audit.authentication import issue_token
from audit.roles import Role
from config.health import readiness
from config.passwords import PasswordHasher
from reservations.services.holds import turns
from tests.books import assert_books_balance
from tests.contract.operations import require_documented
from tests.emptying import quick_emptying
from tests.factories import make_client, make_store
from tests.node import Missing, installed
from tests.rolling_back import forget_all

# A busy machine is slow now and then: no property test fails because an example took long.
property_settings.register_profile(
    "busy-machine", property_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
property_settings.load_profile("busy-machine")


@pytest.fixture(scope="session", autouse=True)
def _static_folder() -> None:
    """Make the folder of static files: WhiteNoise warns if it is missing."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session", autouse=True)
def _static_files_found_once() -> Iterator[None]:
    """Look for the static files once, not for each test client: that took a third of the time of all tests."""
    find: Final = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, dict[str, Any]] = {}

    def add_what_was_found(middleware: WhiteNoiseMiddleware) -> None:
        if middleware.static_prefix not in found:
            find(middleware)
            found[middleware.static_prefix] = middleware.files
        middleware.files = {**found[middleware.static_prefix], **middleware.files}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_what_was_found)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> None:
    """Hash passwords a thousand times faster than where they are worth guessing."""
    PasswordHasher.iterations = 1000


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database of pytest-django, with tables that are emptied quickly after each test that commits."""
    with django_db_blocker.unblock(), quick_emptying(), django_db_blocker.block():
        yield
    readiness.forget()
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        # A server whose client was killed may notice that only later, and the database can't be dropped before.
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    """Clear the caches before each test."""
    forget_all()


@pytest.fixture(autouse=True)
def _no_contention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never count a wait for a lock as long: the number of statements would depend on how busy the machine is."""
    monkeypatch.setattr(turns, "LONG_SECONDS", math.inf)


@pytest.fixture
def books_balance(db: None) -> Iterator[None]:
    """Check at the end of the test that the books balance."""
    yield
    assert_books_balance()


@pytest.fixture(scope="session")
def _node() -> None:
    """Skip the test without Node and its packages; fail it in CI."""
    try:
        installed()
    except Missing as missing:
        give_up = pytest.fail if "CI_RUN" in os.environ else pytest.skip
        give_up(f"not tried: {missing}")


class Api:
    """An API client: sends and receives JSON, with a token in each request."""

    base = "/api/v1/inventory/"

    def __init__(self, token: str) -> None:
        self.token = token
        self._client = Client(
            enforce_csrf_checks=True, headers={"Authorization": f"Bearer {token}", "Host": "localhost"}
        )

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """Send a request below ``base`` (or to an absolute path); header names have underscores for dashes.

        Fails if the answer is a refusal that the OpenAPI document doesn't name."""
        url = path if path.startswith("/") else self.base + path
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        response: HttpResponse = self._client.generic(
            method, url, content, content_type=sent.pop("Content-Type", "application/json"), headers=sent
        )
        require_documented(response, method)
        return response

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> HttpResponse:
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> HttpResponse:
        return self.send("PUT", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> HttpResponse:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.send("DELETE", path, **headers)


@pytest.fixture
def make_api(db: None) -> Callable[..., Api]:
    """Make an API client: ``make_api(Role.CHECKOUT, stores=("main",))``."""

    def make(role: Role = Role.MANAGER, **fields: Any) -> Api:
        return Api(issue_token(make_client(role, **fields)))

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """A manager's API client."""
    return make_api()


@pytest.fixture
def store(db: None) -> Any:
    """The default store ``main``, which sells from ``wh-001`` and then ``wh-002``."""
    return make_store("main", "wh-001", "wh-002")


def body_of(response: Any, status: int = 200) -> Any:
    """The body of an answer that has this status."""
    assert response.status_code == status, response.content
    return response.json()

"""The fast path on the event loop permits exactly the same callers as the view, and finds the same views."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import RequestFactory
from django.urls import Resolver404, resolve

from audit.api.http import ApiView, Pending
from audit.authentication import find_caller, issue_token
from audit.idempotency import StoredAnswer
from audit.roles import Role
from config import on_loop
from config.loop_routes import Route, Routes
from tests.factories import make_client

pytestmark = pytest.mark.django_db
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class _Decided:
    """A submission with an immediate outcome."""

    def outcome(self) -> StoredAnswer:
        return StoredAnswer(200, b"{}")


def _decide(_view: ApiView, _request: object, **_: object) -> Pending:
    return Pending(_Decided(), lambda outcome: outcome)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _unthrottled(settings: Any) -> None:
    """Disable throttling: a client that the throttle doesn't know yet is served in a thread."""
    settings.THROTTLE_REQUESTS_PER_MINUTE = 0


@pytest.fixture(params=[False, True], ids=["for all clients", "for clients of all stores"])
def for_all_stores(request: pytest.FixtureRequest) -> bool:
    return request.param  # type: ignore[no-any-return]


def answered_by(route: Route, method: str, token: str) -> tuple[bool, int]:
    """Whether the loop takes the request, and the status of the view's own answer."""
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"host", b"localhost")]
    scope = {"path": route.pattern, "method": method, "query_string": b"", "headers": headers}
    handed_in = on_loop.hand_in(route, {}, scope, b"{}")
    request = RequestFactory().generic(method, route.pattern, b"{}", headers={"Authorization": f"Bearer {token}"})
    request.META["inventory.request_id"] = "probe"
    return handed_in is not None, route.view.as_view()(request).status_code


def probes(for_all_stores: bool) -> Iterator[Route]:
    """Each route that the loop serves, with its declared permissions and methods that do nothing."""
    for route in Routes():
        view = route.view
        closed = view.for_all_stores | (view.on_loop if for_all_stores else frozenset())
        methods = dict.fromkeys(map(str.lower, view.on_loop), _decide)
        yield Route(route.pattern, type("Probe", (view,), {**methods, "for_all_stores": closed}))


@pytest.mark.parametrize("stores", [(), ("main",)], ids=["all stores", "some stores"])
@pytest.mark.parametrize("role", Role)
def test_loop_and_view_agree(role: Role, stores: tuple[str, ...], for_all_stores: bool) -> None:
    token = issue_token(make_client(role, stores=stores))
    assert find_caller(token)  # The loop serves only callers whose token is cached.
    for route in probes(for_all_stores):
        assert route.view.on_loop <= set(METHODS) & set(route.view.allowed)
        for method in route.view.on_loop:
            on_loop_, status = answered_by(route, method, token)
            assert on_loop_ == (status == 200), (route.pattern, method, status)
            assert status in {200, 403}, (route.pattern, method)


def test_route_of_the_loop_for_all_stores_is_no_way_around_for_a_limited_client() -> None:
    tokens = [issue_token(make_client(Role.MANAGER, stores=stores)) for stores in ((), ("main",))]
    assert all(map(find_caller, tokens))
    for route in probes(True):
        for method in route.view.on_loop:
            assert [answered_by(route, method, token) for token in tokens] == [(True, 200), (False, 403)]


def test_the_loop_takes_no_other_method() -> None:
    routes = Routes()
    for route in routes:
        path = route.pattern if "<" not in route.pattern else f"{route.pattern[: route.pattern.index('<')]}{uuid4()}"
        for method in (*METHODS, "OPTIONS", "TRACE", "get", ""):
            assert (routes.find(path, method) is not None) == (method in route.view.on_loop), (path, method)


def test_the_loop_finds_the_route_that_django_finds() -> None:
    routes = Routes()
    for route in routes:
        before = route.pattern.partition("<")[0]
        for last in LAST_SEGMENTS:
            found = routes.find(f"{before}{last}", min(route.view.on_loop))
            try:
                match = resolve(f"{before}{last}")
            except Resolver404:
                match = None
            view = None if match is None else getattr(match.func, "view_class", None)
            if found is None:
                assert view is None or min(route.view.on_loop) not in getattr(view, "on_loop", ()), (before, last)
            else:
                assert match is not None
                assert (found[0].view, found[1], found[0].pattern) == (view, match.kwargs, f"/{match.route}")


LAST_SEGMENTS = (
    *("", "c", "a b", "ä€", "x\0", "%41", "a+b", "..", "\n", "c\n", "reserve", "levels", "a/b", "/", "c/"),
    *("01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000A", "{01900000}"),
    *("res-01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000a\n", "x" * 5000),
)

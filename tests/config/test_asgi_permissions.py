"""The fast path on the event loop permits exactly the same callers as the view."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory

from audit.api.http import ApiView, Pending
from audit.authentication import find_caller, issue_token
from audit.idempotency import StoredAnswer
from audit.roles import Role
from config import asgi_app
from tests.factories import make_client

pytestmark = pytest.mark.django_db
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class _Decided:
    """A submission with an immediate outcome."""

    def outcome(self) -> StoredAnswer:
        return StoredAnswer(200, b"{}")


def _decide(_view: ApiView, _request: object) -> Pending:
    return Pending(_Decided(), lambda outcome: outcome)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _unthrottled(settings: Any) -> None:
    """Disable throttling: a client that the throttle doesn't know yet is served in a thread."""
    settings.THROTTLE_REQUESTS_PER_MINUTE = 0


@pytest.fixture(params=[frozenset(), frozenset({"POST"})], ids=["for all clients", "for clients of all stores"])
def for_all_stores(request: pytest.FixtureRequest) -> frozenset[str]:
    return request.param  # type: ignore[no-any-return]


def answered_by(view: type[ApiView], path: str, method: str, token: str) -> tuple[bool, int]:
    """Whether the loop takes the request, and the status of the view's own answer."""
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"host", b"localhost")]
    scope = {"path": path, "method": method, "query_string": b"", "headers": headers}
    handed_in = asgi_app._hand_in(view, scope, b"{}")
    request = RequestFactory().generic(method, path, b"{}", headers={"Authorization": f"Bearer {token}"})
    request.META["inventory.request_id"] = "probe"
    return handed_in is not None, view.as_view()(request).status_code


def probes(for_all_stores: frozenset[str]) -> Iterator[tuple[str, type[ApiView]]]:
    """Each view that the loop serves, with its declared permissions and a method that does nothing."""
    for path, view in asgi_app.Application().views_on_loop.items():
        yield path, type("Probe", (view,), {"post": _decide, "for_all_stores": view.for_all_stores | for_all_stores})


@pytest.mark.parametrize("stores", [(), ("main",)], ids=["all stores", "some stores"])
@pytest.mark.parametrize("role", Role)
def test_loop_and_view_agree(role: Role, stores: tuple[str, ...], for_all_stores: frozenset[str]) -> None:
    token = issue_token(make_client(role, stores=stores))
    assert find_caller(token)  # The loop serves only callers whose token is cached.
    for path, view in probes(for_all_stores):
        assert "POST" in view.allowed
        for method in METHODS:
            on_loop, status = answered_by(view, path, method, token)
            assert on_loop == (status == 200), (path, method, status)
            assert status in ({200, 403} if method == "POST" else {405}), (path, method)


def test_hot_route_for_all_stores_is_no_way_around_for_a_limited_client() -> None:
    tokens = [issue_token(make_client(Role.MANAGER, stores=stores)) for stores in ((), ("main",))]
    assert all(map(find_caller, tokens))
    for path, view in probes(frozenset({"POST"})):
        assert [answered_by(view, path, "POST", token) for token in tokens] == [(True, 200), (False, 403)]

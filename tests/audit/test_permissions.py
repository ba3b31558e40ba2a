"""The permissions that a view declares for its methods, and their effect on callers."""

from typing import Any
from uuid import uuid4

import pytest

from audit.api.http import ApiView
from audit.authentication import Caller
from audit.roles import Capability, Role


def view(**fields: Any) -> type[ApiView]:
    """A view with these attributes."""
    return type("View", (ApiView,), fields)


def caller(role: str, *stores: str) -> Caller:
    return Caller(uuid4(), "till", role, stores)


def answer(_view: ApiView, _request: object) -> None:
    """A method of a view."""


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_view_that_declares_nothing_of_a_method_fails_at_start(method: str) -> None:
    with pytest.raises(TypeError, match=rf"View\.allowed says nothing of {method.upper()}\."):
        view(**{method: answer})
    view(**{method: answer, "allowed": {method.upper(): Capability.READ}})


def test_method_that_is_inherited_has_to_be_declared_too() -> None:
    base = view(get=answer, allowed={"GET": Capability.READ})
    with pytest.raises(TypeError, match="says nothing of GET"):
        type("Below", (base,), {"post": answer, "allowed": {"POST": Capability.SELL}})


def test_head_asks_what_get_asks() -> None:
    reads = view(get=answer, allowed={"GET": Capability.MANAGE}, for_all_stores=frozenset({"GET"}))
    for method in ("GET", "HEAD"):
        assert reads.permits(caller("manager"), method)
        assert not reads.permits(caller("manager", "main"), method)
        assert not reads.permits(caller("checkout"), method)


@pytest.mark.parametrize("role", [*Role, "unknown"])
def test_undeclared_method_is_for_no_role(role: str) -> None:
    for method in ("GET", "HEAD", "POST", "TRACE", ""):
        assert not view().permits(caller(role), method)


def test_role_that_the_table_does_not_know_may_do_nothing() -> None:
    assert not any(caller("retired").may(capability) for capability in Capability)

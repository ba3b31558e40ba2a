"""Permissions of callers, by view and method."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from audit.authentication import Caller
from audit.roles import Capability

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Guarded:
    """A view that declares what each of its methods requires of callers.

    ``allowed`` names the capability that a method requires; ``for_all_stores`` the methods closed to clients limited to
    some stores. HEAD requires what GET requires. A method that isn't declared is closed to all, and defining one raises
    TypeError, so that a forgotten declaration fails at start.
    """

    allowed: ClassVar[Mapping[str, Capability]] = {}
    for_all_stores: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        undeclared = [name for name in _METHODS if hasattr(cls, name.lower()) and _asks_as(name) not in cls.allowed]
        if undeclared:
            raise TypeError(f"{cls.__qualname__}.allowed says nothing of {', '.join(undeclared)}.")

    @classmethod
    def permits(cls, caller: Caller, method: str) -> bool:
        """Whether a caller may use a method. Used by the views and by the fast path on the event loop."""
        return cls.refusal(caller, method) is None

    @classmethod
    def refusal(cls, caller: Caller, method: str) -> str | None:
        """Why a caller may not use a method; None if it may."""
        method = _asks_as(method)
        capability = cls.allowed.get(method)
        if capability is None or not caller.may(capability):
            return f"The role {caller.role} may not do this."
        if method in cls.for_all_stores and caller.store_codes:
            return "A client that is limited to some stores may not do this."
        return None


def _asks_as(method: str) -> str:
    return "GET" if method == "HEAD" else method

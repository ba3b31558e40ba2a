"""Errors that a caller can act on, and their base class.

An error carries facts and nothing of HTTP: ``config/problems.py`` alone maps it to a status and a code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a request.

    ``pointer`` is a JSON pointer (RFC 6901) into the body, ``code`` a stable name of the fault, ``facts`` the values
    that a program needs to correct it (JSON values, camelCase names).
    """

    pointer: str
    code: str
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)


class DomainError(Exception):
    """A request that was refused; nothing was written.

    ``code`` is the error's stable name, the class name in snake case: ``insufficient_stock``.
    """

    code: ClassVar[str] = "domain_error"

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make the error with a fault at one pointer into the body."""
        return cls(detail, [Fault(pointer, cls.code, detail)])

    def fault(self, pointer: str) -> Fault:
        """This error as a fault at one pointer into the body."""
        return Fault(pointer, self.code, self.detail)


def raise_refusal(outcome: Any) -> Any:
    """Return the outcome of one request of a batch; raise it if it is an error."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def raise_together(found: Sequence[DomainError]) -> None:
    """Raise the first of several errors, with the faults of all; nothing if there are none."""
    if found:
        raise type(found[0])(found[0].detail, [fault for error in found for fault in error.faults])


class Malformed(DomainError):
    """The body isn't JSON at all."""


class Invalid(DomainError):
    """The body is JSON of the wrong shape, or a value in it is out of its range."""


class Unstorable(Invalid):
    """The database can't store a value of the request, which no check before it has refused."""

    code = "invalid"


class NotFound(DomainError):
    """The object doesn't exist, or is out of the caller's reach."""


class PermissionDenied(DomainError):
    """The change concerns all stores or warehouses, and the actor is limited to some."""


class Archived(DomainError):
    """What was asked for is of a time whose rows were archived or deleted."""


class VersionConflict(DomainError):
    """The row was changed after the caller read it."""


class Busy(DomainError):
    """A lock was not acquired in time, or the database was unavailable. Nothing was written: try again."""


class OutcomeUnknown(Busy):
    """The connection was lost during COMMIT and not restored in time: look up the outcome, then repeat."""

    code = "busy"


class Throttled(DomainError):
    """More requests than the limit allows. ``retry_after_seconds`` is the time to wait before the next one."""

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooLarge(DomainError):
    """The body is over the limit of bytes."""


class IdempotencyKeyReused(DomainError):
    """The key was used before, for a different request."""


class IdempotencyInProgress(DomainError):
    """The first request with this key is still running."""

"""The base of every error that a caller can do something about.

An error carries facts and never HTTP; ``config/problems.py`` alone knows which status and code it becomes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that was wrong in a request.

    ``pointer`` is a JSON pointer (RFC 6901) into the body, ``code`` a stable name of the fault, ``facts`` what a
    program needs to mend it (JSON values, camelCase names).
    """

    pointer: str
    code: str
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)


class DomainError(Exception):
    """A request that can't be met as it was asked; nothing was written.

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
        """This error because of one place in the body."""
        return cls(detail, [Fault(pointer, cls.code, detail)])

    def fault(self, pointer: str) -> Fault:
        """This error as a fault of one place in the body."""
        return Fault(pointer, self.code, self.detail)


class Malformed(DomainError):
    """The body isn't JSON at all."""


class Invalid(DomainError):
    """The body is JSON of the wrong shape, or a value in it is out of its range."""


class NotFound(DomainError):
    """There is no such thing, or not for this caller."""


class PermissionDenied(DomainError):
    """It concerns all stores or warehouses, and this actor is limited to some."""


class Busy(DomainError):
    """The lock wasn't had in time, or the database was away: try again, nothing of this request stands."""


class OutcomeUnknown(Busy):
    """The database went away in the middle of COMMIT and didn't come back in time: ask for the outcome, then repeat."""

    code = "busy"


class Throttled(DomainError):
    """More requests than the limit allows. ``retry_after_seconds`` says when to come back."""

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooLarge(DomainError):
    """The body is over the limit of bytes."""


class IdempotencyKeyReused(DomainError):
    """The key was used before, for a request that said something else."""


class IdempotencyInProgress(DomainError):
    """The first request with this key is still running."""

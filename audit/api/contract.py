"""Base types of request bodies, queries and answers (docs/reference/api.md).

Structs decode and validate in one pass, and the OpenAPI schema is generated from them: the contract is written once.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.errors import Fault, Invalid


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request body or a query. Unknown fields are refused, so that a typo never silently changes a hold."""

    def contradictions(self) -> list[Fault]:
        """The mistakes that are not in one field but between several.

        Also asked of bodies with mistakes in single fields, which are then ``audit.api.mistakes.UNREADABLE``: given,
        but of no value.
        """
        return []


def exactly_one(given: Mapping[str, Any]) -> list[Fault]:
    """The faults of a body in which not exactly one of these fields, by name, is given.

    Each of several is at fault; of none, the first.
    """
    names = [name for name, value in given.items() if value is not None]
    if len(names) == 1:
        return []
    quoted = [f"`{name}`" for name in given]
    choice = f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    found = f"Only one of {choice} may be given." if names else f"One of {choice} is needed."
    return [Fault(f"/{name}", Invalid.code, found) for name in names or list(given)[:1]]


class OptionalBody(Body, kw_only=True):
    """A request body that may be omitted: a request without a body means the same as `{}`."""


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """The body of an answer."""


Quantity = Annotated[int, Meta(ge=1, le=1_000_000, description="Units.")]
Code = Annotated[
    str,
    Meta(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(?!\n)$", description="An immutable code."),
]
RowVersion = Annotated[int, Meta(description="Rises with each change, but for freezes.")]
ExpectedVersion = Annotated[
    int,
    Meta(ge=1, le=9_223_372_036_854_775_807, description="The `version` as read: if it is another by now, 409."),
]
Limit = Annotated[int, Meta(ge=1, le=200, description="Items a page.")]
ReservationId = Annotated[
    str,
    Meta(
        pattern=r"^res-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$",
        description="`res-<uuid>`",
    ),
]


class PageQuery(Body, kw_only=True):
    """The query parameters of a list."""

    cursor: Annotated[str, Meta(max_length=100, description="`next` of the page before.")] | None = None
    limit: Limit = 50


class ProblemError(Answer, kw_only=True):
    """One fault, with the facts that a program needs to correct it: a shortage has the missing quantities."""

    pointer: Annotated[str, Meta(description="JSON pointer into the body, or ?name for a query parameter.")]
    code: str
    detail: str
    product_id: UUID | UnsetType = UNSET
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str | UnsetType = UNSET
    requested: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    in_transit: int | UnsetType = UNSET
    reservation_id: str | UnsetType = UNSET
    count_id: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    window_minutes: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    until: datetime | None | UnsetType = UNSET
    expected: Annotated[str, Meta(description="The version that the client expected.")] | UnsetType = UNSET
    version: Annotated[int | None, Meta(description="The present version; null if there is none.")] | UnsetType = UNSET
    sent: Annotated[Any, Meta(description="The value that was sent for a field that differs.")] | UnsetType = UNSET
    current: Annotated[Any, Meta(description="The present value of that field.")] | UnsetType = UNSET


class Problem(Answer, kw_only=True):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError] | UnsetType = UNSET

"""Base types of request bodies, queries and answers (docs/reference/api.md).

Structs decode and validate in one pass, and the OpenAPI schema is generated from them: the contract is written once.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.errors import Fault, Invalid
from audit.texts import listed


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request body or a query. Unknown fields are refused, so that a typo never silently changes a hold."""

    def contradictions(self) -> list[Fault]:
        """The mistakes that are not in one field but between several.

        Bodies with mistakes in single fields are asked, too. These fields are ``UNREADABLE``: they count as given.
        """
        return []


def exactly_one(given: Mapping[str, Any]) -> list[Fault]:
    """The faults of a body in which exactly one of these fields, by name, must be given.

    If several are given, each of them has a fault. If none is, the first has it.
    """
    names = [name for name, value in given.items() if value is not None]
    if len(names) == 1:
        return []
    choice = listed([f"`{name}`" for name in given])
    found = f"Only one of {choice} may be given." if names else f"One of {choice} is needed."
    return [Fault(f"/{name}", Invalid.code, found) for name in names or list(given)[:1]]


def at_most_one(given: Mapping[str, Any], *, prefix: str = "/") -> list[Fault]:
    """The faults of a body or query in which at most one of these fields, by name, may be given: one for each given."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) < 2:
        return []
    detail = f"Only one of {listed([f'`{name}`' for name in given])} may be given."
    return [Fault(f"{prefix}{name}", Invalid.code, detail) for name in names]


class Unreadable:
    """Stands for a value with a mistake in it, in a body that is checked for contradictions nevertheless."""


UNREADABLE: Final = Unreadable()


def is_read(value: Any, *names: str) -> bool:
    """Whether a struct, and these fields of it, have no mistake of their own."""
    return isinstance(value, msgspec.Struct) and UNREADABLE not in [getattr(value, name) for name in names]


def readable(items: Any) -> list[Any]:
    """The items of a list, some of which may be unreadable; an empty list if the list itself is unreadable."""
    return items if isinstance(items, list) else []


class OptionalBody(Body, kw_only=True):
    """A request body that may be omitted: a request without a body means the same as `{}`."""


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """The body of an answer."""


Time = Annotated[datetime, Meta(tz=True)]
"""A time in an answer: only with ``tz`` does its schema say that it is one."""
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Code = Annotated[
    str,
    Meta(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(?!\n)$"),
]
RowVersion = Annotated[int, Meta(description="Rises with each change except freezes: send it as `expectedVersion`.")]
ExpectedVersion = Annotated[
    int,
    Meta(ge=1, le=9_223_372_036_854_775_807),
]
Limit = Annotated[int, Meta(ge=1, le=200)]
ReservationId = Annotated[
    str,
    Meta(
        pattern=r"^res-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$",
    ),
]


class PageQuery(Body, kw_only=True):
    """The query parameters of a list."""

    cursor: Annotated[str, Meta(max_length=100)] | None = None
    limit: Limit = 50


class ProblemError(Answer, kw_only=True):
    """One fault, with the facts that a program needs to correct it: a shortage has the missing quantities."""

    pointer: Annotated[str, Meta(description="A JSON pointer into the body, or `?name` for a parameter of the query.")]
    code: Annotated[str, Meta(description="What programs decide by.")]
    detail: Annotated[str, Meta(description="What is wrong, in words.")]
    product_id: UUID | UnsetType = UNSET
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str | UnsetType = UNSET
    requested: Annotated[int | UnsetType, Meta(description="The units that were asked for.")] = UNSET
    available: Annotated[int | UnsetType, Meta(description="The units that there are.")] = UNSET
    in_transit: Annotated[int | UnsetType, Meta(description="The units that are in transit.")] = UNSET
    order_id: str | UnsetType = UNSET
    sold: Annotated[int | UnsetType, Meta(description="The units that the order was sold.")] = UNSET
    returned: Annotated[int | UnsetType, Meta(description="The units that it has returned.")] = UNSET
    returnable: Annotated[int | UnsetType, Meta(description="The units that it may still return.")] = UNSET
    reservation_id: str | UnsetType = UNSET
    count_id: str | UnsetType = UNSET
    limit: Annotated[int | UnsetType, Meta(description="The limit that would be exceeded.")] = UNSET
    held: Annotated[int | UnsetType, Meta(description="What the customer or cart holds already.")] = UNSET
    window_minutes: Annotated[int | UnsetType, Meta(description="The window of the limit, in minutes.")] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="Why it is frozen.")] = UNSET
    until: Annotated[
        Time | None | UnsetType, Meta(description="When the freeze ends; null if it lasts until it is lifted.")
    ] = UNSET
    expected: Annotated[str, Meta(description="The version that the client expected.")] | UnsetType = UNSET
    version: Annotated[int | None, Meta(description="The present version; null if there is none.")] | UnsetType = UNSET
    sent: Annotated[Any, Meta(description="The value that was sent for a field that differs.")] | UnsetType = UNSET
    current: Annotated[Any, Meta(description="The present value of that field.")] | UnsetType = UNSET


class Problem(Answer, kw_only=True):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[str, Meta(description="A URI that identifies the kind of problem.")]
    title: Annotated[str, Meta(description="The kind of problem, in words.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What is wrong with this request, in words.")]
    code: Annotated[str, Meta(description="What programs decide by. Codes may be added.")]
    request_id: Annotated[str, Meta(description="The `X-Request-ID` of the request, by which the logs are searched.")]
    errors: Annotated[
        list[ProblemError] | UnsetType, Meta(description="What is wrong, each with its place in the request.")
    ] = UNSET

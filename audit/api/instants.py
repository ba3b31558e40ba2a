"""Instants in request bodies and queries: RFC 3339 with an offset, within the bounds of all instants."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from audit.api.scalars import Scalar
from audit.instants import BOUNDS, OutOfBounds, in_bounds

EXPECTED: Final = "a time with its offset, such as `2030-12-31T18:00:00Z`"
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")
_BLANK_FOR_PLUS: Final = re.compile(r".*[0-9]:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)? [0-9]{2}:?[0-9]{2}")


def _decode(value: Any) -> datetime:
    if type(value) in (int, float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError(f"must be {EXPECTED}, not a number")
    if not isinstance(value, str):
        raise ValueError(f"must be {EXPECTED}")  # noqa: TRY004 - the decoder reports ValueErrors alone
    try:
        moment = msgspec.convert(value, type=datetime)
    except msgspec.ValidationError as error:
        hint = ". A + in a query means a blank: write %2B instead" if _BLANK_FOR_PLUS.fullmatch(value) else ""
        raise ValueError(f"must be {EXPECTED}{hint}") from error
    if moment.tzinfo is None:
        raise ValueError(f"must be {EXPECTED}; the offset is missing")
    try:
        return in_bounds(moment)
    except OutOfBounds as error:
        raise ValueError(f"must be a time within {BOUNDS}") from error


if TYPE_CHECKING:
    Instant = datetime
else:

    class Instant(Scalar):
        """A type of fields whose values are plain ``datetime``s in UTC, within the bounds."""

        @classmethod
        def decode(cls, value: Any) -> datetime:
            return _decode(value)

        @classmethod
        def expected(cls) -> str:
            return EXPECTED

        @classmethod
        def schema(cls) -> dict[str, Any]:
            return {"type": "string", "format": "date-time", "description": f"The time lies within {BOUNDS}."}

    Instant.register(datetime)

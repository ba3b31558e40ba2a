"""Decimals in request bodies: bounded in digits and exponent, and rounded to the places that the database keeps.

A ``Decimal`` itself takes whatever is a number: the zero ``0E-100000`` is in every range, and no ``numeric`` of the
database. The text is therefore checked before it becomes a number.
"""

import re
from abc import ABC
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

_TEXT: Final = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?")


class BoundedDecimal(ABC):
    """A type of fields whose values are plain ``Decimal``s: 0 to ``most``, with at most ``places`` decimals."""

    most: ClassVar[Decimal]
    places: ClassVar[int]
    range: ClassVar[str]

    @classmethod
    def decode(cls, value: Any) -> Decimal:
        """The decimal of a JSON number or text. Raises ValueError, which the decoder reports with the field's path."""
        if type(value) in (str, int, float) and _TEXT.fullmatch(text := str(value)):
            amount = Decimal(text)
            if 0 <= amount <= cls.most and amount == (rounded := abs(round(amount, cls.places))):
                return rounded
        raise ValueError(f"Expected {cls.range}")


if TYPE_CHECKING:
    Money = Decimal
    Share = Decimal
else:

    class Money(BoundedDecimal):
        """An amount of money: ten digits before the point, two behind it."""

        most = Decimal(10) ** 10 - Decimal("0.01")
        places = 2
        range = "an amount of 0 or more, below 10,000,000,000, with at most two decimals"

    class Share(BoundedDecimal):
        """A share of a whole."""

        most = Decimal(1)
        places = 4
        range = "a share of 0 to 1, with at most four decimals"

    for _kind in (Money, Share):
        _kind.register(Decimal)


def decode_decimal(kind: type[Any], value: Any) -> Any:
    """The ``dec_hook`` of the decoders of bodies and queries."""
    if not issubclass(kind, BoundedDecimal):
        raise NotImplementedError(kind)
    return kind.decode(value)


def decimal_schema(kind: type[Any]) -> dict[str, Any]:
    """The ``schema_hook`` of the OpenAPI document."""
    if not issubclass(kind, BoundedDecimal):
        raise NotImplementedError(kind)
    description = f"{kind.range[0].upper()}{kind.range[1:]}, as a text or a number."
    return {"type": "string", "format": "decimal", "description": description}

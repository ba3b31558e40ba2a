"""Decimals in request bodies: bounded in digits and exponent, and rounded to the places that the database keeps.

A ``Decimal`` itself takes whatever is a number: the zero ``0E-100000`` is in every range, and no ``numeric`` of the
database. The text is therefore checked before it becomes a number.
"""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

from audit.api.scalars import Scalar

_TEXT: Final = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?")


class BoundedDecimal(Scalar):
    """A type of fields whose values are plain ``Decimal``s: 0 to ``most``, with at most ``places`` decimals."""

    most: ClassVar[Decimal]
    places: ClassVar[int]
    range: ClassVar[str]

    @classmethod
    def decode(cls, value: Any) -> Decimal:
        if type(value) in (str, int, float) and _TEXT.fullmatch(text := str(value)):
            amount = Decimal(text)
            if 0 <= amount <= cls.most and amount == (rounded := abs(round(amount, cls.places))):
                return rounded
        raise ValueError(f"must be {cls.range}")

    @classmethod
    def expected(cls) -> str:
        return cls.range

    @classmethod
    def schema(cls) -> dict[str, Any]:
        description = f"{cls.range[0].upper()}{cls.range[1:]}, as a text or a number."
        return {"type": "string", "format": "decimal", "description": description}


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

"""Dialogs that ask for confirmation before they book far more units than is usual for a product."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.utils.translation import gettext

from audit.console.doubts import Doubt
from audit.whole_numbers import grouped, in_thousands
from inventory.services.stock.usual import ALWAYS_USUAL, is_unusual, usual_units

_COUNT: Final = "COUNT"


class Amount(NamedTuple):
    """Units of a product that a form would book; negative if they go."""

    product_id: UUID
    sku: str
    units: int


class AsksAboutUnusual:
    """A dialog that books units. ``usual_of`` is the kind of movements whose units they are compared with."""

    usual_of: ClassVar[Any]

    @abstractmethod
    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        """The units that the form would book."""

    def find_doubts(self, given: Mapping[str, Any]) -> list[Doubt]:
        """A doubt for each product with far more units than usual. Sends one query if any has more than 1,000."""
        amounts = list(self.amounts(given))
        texts = doubts_about(self.usual_of, amounts)
        return [
            Doubt(f"{amount.product_id} {amount.units}", text)
            for amount, text in zip(amounts, texts, strict=True)
            if text
        ]


def doubts_about(kind: Any, amounts: Sequence[Amount]) -> list[str]:
    """The doubt about each amount, as a sentence; empty if it isn't unusual for this kind of movements. One query if
    any has more than 1,000 units."""
    large = {amount.product_id for amount in amounts if abs(amount.units) > ALWAYS_USUAL}
    usual = usual_units(kind, large) if large else {}
    return [
        _doubt(kind, amount, usual.get(amount.product_id))
        if is_unusual(amount.units, usual.get(amount.product_id))
        else ""
        for amount in amounts
    ]


def _doubt(kind: Any, amount: Amount, usual: int | None) -> str:
    """The sentence. A count is blind: it doesn't say how many there usually are."""
    values = {"sku": amount.sku, "units": grouped(amount.units), "words": in_thousands(amount.units)}
    text = gettext("%(sku)s: %(units)s, that is %(words)s units.") % values
    if kind == _COUNT:
        return text
    if usual is None:
        return f"{text} {gettext('There is no usual quantity for it yet.')}"
    return f"{text} {gettext('The usual is about %(usual)s.') % {'usual': grouped(usual)}}"

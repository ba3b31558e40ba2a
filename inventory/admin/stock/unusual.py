"""Dialogs that ask for confirmation before they book far more units than is usual for a product."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
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
        large = [amount for amount in self.amounts(given) if abs(amount.units) > ALWAYS_USUAL]
        if not large:
            return []
        usual = usual_units(self.usual_of, {amount.product_id for amount in large})
        return [
            Doubt(f"{amount.product_id} {amount.units}", self._doubt(amount, usual.get(amount.product_id)))
            for amount in large
            if is_unusual(amount.units, usual.get(amount.product_id))
        ]

    def _doubt(self, amount: Amount, usual: int | None) -> str:
        """The sentence. A count is blind: it doesn't say how many there usually are."""
        values = {"sku": amount.sku, "units": grouped(amount.units), "words": in_thousands(amount.units)}
        text = gettext("%(sku)s: %(units)s, that is %(words)s units.") % values
        if self.usual_of == _COUNT:
            return text
        if usual is None:
            return f"{text} {gettext('There is no usual quantity for it yet.')}"
        return f"{text} {gettext('The usual is about %(usual)s.') % {'usual': grouped(usual)}}"

"""The dashboard's figures of what is frozen, and of what is discontinued though there is stock of it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from inventory.models import Product, StockLevel, Store, Warehouse


class UnsellableFigure(NamedTuple):
    """A figure of ``read_unsellable``, by its name, with the list that it counts."""

    name: str
    label: Promise
    model: str
    asked: Mapping[str, Any]
    tone: str = "warn"


FIGURES: Final = (
    UnsellableFigure("products", _("Frozen products"), "inventory.product", {"frozen": 1}),
    UnsellableFigure("warehouses", _("Frozen warehouses"), "inventory.warehouse", {"frozen": 1}),
    UnsellableFigure("stores", _("Frozen stores"), "inventory.store", {"frozen": 1}),
    UnsellableFigure(
        "discontinued", _("Discontinued, with stock"), "inventory.stocklevel", {"state": "retired"}, tone=""
    ),
)


def read_unsellable(actor: Actor) -> dict[str, int]:
    """What is frozen now, and the levels with stock of discontinued goods, in an actor's reach. Four queries."""
    discontinued = StockLevel.objects.visible_to(actor).filter(on_hand__gt=0).all_retired()
    kinds: dict[str, Any] = {
        "products": Product.objects.all(),
        "warehouses": Warehouse.objects.visible_to(actor),
        "stores": Store.objects.visible_to(actor),
    }
    frozen = {name: rows.with_freezes().filter(is_frozen=True).count() for name, rows in kinds.items()}
    return {**frozen, "discontinued": discontinued.count()}

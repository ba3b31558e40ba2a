"""Places in a warehouse: what a printed label names, the levels that are there, and putting goods away.

A place is named by the zone, aisle and shelf of stock levels, joined by dashes. Its label has the warehouse's code in
front: ``wh-001/B-02-1``.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import CharField, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import NullIf, Upper
from django.db.models.lookups import Exact

from audit.actors import Actor
from audit.errors import Invalid
from audit.idempotency import Claim, StoredAnswer
from audit.texts import LAST_CHARACTER
from inventory.models import StockLevel, Warehouse
from inventory.place_keys import KEY_SQL, PlaceKey
from inventory.services.catalogue.master_data import Saved
from inventory.services.stock.level_settings import set_level

_SEPARATOR: Final = "/"
_DASH: Final = "-"
_PARTS: Final = ("zone", "aisle", "shelf")
_LONGEST_PART: Final = 10
_LONGEST: Final = 3 * _LONGEST_PART + 2
_MOST_FOUND: Final = 5


_KEY: Final = KEY_SQL.format(zone="level.zone", aisle="level.aisle", shelf="level.shelf")
_NEXT: Final = f"""
SELECT {_KEY} AS key, zone, aisle, shelf FROM inventory_stocklevel AS level
WHERE level.warehouse_id = {{warehouse}} AND {_KEY} {{after}} AND {_KEY} < upper(%(start)s) || %(last)s
ORDER BY {_KEY} LIMIT 1
"""  # noqa: S608 - of constants alone
_BEGINNING_SO: Final = f"""
WITH RECURSIVE found AS (
    SELECT warehouse.id AS warehouse_id, first.*, 1 AS nth
    FROM unnest(%(warehouses)s::uuid[]) AS warehouse (id)
    CROSS JOIN LATERAL ({_NEXT.format(warehouse="warehouse.id", after=">= upper(%(start)s)")}) AS first
    UNION ALL
    SELECT found.warehouse_id, next.*, nth + 1
    FROM found CROSS JOIN LATERAL ({_NEXT.format(warehouse="found.warehouse_id", after="> found.key")}) AS next
    WHERE nth < %(most)s
)
SELECT warehouse_id, found.zone, aisle, shelf
FROM found JOIN inventory_warehouse AS warehouse ON warehouse.id = warehouse_id
ORDER BY key <> upper(%(start)s), key, warehouse.code LIMIT %(most)s
"""  # noqa: S608 - of constants alone
"""In each warehouse, walks from each name to the next other one: levels of the same place are skipped."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place, which may be empty now. ``name`` is what its label shows: ``B-02-1``."""

    warehouse: Warehouse
    name: str

    @property
    def code(self) -> str:
        """The code on its label: ``wh-001/B-02-1``."""
        return f"{self.warehouse.code}{_SEPARATOR}{self.name}"

    @property
    def levels(self) -> QuerySet[StockLevel]:
        """The levels at this place, by SKU, with their products."""
        found = StockLevel.objects.filter(_is_named(self.name), warehouse=self.warehouse)
        return found.select_related("product", "warehouse").order_by("product__sku")


def name_of(zone: str, aisle: str, shelf: str) -> str:
    """The name of a place; empty if none of its parts is set."""
    return _DASH.join(part for part in (zone, aisle, shelf) if part)


def _place_name() -> Func:
    """``name_of`` in SQL, for levels."""
    parts = [NullIf(F(part), Value("")) for part in _PARTS]
    return Func(Value(_DASH), *parts, function="concat_ws", output_field=CharField())


def _is_named(name: str) -> Q:
    """A condition on levels: they are at the place with this name, in any case."""
    return Q(Exact(PlaceKey(), Upper(Value(name))))


def find_places(actor: Actor, code: str) -> list[Place]:
    """The places that a scanned code names, in the actor's reach; case doesn't matter.

    With the code of a warehouse in front it is one place, even if nothing is there now. Without, it is a place of each
    warehouse in which something is there: one look into the index of places for each warehouse. Two queries at most.
    """
    before, separator, after = code.partition(_SEPARATOR)
    warehouses = Warehouse.objects.visible_to(actor)
    if separator and 0 < len(after) <= _LONGEST:
        for warehouse in warehouses.filter(code__iexact=before)[:_MOST_FOUND]:
            return [place_at(warehouse, after)]
    if not 0 < len(code) <= _LONGEST:
        return []
    there = StockLevel.objects.filter(_is_named(code), warehouse=OuterRef("pk")).values(spelled=_place_name())[:1]
    found = warehouses.annotate(spelled=Subquery(there)).filter(spelled__isnull=False).order_by("code")
    return [Place(row, row.spelled) for row in found[:_MOST_FOUND]]


def places_beginning_so(actor: Actor, text: str, *, at_most: int) -> list[Place]:
    """The places in the actor's reach whose name begins with a text, in any case; one with this very name comes first.

    A text with the code of a warehouse in front finds places of that warehouse. The cost grows with the number of
    warehouses, not of levels. Two queries.
    """
    before, separator, after = text.partition(_SEPARATOR)
    warehouses = Warehouse.objects.visible_to(actor)
    named = {row.pk: row for row in (warehouses.filter(code__iexact=before) if separator else warehouses)}
    start = after if separator else text
    if not named or not 0 < len(start) <= _LONGEST:
        return []
    asked: dict[str, Any] = {"warehouses": list(named), "start": start, "last": LAST_CHARACTER, "most": at_most}
    with connection.cursor() as cursor:
        cursor.execute(_BEGINNING_SO, asked)
        found = cursor.fetchall()
    return [Place(named[warehouse_id], name_of(*parts)) for warehouse_id, *parts in found]


def place_at(warehouse: Warehouse, name: str) -> Place:
    """A place of a warehouse, spelled as its levels spell it, if there are any. One query."""
    spelled = Place(warehouse, name).levels.order_by().values_list(*_PARTS)[:1]
    return Place(warehouse, name_of(*spelled[0]) if spelled else name)


def parts_of(place: Place) -> dict[str, str]:
    """Zone, aisle and shelf of a place: those of a level that is there, or else the name at its dashes.

    Raises Invalid for an empty place whose name has parts that are too long.
    """
    known = place.levels.values_list(*_PARTS).first()
    named = known or (*place.name.split(_DASH, 2), "", "")[:3]
    if any(len(part) > _LONGEST_PART for part in named):
        raise Invalid(f"{place.name}: zone, aisle and shelf have at most {_LONGEST_PART} characters each.")
    return dict(zip(_PARTS, named, strict=True))


def put_away(actor: Actor, place: Place, product_id: UUID, *, claim: Claim | None) -> Saved | StoredAnswer:
    """Set the place of a product in its warehouse.

    Raises NotFound if the warehouse has no level of the product, Invalid, Busy and the errors of claims. Locks the
    level.
    """
    changes: dict[str, Any] = parts_of(place)
    return set_level(actor, product_id, place.warehouse.code, changes=changes, claim=claim)

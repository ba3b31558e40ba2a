"""The routes of stock levels: decode, one call, answer."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Final, Protocol
from uuid import UUID

import msgspec
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit import feed
from audit.actors import Actor
from audit.api.http import ApiView, Pending, answered, decode, decode_query, rendered
from audit.api.paging import BY_ID
from audit.api.schema import describe
from audit.api.versions import expected_of, precondition, tagged
from audit.feed import Cursor
from audit.idempotency import StoredAnswer
from audit.roles import Capability
from inventory.api.filters import require_store, require_warehouse
from inventory.api.stock import contract as stock_contract
from inventory.combining import LongReading, Reading
from inventory.errors import UnknownStore, UnknownWarehouse
from inventory.models import StockLevel
from inventory.models.catalogue_querysets import warehouses_of
from inventory.services.catalogue.master_data import Saved
from inventory.services.stock.level_settings import set_level
from inventory.services.stock.listing import LevelFilter, ListedLevel, last_of_walk, read_levels
from inventory.services.stock.reading import (
    LevelRequest,
    LevelRow,
    ProductLevels,
    ProductLevelsRequest,
    read_one_level,
    read_product_levels,
)

WALKED: Final = 200_000
"""The most levels that a page of updated levels reads: no index has the time of the last update, so that a hold stays a
heap-only update. Such a page is short or empty if few of these were updated; the next one continues behind them."""


class ProductLevelsView(ApiView):
    """The stock of a product."""

    on_loop: ClassVar = frozenset({"GET"})
    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "readProductLevels",
        "Read a product's stock levels",
        query=stock_contract.ProductLevelsQuery,
        answers={200: stock_contract.ProductLevelsOut},
        refusals=(UnknownWarehouse,),
        tagged=True,
    )
    def get(self, request: Request, product_id: UUID) -> Pending:
        """Reads the stock levels of a product in all warehouses that the client may see, with their sums."""
        query = decode_query(request, stock_contract.ProductLevelsQuery)
        asked = ProductLevelsRequest(self.actor(request), product_id, query.warehouse_id)
        return Pending(Reading(read_product_levels, asked), _product_levels, is_tagged=True)


def _product_levels(found: ProductLevels) -> StoredAnswer:
    levels = found.levels
    moved = stock_contract.MovedOut(received=found.received, shipped=found.shipped, adjusted=found.adjusted)
    return rendered(
        stock_contract.ProductLevelsOut(
            product_id=found.parent_id or found.product_id,
            variant_id=found.product_id if found.parent_id else UNSET,
            total_quantity=sum([level.on_hand for level in levels]),
            total_available=sum([level.available for level in levels]),
            total_reserved=sum([level.reserved for level in levels]),
            warehouses=[_level_in(level, level.warehouse_code, level.warehouse_name) for level in levels],
            movements=stock_contract.MovementsOut(last24_hours=moved),
            last_updated=found.updated_at,
        )
    )


def _one_level(level: LevelRow) -> StoredAnswer:
    return rendered(_level_in(level, level.warehouse_code, level.warehouse_name))


def _given(value: int | None) -> int | msgspec.UnsetType:
    return UNSET if value is None else value


def _level(level: StockLevel) -> stock_contract.LevelOut:
    return _level_in(level, level.warehouse.code, level.warehouse.name)


def _level_in(level: StockLevel | LevelRow, code: str, name: str) -> stock_contract.LevelOut:
    is_located = level.zone or level.aisle or level.shelf
    return stock_contract.LevelOut(
        warehouse_id=code,
        warehouse_name=name,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        reorder_point=_given(level.reorder_point),
        reorder_quantity=_given(level.reorder_quantity),
        min_stock_level=level.min_stock_level or UNSET,
        max_stock_level=_given(level.max_stock_level),
        location=stock_contract.LocationOut(zone=level.zone, aisle=level.aisle, shelf=level.shelf)
        if is_located
        else UNSET,
    )


class LevelsView(ApiView):
    """The list of levels, for synchronising a catalogue."""

    on_loop: ClassVar = frozenset({"GET"})
    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listLevels",
        "List stock levels",
        query=stock_contract.LevelsQuery,
        answers={200: stock_contract.LevelPageOut},
        refusals=(UnknownStore, UnknownWarehouse),
    )
    def get(self, request: Request) -> Pending:
        """Lists stock levels by their keys, to copy all of them. The events continue where the first page begins."""
        query = decode_query(request, stock_contract.LevelsQuery)
        return Pending(LongReading(_read_pages, _PageRequest(self.actor(request), query)), rendered)


class _PageRequest(msgspec.Struct, frozen=True, gc=False):
    actor: Actor
    query: stock_contract.LevelsQuery


def _read_pages(requests: Sequence[_PageRequest]) -> list[stock_contract.LevelPageOut]:
    """The page of each request. Raises UnknownStore, UnknownWarehouse, and Invalid for a cursor of another list."""
    return [_page(request.actor, request.query) for request in requests]


def _page(actor: Actor, query: stock_contract.LevelsQuery) -> stock_contract.LevelPageOut:
    with _events_cursor(is_first_page=query.cursor is None) as cursor:
        require_store(actor, query.store_id)
        require_warehouse(actor, query.warehouse_id)
        wanted = LevelFilter(actor, query.store_id, query.warehouse_id, query.ids, query.updated_since)
        behind = BY_ID.after(query)
        last = None if query.updated_since is None else last_of_walk(behind, WALKED)
        found = read_levels(wanted, limit=query.limit + 1, behind=behind, last=last)
    levels, following = BY_ID.page(found, query, lambda level: level.id)
    if last is not None:
        following = following or BY_ID.of(last)
    items = [_listed(level) for level in levels]
    return stock_contract.LevelPageOut(items=items, next=following, events_cursor=str(cursor))


def _events_cursor(*, is_first_page: bool) -> AbstractContextManager[Cursor]:
    """The cursor behind which events follow that the levels, read inside, don't show yet.

    That of the first page has none of those that they show. Of later pages it is only said how far the log is.
    """
    return feed.one_snapshot() if is_first_page else nullcontext(feed.cursor_now())


class _InPlaces(Protocol):
    """A query that may name a store and a warehouse, by their codes."""

    @property
    def store_id(self) -> str | None: ...
    @property
    def warehouse_id(self) -> str | None: ...


def in_places(found: Any, query: _InPlaces, actor: Actor) -> Any:
    """Filter stock levels by the store and the warehouse that a query names.

    Raises UnknownStore and UnknownWarehouse, also for those out of reach.
    """
    require_store(actor, query.store_id)
    require_warehouse(actor, query.warehouse_id)
    if query.store_id is not None:
        found = found.filter(warehouse__in=warehouses_of([query.store_id]))
    if query.warehouse_id is not None:
        found = found.filter(warehouse__code=query.warehouse_id)
    return found


def _listed(level: ListedLevel) -> stock_contract.ListedLevelOut:
    return stock_contract.ListedLevelOut(
        product_id=level.parent_id or level.stock_id,
        variant_id=level.stock_id if level.parent_id else UNSET,
        warehouse_id=level.warehouse_code,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        updated_at=level.updated_at,
    )


class LevelSettingsView(ApiView):
    """One level, and its settings."""

    on_loop: ClassVar = frozenset({"GET"})
    allowed: ClassVar = {"GET": Capability.READ, "PATCH": Capability.MANAGE}

    @describe("readLevel", "Read a stock level", answers={200: stock_contract.LevelOut}, tagged=True)
    def get(self, request: Request, product_id: UUID, warehouse_id: str) -> Pending:
        """Reads the stock level of a product in one warehouse, with its settings."""
        asked = LevelRequest(self.actor(request), product_id, warehouse_id)
        return Pending(Reading(read_one_level, asked), _one_level, is_tagged=True)

    @describe(
        "changeLevelSettings",
        "Change a level's settings",
        body=stock_contract.LevelSettingsIn,
        answers={200: stock_contract.LevelOut},
        idempotent=True,
        conditional=True,
    )
    def patch(self, request: Request, product_id: UUID, warehouse_id: str) -> HttpResponse:
        """Changes settings of a stock level. Those that are omitted stay as they are."""
        body = decode(request, stock_contract.LevelSettingsIn)
        given = {name: getattr(body, name) for name in _SETTINGS}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        if body.location is not UNSET:
            location = body.location or stock_contract.LocationIn()
            changes |= {"zone": location.zone, "aisle": location.aisle, "shelf": location.shelf}
        saved = set_level(
            self.actor(request),
            product_id,
            warehouse_id,
            changes=changes,
            precondition=precondition(expected_of(request, body.expected_version), body, _values),
            claim=self.claim(request, _set),
        )
        return tagged(answered(saved, _set))


def _values(level: Any) -> Mapping[str, Any]:
    location = stock_contract.LocationIn(zone=level.zone, aisle=level.aisle, shelf=level.shelf)
    return {**{name: getattr(level, name) for name in _SETTINGS}, "location": location}


_SETTINGS: Final = ("reorder_point", "reorder_quantity", "min_stock_level", "max_stock_level")


def _set(saved: Saved) -> StoredAnswer:
    return rendered(_level(saved.row))

"""Re-acquire expired holds for payments that arrive late (docs/explanation/rules.md, rule 9).

The expired reservation stays as it is; a new one is made. Units come from the same warehouses if possible; otherwise
lines that didn't name a warehouse are sourced again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from inventory.errors import InsufficientStock
from inventory.services.catalogue.lookup import Catalogue, Source, read_catalogue
from reservations.models import Reservation
from reservations.services.holds import documents, sourcing
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.sourcing import SummedLine


def read_catalogue_of(holds: Collection[tuple[Actor, Hold]]) -> Catalogue:
    """Read the catalogue of the holds' stores and products. Two queries; none without holds."""
    if not holds:
        return Catalogue({}, None, {}, {})
    return read_catalogue(
        ((actor, hold.store) for actor, hold in holds), {item.stock_id for _, hold in holds for item in hold.items}
    )


def candidate_levels(hold: Hold, catalogue: Catalogue) -> set[UUID]:
    """The levels that may serve the hold's items; the caller locks them first."""
    store = catalogue.stores[hold.store]
    lines = [_sourced_again(hold, item.stock_id, catalogue, "") for item in hold.items if not item.pinned]
    return {item.level_id for item in hold.items} | set(sourcing.candidate_levels(lines, store, catalogue).values())


def successors_of(ids: Collection[UUID]) -> dict[UUID, Hold]:
    """The reservations that re-acquired these, by the id of the expired one. At most three statements.

    They are CONSUMED, which is final, so no lock is needed.
    """
    if not ids:
        return {}
    found = Reservation.objects.filter(reacquired_from__in=ids).values_list("reacquired_from", "id")
    made = {dead: new for dead, new in found if dead}
    holds = documents.read_holds(made.values())
    return {dead: holds[new] for dead, new in made.items()}


def reacquired(
    hold: Hold,
    *,
    order_id: str,
    catalogue: Catalogue,
    sellable: Mapping[UUID, int],
    actor: Actor,
    now: datetime,
    pointer: str,
) -> Hold:
    """Make the new, consumed reservation that replaces an expired one. ``pointer`` is that of the errors' faults.

    Raises InsufficientStock and the errors of ``sourcing.require_all_sellable``.
    """
    return replace(
        hold,
        id=uuid7(),
        status=str(Status.CONSUMED),
        order_id=order_id,
        created_at=now,
        expires_at=now,
        extended_at=None,
        consumed_at=now,
        released_at=None,
        reason="",
        client_id=actor.client_id,
        reacquired_from=hold.id,
        items=tuple(_choose(hold, catalogue, sellable, pointer)),
    )


def _choose(hold: Hold, catalogue: Catalogue, sellable: Mapping[UUID, int], pointer: str) -> list[HeldItem]:
    store = catalogue.stores[hold.store]
    closed = {source.id: source for source in store.sources if not source.may_sell}
    moving = {item.stock_id for item in hold.items if item.warehouse_id in closed and not item.pinned}
    wanted = _wanted(hold, moving, closed, catalogue, pointer)
    sourcing.require_all_sellable(wanted, store, store_pointer=pointer)
    try:
        return sourcing.choose_items(wanted, store, catalogue, sellable)
    except InsufficientStock as error:
        short = {shortage.variant_id or shortage.product_id for shortage in error.shortages}
    moving |= {item.stock_id for item in hold.items if item.stock_id in short and not item.pinned}
    return sourcing.choose_items(_wanted(hold, moving, closed, catalogue, pointer), store, catalogue, sellable)


def _wanted(
    hold: Hold, moving: Collection[UUID], closed: Mapping[UUID, Source], catalogue: Catalogue, pointer: str
) -> list[SummedLine]:
    """Lines for the hold's items: in the same warehouse, or to be sourced again for ``moving`` products that didn't
    name one."""
    stay = [item for item in hold.items if item.pinned or item.stock_id not in moving]
    return [_same(item, closed, catalogue, pointer) for item in stay] + [
        _sourced_again(hold, stock_id, catalogue, pointer) for stock_id in sorted(moving)
    ]


def _same(item: HeldItem, closed: Mapping[UUID, Source], catalogue: Catalogue, pointer: str) -> SummedLine:
    source = closed.get(item.warehouse_id) or Source(item.warehouse_id, item.warehouse, is_active=True)
    return SummedLine(pointer, catalogue.products[item.stock_id], source, item.quantity, item.unit_price)


def _sourced_again(hold: Hold, stock_id: UUID, catalogue: Catalogue, pointer: str) -> SummedLine:
    items = [item for item in hold.items if item.stock_id == stock_id and not item.pinned]
    quantity = sum(item.quantity for item in items)
    return SummedLine(pointer, catalogue.products[stock_id], None, quantity, items[0].unit_price)

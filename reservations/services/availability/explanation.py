"""Explain the sellable units of stock levels, and compute on hand at a moment of the past. Takes no locks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.db.times import readable
from audit.errors import Archived, Fault, Invalid, NotFound
from inventory.locking import read_clock
from inventory.models import Product, StockLevel
from inventory.selling import frozen
from inventory.services.stock import movements
from inventory.services.stock.movements import MovementLine

SHOWN_AT_MOST: Final = 50
"""The most holds and transfers that are listed for a level. Totals count all of them."""
MOVEMENTS_SHOWN: Final = 10

BlockCode = Literal["product_inactive", "listing_expired", "product_frozen", "warehouse_inactive", "warehouse_frozen"]


@dataclass(frozen=True, slots=True)
class Block:
    """A reason why new holds on a level are refused, and until when, if that is known."""

    code: BlockCode
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownHold:
    """The units of a level that one reservation holds."""

    reservation_id: UUID
    store: str
    cart_id: str | None
    order_id: str | None
    customer_id: str | None
    quantity: int
    held_until: datetime


@dataclass(frozen=True, slots=True)
class HoldsOfKind:
    """The active or the due holds on a level: their number, their units, and those to list, the first to end first.

    ``shown`` has only holds of stores in the actor's reach.
    """

    holds: int
    units: int
    shown: tuple[ShownHold, ...]


@dataclass(frozen=True, slots=True)
class ShownTransfer:
    """The units in transit to a level by one transfer."""

    transfer_id: UUID
    source: str
    quantity: int
    expected_delivery: datetime | None


@dataclass(frozen=True, slots=True)
class IncomingStock:
    """All units in transit to a level, and the transfers to list, the first to arrive first."""

    units: int
    shown: tuple[ShownTransfer, ...]


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """The open low-stock alert of a level."""

    id: UUID
    severity: Literal["LOW", "CRITICAL"]
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Explanation:
    """The figures of one level, in units, and the rows that explain them."""

    warehouse: str
    warehouse_name: str
    on_hand: int
    reserved: int
    safety_stock: int
    blocks: tuple[Block, ...]
    active: HoldsOfKind
    due: HoldsOfKind
    incoming: IncomingStock
    movements: tuple[MovementLine, ...]
    alert: OpenAlert | None

    @property
    def sellable(self) -> int:
        """Sellable units (docs/explanation/rules.md, rule 1); 0 if new holds are blocked."""
        return 0 if self.blocks else max(0, self.on_hand - self.reserved - self.safety_stock + self.due.units)


@dataclass(frozen=True, slots=True)
class Explained:
    """All levels of a product in the actor's reach, ordered by warehouse code, as they were at one instant."""

    stock_id: UUID
    parent_id: UUID | None
    now: datetime
    levels: tuple[Explanation, ...]


_HELD: Final = """
LEFT JOIN LATERAL (
    SELECT count(*) AS holds, coalesce(sum(item.quantity), 0)::int AS units FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND item.held_until {when} statement_timestamp()
) {name} ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(hold) ORDER BY hold.held_until, hold.reservation_id)::text AS shown FROM (
        SELECT r.id AS reservation_id, s.code AS store, r.cart_id, r.order_id, r.customer_id, item.quantity,
            item.held_until
        FROM reservations_reservationitem item JOIN reservations_reservation r ON r.id = item.reservation_id
        JOIN inventory_store s ON s.id = r.store_id
        WHERE item.level_id = level.id AND item.held_until {when} statement_timestamp()
            AND (asked.codes = '{{}}' OR s.code = ANY(asked.codes))
        ORDER BY item.held_until, item.reservation_id LIMIT {limit}
    ) hold
) {name}_shown ON true
"""

# One statement, so that all figures are of one instant.
_EXPLAIN: Final = f"""
SELECT statement_timestamp(), product.id, product.parent_id, product.is_active AND coalesce(parent.is_active, true),
    least(product.listing_expires_at, parent.listing_expires_at), frozen.frozen_at, frozen.frozen_until,
    frozen.freeze_reason, warehouse.code, warehouse.name, warehouse.is_active,
    {frozen("warehouse")},
    warehouse.frozen_until, warehouse.freeze_reason, level.on_hand, level.reserved, level.min_stock_level,
    active.holds, active.units, active_shown.shown, due.holds, due.units, due_shown.shown,
    incoming.units, incoming_shown.shown, moved.shown, alert.shown
FROM (SELECT %s::text[] AS codes) asked
CROSS JOIN inventory_product product
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN LATERAL (
    SELECT * FROM (VALUES (product.frozen_at, product.frozen_until, product.freeze_reason),
        (parent.frozen_at, parent.frozen_until, parent.freeze_reason)) f (frozen_at, frozen_until, freeze_reason)
    WHERE {frozen("f")} LIMIT 1
) frozen ON true
LEFT JOIN (inventory_stocklevel level JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id)
    ON level.product_id = product.id AND (%s::text IS NULL OR warehouse.code = %s::text)
    AND (asked.codes = '{{}}' OR EXISTS (
        SELECT FROM inventory_storewarehouse source JOIN inventory_store store ON store.id = source.store_id
        WHERE source.warehouse_id = level.warehouse_id AND store.code = ANY(asked.codes)))
{_HELD.format(name="active", when=">", limit=SHOWN_AT_MOST)}
{_HELD.format(name="due", when="<=", limit=SHOWN_AT_MOST)}
LEFT JOIN LATERAL (
    SELECT coalesce(sum(line.in_transit), 0)::int AS units FROM inventory_transferline line
    WHERE line.destination_level_id = level.id AND line.in_transit > 0
) incoming ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(line) ORDER BY line.expected_delivery NULLS LAST, line.transfer_id)::text AS shown FROM (
        SELECT line.transfer_id, origin.code AS source, line.in_transit AS quantity,
            {readable("transfer.expected_delivery")} AS expected_delivery
        FROM inventory_transferline line JOIN inventory_transfer transfer ON transfer.id = line.transfer_id
        JOIN inventory_warehouse origin ON origin.id = transfer.from_warehouse_id
        WHERE line.destination_level_id = level.id AND line.in_transit > 0
        ORDER BY transfer.expected_delivery NULLS LAST, line.transfer_id LIMIT {SHOWN_AT_MOST}
    ) line
) incoming_shown ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(m) ORDER BY m.created_at DESC, m.id DESC)::text AS shown FROM (
        SELECT {movements.LINE} FROM inventory_movement m {movements.SEEN} WHERE m.level_id = level.id
        ORDER BY m.created_at DESC, m.id DESC LIMIT {MOVEMENTS_SHOWN}
    ) m
) moved ON true
LEFT JOIN LATERAL (
    SELECT jsonb_build_object('id', a.id, 'severity', a.severity, 'opened_at', a.opened_at)::text AS shown
    FROM inventory_lowstockalert a WHERE a.level_id = level.id AND a.resolved_at IS NULL
) alert ON true
WHERE product.id = %s
ORDER BY warehouse.code
"""  # noqa: S608 - constants only


def explain(actor: Actor, product_id: UUID, warehouse: str | None) -> Explained:
    """Explain the sellable units of a product or variant, in one warehouse (a code) or in all. One statement.

    Holds of stores out of the actor's reach count in the totals but are not listed. Raises NotFound.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EXPLAIN, [columns.texts(actor.store_codes), warehouse, warehouse, product_id])
        rows = cursor.fetchall()
    if not rows:
        raise _no_such(product_id)
    now, stock_id, parent_id = rows[0][:3]
    seen = [row for row in rows if row[8] is not None and actor.sees_warehouse(row[8])]
    return Explained(stock_id, parent_id, now, tuple(_explanation(row) for row in seen))


def _explanation(row: Sequence[Any]) -> Explanation:
    return Explanation(
        warehouse=row[8],
        warehouse_name=row[9],
        on_hand=row[14],
        reserved=row[15],
        safety_stock=row[16],
        blocks=tuple(_blocks(row)),
        active=HoldsOfKind(row[17], row[18], _decoded(row[19], tuple[ShownHold, ...])),
        due=HoldsOfKind(row[20], row[21], _decoded(row[22], tuple[ShownHold, ...])),
        incoming=IncomingStock(row[23], _decoded(row[24], tuple[ShownTransfer, ...])),
        movements=_decoded(row[25], tuple[MovementLine, ...]),
        alert=msgspec.json.decode(row[26], type=OpenAlert) if row[26] else None,
    )


def _decoded(shown: str | None, kind: Any) -> Any:
    return msgspec.json.decode(shown, type=kind) if shown else ()


def _blocks(row: Sequence[Any]) -> list[Block]:
    """The reasons why new holds are refused: those of the product, then those of the warehouse."""
    now, _, _, product_is_active, listing_expires_at, frozen_at, frozen_until, freeze_reason = row[:8]
    warehouse_is_active, warehouse_is_frozen, warehouse_frozen_until, warehouse_freeze_reason = row[10:14]
    blocks = []
    if not product_is_active:
        blocks.append(Block("product_inactive", "The product or its parent is switched off."))
    if listing_expires_at is not None and listing_expires_at <= now:
        blocks.append(Block("listing_expired", f"The listing ended at {listing_expires_at.isoformat()}."))
    if frozen_at is not None:
        blocks.append(Block("product_frozen", freeze_reason or "The product is frozen.", frozen_until))
    if not warehouse_is_active:
        blocks.append(Block("warehouse_inactive", "The warehouse is switched off."))
    if warehouse_is_frozen:
        detail = warehouse_freeze_reason or "The warehouse is frozen."
        blocks.append(Block("warehouse_frozen", detail, warehouse_frozen_until))
    return blocks


# --- a moment of the past --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnHandThen:
    """A level's units on hand at a moment of the past."""

    warehouse: str
    warehouse_name: str
    on_hand: int


@dataclass(frozen=True, slots=True)
class StockThen:
    """On hand of all levels of a product in the actor's reach, after the movements up to and including a moment."""

    stock_id: UUID
    parent_id: UUID | None
    at: datetime
    levels: tuple[OnHandThen, ...]


_THEN: Final[Sequence[str]] = ("warehouse__code", "warehouse__name", "ledger_on_hand", "opening__as_of")


def on_hand_at(actor: Actor, product_id: UUID, warehouse: str | None, at: datetime) -> StockThen:
    """Compute on hand at a moment from the ledger: each level's opening plus its movements until then.

    Raises NotFound; Invalid for a moment in the future; and Archived, with a fault for each such level, for a moment
    before a level's ledger begins.
    """
    if at > read_clock():
        raise Invalid("Stock in the future is not known.", [Fault("?at", "invalid", "This time is in the future.")])
    product = Product.objects.filter(pk=product_id).first()
    if product is None:
        raise _no_such(product_id)
    found = StockLevel.objects.visible_to(actor).of_product(product_id)
    if warehouse is not None:
        found = found.filter(warehouse__code=warehouse)
    levels = list(found.with_ledger_balance(at).values_list(*_THEN))
    _require_ledger(at, {code: begins_at for code, _, _, begins_at in levels if begins_at})
    then = tuple(OnHandThen(code, name, on_hand) for code, name, on_hand, _ in levels)
    return StockThen(product.id, product.parent_id, at, then)


def _require_ledger(at: datetime, begins_at: Mapping[str, datetime]) -> None:
    """Raise Archived if the ledger of a level begins after the moment. ``begins_at`` is by warehouse code."""
    faults = [
        Fault("?at", Archived.code, f"The ledger of {code} begins at {begin.isoformat()}.", {"warehouseId": code})
        for code, begin in begins_at.items()
        if at < begin
    ]
    if faults:
        raise Archived("The movements of that time are archived.", faults)


def _no_such(product_id: UUID) -> NotFound:
    return NotFound(f"There is no product {product_id}.")

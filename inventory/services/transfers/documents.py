"""Transfers and their lines: locked and read for a change, and written. The only writer of transfers.

Everything is set-based: the number of statements doesn't depend on the number of transfers and lines.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from audit.identifiers import TRANSFER, public_id
from inventory.models import Transfer

TransferStatus = Transfer.Status


@dataclass(frozen=True, slots=True)
class RouteEnd:
    """A warehouse at one end of a transfer. An inactive one is closed: it takes nothing in."""

    id: UUID
    code: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class TransferItem:
    """An item of a transfer: units of one product that were shipped, received, returned and lost. ``product_id`` is the
    parent if ``variant_id`` is set. Items of a draft have no levels yet."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    source_level_id: UUID | None = None
    destination_level_id: UUID | None = None
    shipped: int = 0
    received: int = 0
    returned: int = 0
    lost: int = 0
    id: UUID = field(default_factory=uuid7)

    @property
    def stock_id(self) -> UUID:
        """The id of the variant if there is one, else of the product: stock levels belong to it."""
        return self.variant_id or self.product_id

    @property
    def in_transit(self) -> int:
        """Units that were shipped and neither received, nor returned, nor lost."""
        return self.shipped - self.received - self.returned - self.lost

    def facts(self) -> dict[str, Any]:
        """The product's ids, for audit entries, events and errors."""
        facts: dict[str, Any] = {"productId": self.product_id}
        return facts | {"variantId": self.variant_id} if self.variant_id else facts


@dataclass(frozen=True, slots=True)
class TransferDocument:
    """A transfer as it was read; for a change, under its lock. Never changed in place.

    ``number`` is 0 for a transfer that isn't written yet: the database draws it. ``reverses`` is the id of the transfer
    that this one sends back; ``account_id`` the staff account that drafted it, None for others.
    """

    id: UUID
    status: str
    source: RouteEnd
    destination: RouteEnd
    reason: str
    reference: str
    expected_delivery: datetime | None
    initiated_by: str
    initiated_at: datetime
    shipped_at: datetime | None = None
    closed_at: datetime | None = None
    number: int = 0
    reverses: UUID | None = None
    account_id: int | None = None
    items: tuple[TransferItem, ...] = ()

    @property
    def public_id(self) -> str:
        """The id that callers use, ``tr-<uuid>``."""
        return public_id(TRANSFER, self.id)

    @property
    def version(self) -> str:
        """A text that differs if the route, the details or the items of a draft differ."""
        items = sorted((str(item.stock_id), item.quantity) for item in self.items)
        details = (self.source.code, self.destination.code, self.reference, self.reason, self.expected_delivery, items)
        return hashlib.sha256(repr(details).encode()).hexdigest()[:32]

    @property
    def received_so_far(self) -> str:
        """The units received, returned and lost so far, as a text that never occurs again once one of them rises."""
        return " ".join(
            str(sum(getattr(item, name) for item in self.items)) for name in ("received", "returned", "lost")
        )

    @property
    def is_on_the_way(self) -> bool:
        """Whether units of the transfer are in transit."""
        return self.status in {TransferStatus.IN_TRANSIT, TransferStatus.PARTIALLY_RECEIVED}

    def is_overdue(self, now: datetime) -> bool:
        """Whether the expected arrival has passed and units are still in transit."""
        return self.is_on_the_way and self.expected_delivery is not None and self.expected_delivery < now

    def facts(self) -> dict[str, Any]:
        """The transfer's facts for audit entries and events."""
        return {
            "transferId": self.public_id,
            "status": self.status,
            "fromWarehouseId": self.source.code,
            "toWarehouseId": self.destination.code,
        }


_READ: Final = """
SELECT t.id, t.status, source.id, source.code, destination.id, destination.code,
    destination.is_active, t.reason, t.reference,
    t.expected_delivery, t.initiated_by, t.initiated_at, t.shipped_at, t.closed_at,
    t.number, t.reverses_id, t.account_id
FROM inventory_transfer t JOIN inventory_warehouse source ON source.id = t.from_warehouse_id
JOIN inventory_warehouse destination ON destination.id = t.to_warehouse_id
WHERE t.id = ANY(%s) ORDER BY t.id
"""
_LOCK: Final = _READ + "FOR NO KEY UPDATE OF t"

_READ_ITEMS: Final = """
SELECT line.transfer_id, coalesce(product.parent_id, product.id),
    CASE WHEN product.parent_id IS NOT NULL THEN product.id END, line.quantity, line.source_level_id,
    line.destination_level_id, line.quantity_shipped, line.quantity_received, line.quantity_returned,
    line.quantity_lost, line.id
FROM inventory_transferline line JOIN inventory_product product ON product.id = line.product_id
WHERE line.transfer_id = ANY(%s) ORDER BY line.id
"""


def lock_transfers(ids: Collection[UUID]) -> dict[UUID, TransferDocument]:
    """Lock transfers FOR NO KEY UPDATE by primary key (docs/explanation/rules.md, rule 8), and read them and, once they
    are locked, their items. Unknown ids are left out. Requires an open transaction; before any lock of levels."""
    return _read(_LOCK, ids)


def read_transfers(ids: Collection[UUID]) -> dict[UUID, TransferDocument]:
    """Read transfers and their items without a lock: two statements. Unknown ids are left out."""
    return _read(_READ, ids)


def _read(statement: str, ids: Collection[UUID]) -> dict[UUID, TransferDocument]:
    wanted = columns.uuids(ids)
    with connection.cursor() as cursor:
        cursor.execute(statement, [wanted])
        rows = cursor.fetchall()
        cursor.execute(_READ_ITEMS, [wanted])
        lines = cursor.fetchall()
    items: dict[UUID, list[TransferItem]] = {row[0]: [] for row in rows}
    for line in lines:
        if line[0] in items:
            items[line[0]].append(TransferItem(*line[1:]))
    return {row[0]: _document(row, items[row[0]]) for row in rows}


def _document(row: tuple[Any, ...], items: Sequence[TransferItem]) -> TransferDocument:
    id_, status, source_id, source, destination_id, destination, is_active, *others = row
    ends = RouteEnd(source_id, source), RouteEnd(destination_id, destination, is_active)
    return replace(TransferDocument(id_, status, *ends, *others), items=tuple(items))


_IN_TRANSIT: Final = """
SELECT destination_level_id, sum(in_transit) FROM inventory_transferline
WHERE destination_level_id = ANY(%s) AND in_transit > 0 GROUP BY 1
"""


def in_transit_to(level_ids: Collection[UUID]) -> dict[UUID, int]:
    """The units in transit to these levels, summed over all transfers; levels without any are left out.

    The result is exact under the levels' locks, which every command that changes it takes.
    """
    with connection.cursor() as cursor:
        cursor.execute(_IN_TRANSIT, [columns.uuids(level_ids)])
        return dict(cursor.fetchall())


_INSERT: Final = """
INSERT INTO inventory_transfer (id, status, from_warehouse_id, to_warehouse_id, reason, reference, expected_delivery,
    initiated_by, initiated_at, shipped_at, closed_at, reverses_id, account_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_INSERT_ITEMS: Final = """
INSERT INTO inventory_transferline (id, transfer_id, product_id, source_level_id, destination_level_id, quantity,
    quantity_shipped, quantity_received, quantity_returned, quantity_lost)
SELECT id, %s, product_id, source_level_id, destination_level_id, quantity, shipped, 0, 0, 0
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::int[])
    AS t (id, product_id, source_level_id, destination_level_id, quantity, shipped)
"""


def insert(document: TransferDocument) -> None:
    """Write a new transfer and its items: two statements. Requires the locks of the items' levels, if they have any."""
    write(
        _INSERT,
        [
            document.id,
            str(document.status),
            document.source.id,
            document.destination.id,
            document.reason,
            document.reference,
            document.expected_delivery,
            document.initiated_by,
            document.initiated_at,
            document.shipped_at,
            document.closed_at,
            document.reverses,
            document.account_id,
        ],
    )
    _insert_items(document)


def _insert_items(document: TransferDocument) -> None:
    items = document.items
    write(
        _INSERT_ITEMS,
        [
            document.id,
            columns.uuids(item.id for item in items),
            columns.uuids(item.stock_id for item in items),
            columns.uuids(item.source_level_id for item in items),
            columns.uuids(item.destination_level_id for item in items),
            columns.ints(item.quantity for item in items),
            columns.ints(item.shipped for item in items),
        ],
    )


_UPDATE: Final = """
UPDATE inventory_transfer SET status = %s, to_warehouse_id = %s, shipped_at = %s, closed_at = %s WHERE id = %s
"""

_UPDATE_ITEMS: Final = """
UPDATE inventory_transferline AS line SET source_level_id = t.source_level_id,
    destination_level_id = t.destination_level_id, quantity_shipped = t.shipped, quantity_received = t.received,
    quantity_returned = t.returned, quantity_lost = t.lost
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[])
    AS t (id, source_level_id, destination_level_id, shipped, received, returned, lost)
WHERE line.id = t.id
"""


def update(document: TransferDocument) -> None:
    """Update a transfer and its items: two statements. Requires the transfer's lock, and those of the levels whose
    units enter or leave transit."""
    write(
        _UPDATE,
        [str(document.status), document.destination.id, document.shipped_at, document.closed_at, document.id],
    )
    items: Sequence[TransferItem] = document.items
    write(
        _UPDATE_ITEMS,
        [
            columns.uuids(item.id for item in items),
            columns.uuids(item.source_level_id for item in items),
            columns.uuids(item.destination_level_id for item in items),
            columns.ints(item.shipped for item in items),
            columns.ints(item.received for item in items),
            columns.ints(item.returned for item in items),
            columns.ints(item.lost for item in items),
        ],
    )


_REWRITE: Final = """
UPDATE inventory_transfer SET from_warehouse_id = %s, to_warehouse_id = %s, reason = %s, reference = %s,
    expected_delivery = %s WHERE id = %s
"""


def rewrite(document: TransferDocument) -> None:
    """Replace a draft and its items: three statements. Requires its lock."""
    with connection.cursor() as cursor:
        # Not part of the composed statement: the new items may have the same products.
        cursor.execute("DELETE FROM inventory_transferline WHERE transfer_id = %s", [document.id])
    rewrite_details(document)
    _insert_items(document)


def rewrite_details(document: TransferDocument) -> None:
    """Replace the route and the details of a draft. Requires its lock."""
    write(
        _REWRITE,
        [
            document.source.id,
            document.destination.id,
            document.reason,
            document.reference,
            document.expected_delivery,
            document.id,
        ],
    )


_WRITE_ITEMS: Final = """
INSERT INTO inventory_transferline (id, transfer_id, product_id, quantity, quantity_shipped, quantity_received,
    quantity_returned, quantity_lost)
SELECT id, %s, product_id, quantity, 0, 0, 0, 0
FROM unnest(%s::uuid[], %s::uuid[], %s::int[]) AS t (id, product_id, quantity)
ON CONFLICT (transfer_id, product_id) DO UPDATE SET quantity = EXCLUDED.quantity
"""


def write_draft_items(transfer_id: UUID, written: Mapping[UUID, int], removed: Collection[UUID]) -> None:
    """Write units of some products of a draft, and delete the items of others. Requires the transfer's lock."""
    ids, products = columns.uuids(uuid7() for _ in written), columns.uuids(written)
    write(_WRITE_ITEMS, [transfer_id, ids, products, columns.ints(written.values())])
    if removed:
        delete = "DELETE FROM inventory_transferline WHERE transfer_id = %s AND product_id = ANY(%s)"
        write(delete, [transfer_id, columns.uuids(removed)])

"""The events of changed products, warehouses and stores, whose fields affect what may be sold without changing any
stock level."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET

from audit.events import OutboxRow
from audit.publishing import publish
from inventory.events import ProductChangedEvent, StoreChangedEvent, WarehouseChangedEvent
from inventory.locking import read_clock
from inventory.models import Product, Store, Warehouse


def publish_changed(row: Product | Warehouse | Store) -> None:
    """Publish a row's fields after a change. Requires an open transaction and the row's lock."""
    publish([_event(row)], now=read_clock())


def _event(row: Product | Warehouse | Store) -> OutboxRow:
    if isinstance(row, Warehouse):
        return WarehouseChangedEvent(warehouse_id=row.code, name=row.name, type=row.type, active=row.is_active).row()
    if isinstance(row, Store):
        codes: Sequence[str] = list(row.sources.order_by("priority").values_list("warehouse__code", flat=True))
        return StoreChangedEvent(store_id=row.code, name=row.name, warehouses=list(codes)).row()
    return product_changed(
        row.pk, row.parent_id, sku=row.sku, name=row.name, active=row.is_active, until=row.listing_expires_at
    )


def product_changed(
    product_id: UUID, parent_id: UUID | None, *, sku: str, name: str, active: bool, until: datetime | None
) -> OutboxRow:
    """The event of a product or variant with these fields."""
    return ProductChangedEvent(
        product_id=parent_id or product_id,
        variant_id=product_id if parent_id else UNSET,
        sku=sku,
        name=name,
        active=active,
        listing_expires_at=until,
    ).row()

"""Makes rows for tests through the services, so that stock, for example, comes in by a receipt."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from audit.actors import Actor
from audit.models import ApiClient, AuditEntry, OutboxEvent
from audit.roles import Role
from inventory.models import Product, StockLevel, Store, StoreWarehouse, Warehouse
from inventory.services.stock import known_levels
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.documents import Hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from reservations.services.holds.sourcing import RequestLine

_numbers = itertools.count(1)
ACTOR = Actor(name="tests", client_id=None, request_id="test-request", source="command")


def make_warehouse(code: str = "wh-001", **fields: Any) -> Warehouse:
    """Get or create the warehouse with this code."""
    return Warehouse.objects.get_or_create(code=code, defaults={"name": code, "type": "MAIN", **fields})[0]


def make_store(code: str = "main", *warehouses: str, is_default: bool = True, **fields: Any) -> Store:
    """A store that sells from these warehouses, the first preferred."""
    store = Store.objects.create(code=code, name=code, is_default=is_default, **fields)
    for priority, name in enumerate(warehouses or ("wh-001",), 1):
        StoreWarehouse.objects.create(store=store, warehouse=make_warehouse(name), priority=priority)
    return store


def make_product(**fields: Any) -> Product:
    """A product with a SKU of its own."""
    number = next(_numbers)
    return Product.objects.create(**{"sku": f"SKU-{number}", "name": f"Product {number}", **fields})


def receive(product: Product | UUID, quantity: int, warehouse: str = "wh-001") -> StockLevel:
    """Receive units. Returns their level."""
    product_id = product if isinstance(product, UUID) else product.id
    line = Adjustment(product_id, None, warehouse, quantity, "RECEIPT", "test stock")
    apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))
    return StockLevel.objects.get(product_id=product_id, warehouse__code=warehouse)


def make_level(quantity: int = 10, warehouse: str = "wh-001", **settings: Any) -> StockLevel:
    """A new product with units in a warehouse, and settings of its level."""
    make_warehouse(warehouse)
    level = receive(make_product(), quantity, warehouse)
    if settings:
        StockLevel.objects.filter(pk=level.pk).update(**settings)
        level.refresh_from_db()
    return level


def hold_request(*lines: tuple[StockLevel, int], **fields: Any) -> HoldRequest:
    """A request to hold units of levels, sourced; by default for a cart."""
    asked = tuple(RequestLine(level.product_id, None, quantity) for level, quantity in lines)
    return HoldRequest(**{"actor": ACTOR, "lines": asked, "cart_id": f"cart-{next(_numbers)}", **fields})


def hold(*lines: tuple[StockLevel, int], **fields: Any) -> Hold:
    """A hold of units of levels, also for an order that holds some already."""
    held = place_hold(hold_request(*lines, **{"additional": True, **fields}))
    assert isinstance(held, PlacedHold)
    return held.hold


def make_due(*ids: UUID, ago: timedelta = timedelta(seconds=1)) -> None:
    """Move the end of holds into the past: tests move rows, never clocks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        past = cursor.fetchone()[0] - ago
    with transaction.atomic():  # One transaction, so that concurrent readers never see half of the change.
        Reservation.objects.filter(id__in=ids).update(expires_at=past)
        ReservationItem.objects.filter(reservation__in=ids, held_until__isnull=False).update(held_until=past)
    known_levels.forget_all()


def make_variant(parent: Product, **fields: Any) -> Product:
    """A variant of a product."""
    return make_product(parent=parent, **fields)


def make_client(role: Role = Role.MANAGER, name: str = "", stores: tuple[str, ...] = ()) -> ApiClient:
    """An API client of this role."""
    return ApiClient.objects.create(name=name or f"client-{next(_numbers)}", role=role, store_codes=list(stores))


def lines(*wanted: tuple[StockLevel | Product, int], **fields: Any) -> list[dict[str, Any]]:
    """The lines of a body: units of levels or products, each with the same further fields."""
    ids = [(what.product_id if isinstance(what, StockLevel) else what.id, quantity) for what, quantity in wanted]
    return [{"productId": str(id_), "quantity": quantity, **fields} for id_, quantity in ids]


def published(kind: str) -> list[dict[str, Any]]:
    """The payloads of the outbox events of a type, in their order."""
    return list(OutboxEvent.objects.filter(type=kind).order_by("position").values_list("payload", flat=True))


def recorded(action: str) -> list[AuditEntry]:
    """The audit entries of an action, the oldest first."""
    return list(AuditEntry.objects.filter(action=action).order_by("at", "id"))


def counters(level: StockLevel) -> tuple[int, int]:
    """(on hand, reserved) as the database has them now."""
    level.refresh_from_db()
    return level.on_hand, level.reserved


def severities() -> list[str]:
    """The severities of the low-stock alerts that were published, in their order."""
    return [event["severity"] for event in published("LowStockAlertEvent")]


def status(held: Hold) -> str:
    """The status of a reservation as the database has it now."""
    return Reservation.objects.get(pk=held.id).status

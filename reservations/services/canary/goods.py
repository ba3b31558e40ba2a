"""The canary's hidden rows, and the documents of its runs. Only rows with the ids of ``audit.hidden`` are touched."""

from typing import Final

from django.db import connection, transaction

from audit import hidden
from audit.db.statements import has_written
from audit.models import ARCHIVING
from inventory import transactions
from inventory.locking import read_clock
from inventory.models import LedgerOpening, Product, StockLevel, Store, StoreWarehouse, Warehouse
from inventory.services.stock import known_levels

STOCK: Final = 10
"""The units on hand whenever no run is going on."""

_HOLDS: Final = """
SELECT id FROM reservations_reservation WHERE cart_id = %s AND store_id = %s ORDER BY id FOR UPDATE
"""
_LEVEL: Final = "SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE"
_RESET: Final = """
UPDATE inventory_stocklevel SET on_hand = %s, reserved = 0, version = version + 1
WHERE id = %s AND (on_hand <> %s OR reserved <> 0)
"""


def prepare() -> None:
    """Make the hidden rows, unless they exist. The ledger opens with ``STOCK`` units, so no movement is written."""
    if StockLevel.everything.filter(pk=hidden.LEVEL_ID).exists():
        return
    code = hidden.CODE
    with transaction.atomic():
        Product.everything.bulk_create([Product(id=hidden.PRODUCT_ID, sku=code, name="Canary")], ignore_conflicts=True)
        Warehouse.everything.bulk_create(
            [Warehouse(id=hidden.WAREHOUSE_ID, code=code, name="Canary", type=Warehouse.Type.DROPSHIP)],
            ignore_conflicts=True,
        )
        Store.everything.bulk_create([Store(id=hidden.STORE_ID, code=code, name="Canary")], ignore_conflicts=True)
        StoreWarehouse.objects.bulk_create(
            [StoreWarehouse(store_id=hidden.STORE_ID, warehouse_id=hidden.WAREHOUSE_ID, priority=1)],
            ignore_conflicts=True,
        )
        level = StockLevel(
            id=hidden.LEVEL_ID, product_id=hidden.PRODUCT_ID, warehouse_id=hidden.WAREHOUSE_ID, on_hand=STOCK
        )
        StockLevel.everything.bulk_create([level], ignore_conflicts=True)
        opening = LedgerOpening(level_id=hidden.LEVEL_ID, as_of=read_clock(), on_hand=STOCK)
        LedgerOpening.objects.bulk_create([opening], ignore_conflicts=True)


def counters() -> tuple[int, int] | None:
    """(on hand, reserved) of the hidden level; None if there is none."""
    found: tuple[int, int] | None = (
        StockLevel.everything.filter(pk=hidden.LEVEL_ID).values_list("on_hand", "reserved").first()
    )
    return found


def clean() -> None:
    """Delete the documents of all runs, and put the hidden level back to ``STOCK``, in one transaction.

    Movements and audit entries are append-only for everything else (``audit.models.append_only``). Raises Busy. Locks:
    the canary's holds, then its level.
    """
    transactions.run(_clean, pipelined=False)


def _clean() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL {ARCHIVING} = 'on'")
        cursor.execute(_HOLDS, [hidden.CODE, hidden.STORE_ID])
        holds = [row[0] for row in cursor.fetchall()]
        cursor.execute(_LEVEL, [hidden.LEVEL_ID])
        known_levels.forget([hidden.LEVEL_ID])
        cursor.execute("DELETE FROM reservations_reservationitem WHERE reservation_id = ANY(%s)", [holds])
        cursor.execute("DELETE FROM reservations_reservation WHERE id = ANY(%s)", [holds])
        cursor.execute("DELETE FROM inventory_movement WHERE level_id = %s", [hidden.LEVEL_ID])
        cursor.execute("DELETE FROM audit_auditentry WHERE subject_id = ANY(%s)", [[*holds, hidden.LEVEL_ID]])
        cursor.execute(_RESET, [STOCK, hidden.LEVEL_ID, STOCK])
        has_written.set(True)

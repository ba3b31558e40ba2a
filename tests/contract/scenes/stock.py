"""Scenes of stock: adjustments, levels, movements, low stock, alerts and reconciliation."""

from typing import Any, Final

from django.utils import timezone

from inventory.models import LowStockAlert, ReconciliationFinding, ReconciliationRun
from tests.contract.scenes.stage import FAR, TENT, UNKNOWN, Asked, Stage, scene

LEVEL: Final = {"productId": str(TENT), "warehouseId": "wh-001"}
MOST: Final = 2_000_000_000


def _line(quantity: int = 10, kind: str = "RECEIPT", **fields: Any) -> dict[str, Any]:
    """An adjustment."""
    reason = "New shipment received" if kind == "RECEIPT" else "Found broken"
    return {**LEVEL, "quantity": quantity, "type": kind, "reason": reason, **fields}


def _asked(*lines: dict[str, Any]) -> Asked:
    return Asked({"adjustments": list(lines)})


@scene("adjust", "200")
def _(stage: Stage) -> Asked:
    stage.stock(20)
    return _asked(_line(reference="PO-12345"))


@scene("adjust", "insufficient_stock")
def _(stage: Stage) -> Asked:
    stage.stock(5)
    return _asked(_line(-8, "ADJUSTMENT"))


@scene("adjust", "more_than_sold")
def _(stage: Stage) -> Asked:
    held = stage.hold(2)
    stage.done("POST", "consume", {"orderId": "order-1001", "reservationId": held.public_id})
    return _asked(_line(3, "RETURN", orderId="order-1001"))


@scene("adjust", "quantity_limit")
def _(stage: Stage) -> Asked:
    stage.stock(1, on_hand=MOST - 5)
    return _asked(_line(10))


@scene("adjust", "reserved_unexplained")
def _(stage: Stage) -> Asked:
    stage.stock(10, reserved=9)
    return _asked(_line(-5, "ADJUSTMENT", force=True))


@scene("adjust", "unknown_product")
def _(stage: Stage) -> Asked:
    return _asked(_line(productId=str(UNKNOWN)))


@scene("adjust", "unknown_warehouse")
def _(stage: Stage) -> Asked:
    return _asked(_line(warehouseId="nowhere"))


@scene("adjust", "version_conflict")
def _(stage: Stage) -> Asked:
    level = stage.stock(10)
    return _asked(_line(expectedVersion=level.version + 1))


@scene("adjust", "warehouse_inactive")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    stage.close("wh-001")
    return _asked(_line())


# ------------------------------------------------------------------------------------------------------------- reads


@scene("readProductLevels", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2, stage.stock(10, reorder_point=5, zone="A", aisle="12", shelf="B3"))
    stage.stock(25, "wh-002")
    return Asked(names={"productId": str(TENT)})


@scene("listLevels", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked(query="warehouseId=wh-001")


for _operation in ("listAlerts", "listLevels", "listLowStock", "listProducts", "listReservations"):

    @scene(_operation, "unknown_store")
    def _(stage: Stage) -> Asked:
        return Asked(query="storeId=nowhere")


_BY_WAREHOUSE: Final = (
    "explain",
    "listAlerts",
    "listCounts",
    "listIncidents",
    "listLevels",
    "listLowStock",
    "listMovements",
    "readProductLevels",
)
for _operation in _BY_WAREHOUSE:

    @scene(_operation, "unknown_warehouse")
    def _(stage: Stage) -> Asked:
        return Asked(names={"productId": str(TENT)}, query="warehouseId=nowhere")


@scene("listTransfers", "unknown_warehouse")
def _(stage: Stage) -> Asked:
    return Asked(query="fromWarehouseId=nowhere")


@scene("readLevel", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10, reorder_point=5, reorder_quantity=20)
    return Asked(names=LEVEL)


@scene("changeLevelSettings", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({"reorderPoint": 5, "reorderQuantity": 20, "location": {"zone": "A", "aisle": "12"}}, LEVEL)


@scene("listMovements", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked(query=f"productId={TENT}&type=RECEIPT")


@scene("readReconciliation", "200")
def _(stage: Stage) -> Asked:
    now = timezone.now()
    level = stage.stock(10)
    run = ReconciliationRun.objects.create(
        started_at=now, finished_at=now, scope="everything", actor="reconcile", levels_checked=1, finding_count=1
    )
    ReconciliationFinding.objects.create(
        run=run, kind="ON_HAND", subject_id=level.pk, level=level, expected=9, actual=10, detail="on hand is 10"
    )
    return Asked()


# ---------------------------------------------------------------------------------------------------------- low stock


@scene("listLowStock", "200")
def _(stage: Stage) -> Asked:
    stage.stock(3, reorder_point=10, reorder_quantity=40)
    return Asked(query="warehouseId=wh-001")


def _alert(stage: Stage, *, resolved: bool = False) -> dict[str, str]:
    """A new alert, as the name in the path."""
    level = stage.stock(3, reorder_point=10)
    now = timezone.now()
    alert = LowStockAlert.objects.create(
        level=level, severity="LOW", available=3, reorder_point=10, opened_at=now, resolved_at=now if resolved else None
    )
    return {"alertId": alert.public_id}


@scene("listAlerts", "200")
def _(stage: Stage) -> Asked:
    _alert(stage)
    return Asked(query="state=OPEN")


@scene("acknowledgeAlert", "200")
def _(stage: Stage) -> Asked:
    return Asked({"note": "ordered"}, _alert(stage))


@scene("snoozeAlert", "200")
def _(stage: Stage) -> Asked:
    return Asked({"until": FAR, "note": "arrives next year"}, _alert(stage))


@scene("acknowledgeAlert", "alert_resolved")
def _(stage: Stage) -> Asked:
    return Asked({"note": "ordered"}, _alert(stage, resolved=True))


@scene("snoozeAlert", "alert_resolved")
def _(stage: Stage) -> Asked:
    return Asked({"until": FAR}, _alert(stage, resolved=True))

"""Scenes of counts and of the incidents that they cause."""

from typing import Any, Final

from inventory.models import StockLevel
from inventory.services.counts import opening
from reservations.models import ShortageIncident
from tests.contract.scenes.stage import STOVE, TENT, UNKNOWN, Asked, Stage, scene
from tests.contract.scenes.stock import MOST

_ALL: Final = {"warehouseId": "wh-001", "scope": "ALL"}
_PRODUCTS: Final = {"warehouseId": "wh-001", "scope": "PRODUCTS", "products": [{"productId": str(TENT)}]}


def _opened(stage: Stage, quantity: int = 10, **fields: Any) -> dict[str, str]:
    """A new count of the main warehouse, as the name in the path."""
    if not StockLevel.objects.exists():
        stage.stock(quantity)
    return {"countId": stage.done("POST", "counts", {**_ALL, **fields})["countId"]}


def _counted(stage: Stage, counted: int, **fields: Any) -> dict[str, str]:
    """A count in which so many tents were counted."""
    names = _opened(stage, **fields)
    _enter(stage, names, counted)
    return names


def _enter(stage: Stage, names: dict[str, str], counted: int) -> None:
    stage.done("PUT", f"counts/{names['countId']}/lines", {"lines": [_line(counted)]})


def _line(counted: int, product: Any = TENT) -> dict[str, Any]:
    return {"productId": str(product), "counted": counted}


def _cancelled(stage: Stage) -> dict[str, str]:
    names = _counted(stage, 10)
    stage.done("POST", f"counts/{names['countId']}/cancel")
    return names


@scene("openCount", "201")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({**_ALL, "note": "year end"})


@scene("openCount", "already_in_count")
def _(stage: Stage) -> Asked:
    _opened(stage)
    return Asked(_PRODUCTS)


@scene("openCount", "nothing_to_count")
def _(stage: Stage) -> Asked:
    return Asked(_ALL)


@scene("openCount", "count_too_large")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    stage.stock(10, product=STOVE)
    stage.patch.setattr(opening, "MOST_LINES", 1)
    return Asked(_ALL)


@scene("openCount", "unknown_product")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({**_PRODUCTS, "products": [{"productId": str(UNKNOWN)}]})


@scene("openCount", "unknown_warehouse")
def _(stage: Stage) -> Asked:
    return Asked({**_ALL, "warehouseId": "nowhere"})


@scene("listCounts", "200")
def _(stage: Stage) -> Asked:
    _opened(stage)
    return Asked(query="status=OPEN")


@scene("readCount", "200")
def _(stage: Stage) -> Asked:
    return Asked(names=_counted(stage, 9))


@scene("previewCount", "200")
def _(stage: Stage) -> Asked:
    stage.hold(4)
    return Asked(names=_counted(stage, 3))


@scene("enterCounts", "200")
def _(stage: Stage) -> Asked:
    return Asked({"lines": [_line(9)]}, _opened(stage))


@scene("enterCounts", "count_closed")
def _(stage: Stage) -> Asked:
    return Asked({"lines": [_line(9)]}, _cancelled(stage))


@scene("enterCounts", "product_not_in_count")
def _(stage: Stage) -> Asked:
    return Asked({"lines": [_line(9, STOVE)]}, _opened(stage))


@scene("enterCounts", "quantity_limit")
def _(stage: Stage) -> Asked:
    return Asked({"lines": [_line(MOST), _line(1)]}, _opened(stage))


@scene("postCount", "200")
def _(stage: Stage) -> Asked:
    return Asked({}, _counted(stage, 9))


@scene("postCount", "count_below_zero")
def _(stage: Stage) -> Asked:
    names = _counted(stage, 2)
    lines = [{"productId": str(TENT), "warehouseId": "wh-001", "quantity": 5, "type": "SHIPMENT", "reason": "sold"}]
    stage.done("PUT", "adjust", {"adjustments": lines})
    return Asked({}, names)


@scene("postCount", "count_closed")
@scene("cancelCount", "count_closed")
def _(stage: Stage) -> Asked:
    return Asked({}, _cancelled(stage))


@scene("postCount", "count_incomplete")
def _(stage: Stage) -> Asked:
    return Asked({}, _opened(stage))


@scene("postCount", "hold_not_in_the_way")
def _(stage: Stage) -> Asked:
    stage.hold(4)
    elsewhere = stage.hold(1, stage.stock(5, product=STOVE), cart_id="cart-2")
    names = _counted(stage, 3)
    return Asked({"skipUncounted": True, "breakReservations": [elsewhere.public_id]}, names)


@scene("postCount", "reservation_not_found")
def _(stage: Stage) -> Asked:
    stage.hold(4)
    return Asked({"breakReservations": [f"res-{UNKNOWN}"]}, _counted(stage, 3))


@scene("postCount", "reserved_unexplained")
def _(stage: Stage) -> Asked:
    stage.stock(10, reserved=9)
    return Asked({}, _counted(stage, 3))


@scene("postCount", "quantity_limit")
def _(stage: Stage) -> Asked:
    names = _counted(stage, 20)
    StockLevel.objects.update(on_hand=MOST)
    return Asked({}, names)


@scene("cancelCount", "200")
def _(stage: Stage) -> Asked:
    return Asked({"reason": "counted the wrong zone"}, _opened(stage))


# ---------------------------------------------------------------------------------------------------------- incidents


def _incident(stage: Stage) -> dict[str, str]:
    """An incident: a count has broken a hold."""
    stage.hold(4)
    names = _counted(stage, 3)
    stage.done("POST", f"counts/{names['countId']}/post")
    return {"incidentId": ShortageIncident.objects.get().public_id}


@scene("listIncidents", "200")
def _(stage: Stage) -> Asked:
    _incident(stage)
    return Asked(query="status=OPEN")


@scene("readIncident", "200")
def _(stage: Stage) -> Asked:
    return Asked(names=_incident(stage))


_RESOLUTION: Final = {"resolution": "the shopper got a voucher"}


@scene("resolveIncident", "200")
def _(stage: Stage) -> Asked:
    return Asked(_RESOLUTION, _incident(stage))


@scene("resolveIncident", "incident_resolved")
def _(stage: Stage) -> Asked:
    names = _incident(stage)
    stage.done("POST", f"incidents/{names['incidentId']}/resolve", _RESOLUTION)
    return Asked(_RESOLUTION, names)

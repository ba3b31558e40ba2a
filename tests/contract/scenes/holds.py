"""Scenes of holds: availability, reserve, extend, release, consume, carts and reservations."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from inventory.models import LedgerOpening, Product
from inventory.services.catalogue import freezing
from tests.contract.scenes.stage import TENT, UNKNOWN, Asked, Stage, item, scene
from tests.factories import ACTOR, make_due, make_warehouse

ORDER: Final = "order-1001"
CART: Final = {"cartId": "cart-1"}


@scene("checkAvailability", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({"items": [item(2), item(1, UNKNOWN)]})


@scene("checkAvailability", "unknown_store")
def _(stage: Stage) -> Asked:
    return Asked({"items": [item()], "storeId": "nowhere"})


# ------------------------------------------------------------------------------------------------ what isn't held


def _inactive(stage: Stage) -> None:
    Product.objects.filter(pk=TENT).update(is_active=False)


def _ended(stage: Stage) -> None:
    Product.objects.filter(pk=TENT).update(listing_expires_at="2020-01-01T00:00:00Z")


def _freeze(subject: freezing.Subject) -> Callable[[Stage], None]:
    def freeze(stage: Stage) -> None:
        freezing.freeze(ACTOR, subject, reason="recall of batch 7")

    return freeze


def _closed(stage: Stage) -> None:
    stage.close("wh-001")


def _limit(stage: Stage) -> None:
    Product.objects.filter(pk=TENT).update(max_units_per_customer=1)


def _elsewhere(stage: Stage) -> None:
    make_warehouse("wh-003")


NOT_SOLD: Final[dict[str, Callable[[Stage], None]]] = {
    "product_inactive": _inactive,
    "listing_expired": _ended,
    "product_frozen": _freeze(freezing.product(TENT)),
    "warehouse_frozen": _freeze(freezing.warehouse("wh-001")),
    "store_frozen": _freeze(freezing.store("main")),
    "warehouse_inactive": _closed,
    "hold_limit_exceeded": _limit,
    "warehouse_not_in_store": _elsewhere,
}
"""What makes a hold of tents from ``wh-001`` impossible, by the code."""

_CHANGED: Final[dict[str, dict[str, Any]]] = {
    "insufficient_stock": {"items": [item(20, warehouseId="wh-001")]},
    "unknown_product": {"items": [item(2, UNKNOWN)]},
    "unknown_store": {"storeId": "nowhere"},
    "unknown_warehouse": {"items": [item(2, warehouseId="nowhere")]},
    "timeout_too_long": {"timeoutMinutes": 600},
    "warehouse_not_in_store": {"items": [item(2, warehouseId="wh-003")]},
}
"""What a request asks for, by the code that refuses it."""


def _hold_scenes(operation: str, names: dict[str, str], body: dict[str, Any]) -> None:
    """The refusals of an operation that holds."""
    for code in {**NOT_SOLD, **_CHANGED}:

        def refused(stage: Stage, code: str = code) -> Asked:
            stage.stock(10)
            NOT_SOLD.get(code, lambda _: None)(stage)
            return Asked({**body, "items": [item(2, warehouseId="wh-001")], **_CHANGED.get(code, {})}, names)

        scene(operation, code)(refused)


_hold_scenes("reserve", {}, {"orderId": ORDER, "customerId": "customer-7"})
_hold_scenes("putCart", CART, {"customerId": "customer-7"})


@scene("reserve", "201")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({"orderId": ORDER, "customerId": "customer-7", "items": [item(2)], "timeoutMinutes": 15})


@scene("reserve", "order_already_held")
def _(stage: Stage) -> Asked:
    stage.hold(2, cart_id=None, order_id=ORDER)
    return Asked({"orderId": ORDER, "items": [item(2)]})


@scene("reserve", "200")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({"orderId": ORDER, "items": [item(2)]}, query="dryRun=true")


@scene("putCart", "201")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({"items": [item(2)], "customerId": "customer-7"}, CART)


@scene("putCart", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2)
    return Asked({"items": [item(3)]}, CART)


@scene("readCart", "200")
@scene("deleteCart", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2)
    return Asked(names=CART)


@scene("readCart", "reservation_not_found")
@scene("deleteCart", "reservation_not_found")
def _(stage: Stage) -> Asked:
    return Asked(names={"cartId": "cart-404"})


@scene("deleteCart", "reservation_consumed")
def _(stage: Stage) -> Asked:
    _sold(stage)
    return Asked(names=CART)


# -------------------------------------------------------------------------------------------- extend, release, consume


def _sold(stage: Stage) -> str:
    held = stage.hold(2)
    stage.done("POST", "consume", {"orderId": ORDER, "reservationId": held.public_id})
    return held.public_id


def _released(stage: Stage) -> str:
    held = stage.hold(2)
    stage.done("POST", "release", {"reservationId": held.public_id})
    return held.public_id


def _due(stage: Stage) -> str:
    held = stage.hold(2)
    make_due(held.id, ago=timedelta(minutes=2))
    return held.public_id


def _extended(stage: Stage) -> str:
    held = stage.hold(2)
    stage.done("POST", "extend", {"reservationId": held.public_id})
    return held.public_id


def _unknown(stage: Stage) -> str:
    return f"res-{UNKNOWN}"


def _held(stage: Stage) -> str:
    return stage.hold(2).public_id


def _of_another(stage: Stage) -> str:
    return stage.hold(2, order_id="order-1000").public_id


def _scenes_of_one(operation: str, body: dict[str, Any], makers: dict[str, Callable[[Stage], str]]) -> None:
    """Scenes of an operation on one reservation, by what makes it."""
    for answer, make in makers.items():

        def asks(stage: Stage, make: Callable[[Stage], str] = make) -> Asked:
            return Asked({"reservationId": make(stage), **body})

        scene(operation, answer)(asks)


_scenes_of_one(
    "extend",
    {"minutes": 10},
    {
        "200": _held,
        "already_extended": _extended,
        "reservation_consumed": _sold,
        "reservation_expired": _due,
        "reservation_released": _released,
        "reservation_not_found": _unknown,
    },
)
_scenes_of_one(
    "release",
    {"reason": "the shopper changed their mind"},
    {"200": _held, "reservation_consumed": _sold, "reservation_not_found": _unknown},
)
_scenes_of_one(
    "consume",
    {"orderId": "order-1002"},
    {
        "200": _held,
        "reservation_consumed": _sold,
        "reservation_expired": _due,
        "reservation_released": _released,
        "reservation_not_found": _unknown,
        "reserved_for_another_order": _of_another,
    },
)


@scene("consume", "insufficient_stock")
def _(stage: Stage) -> Asked:
    level = stage.stock(2)
    held = stage.hold(2, level)
    make_due(held.id, ago=timedelta(minutes=2))
    stage.hold(2, level, cart_id="cart-2")
    return Asked({"reservationId": held.public_id, "orderId": ORDER, "reacquire": True})


def _late(stage: Stage) -> str:
    """A hold of tents from ``wh-001`` and no other warehouse that has expired."""
    stage.stock(10)
    body = {"cartId": "cart-1", "items": [item(2, warehouseId="wh-001")]}
    public_id = str(stage.done("POST", "reserve", body)["reservationId"])
    make_due(UUID(public_id.removeprefix("res-")), ago=timedelta(minutes=2))
    return public_id


for _code in (
    "listing_expired",
    "product_frozen",
    "product_inactive",
    "store_frozen",
    "warehouse_frozen",
    "warehouse_inactive",
):

    @scene("consume", _code)
    def _(stage: Stage, code: str = _code) -> Asked:
        late = _late(stage)
        NOT_SOLD[code](stage)
        return Asked({"reservationId": late, "orderId": ORDER, "reacquire": True})


@scene("readReservation", "200")
def _(stage: Stage) -> Asked:
    return Asked(names={"reservationId": stage.hold(2, order_id=ORDER).public_id})


@scene("readReservation", "reservation_not_found")
def _(stage: Stage) -> Asked:
    return Asked(names={"reservationId": f"res-{UNKNOWN}"})


@scene("listReservations", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2)
    return Asked(query="cartId=cart-1")


@scene("explain", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2)
    return Asked(names={"productId": str(TENT)})


@scene("explain", "archived")
def _(stage: Stage) -> Asked:
    level = stage.stock(10)
    LedgerOpening.objects.create(level=level, on_hand=10, as_of=timezone.now())
    return Asked(names={"productId": str(TENT)}, query="at=2020-01-01T00:00:00Z")

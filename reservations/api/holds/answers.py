"""Make the answers of the routes of holds from the results of services."""

from datetime import datetime
from functools import cache
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET

from audit.api.http import rendered
from audit.idempotency import StoredAnswer
from audit.identifiers import RESERVATION, public_id
from reservations.api.holds import contract
from reservations.api.holds.contract import HeldOut, ItemOut, ReservationOut
from reservations.services.holds.basket_batch import Emptied
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.extending import Extended
from reservations.services.holds.placing import PlacedHold
from reservations.services.holds.reading import CartRead
from reservations.services.holds.resolution import Resolved

R = TypeVar("R", bound=msgspec.Struct)


def _item(item: HeldItem) -> ItemOut:
    return ItemOut(
        product_id=item.product_id,
        variant_id=item.variant_id or UNSET,
        quantity=item.quantity,
        warehouse_id=item.warehouse,
        unit_price=UNSET if item.unit_price is None else item.unit_price,
    )


def _items(hold: Hold, done: str | None = None) -> list[ItemOut]:
    """The items of a hold, with the flag ``done`` set for what a command did with them."""
    items = [_item(item) for item in hold.items]
    if done:
        for item in items:
            setattr(item, done, True)
    return items


def _seconds_left(hold: Hold, now: datetime) -> int:
    return max(0, int((hold.expires_at - now).total_seconds())) if hold.status == Status.ACTIVE else 0


def _held(hold: Hold, now: datetime, status: Literal["RESERVED", "EXTENDED"]) -> HeldOut:
    return HeldOut(
        reservation_id=hold.public_id,
        store_id=hold.store,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        customer_id=hold.customer_id,
        status=status,
        items=_items(hold, "reserved"),
        expires_at=hold.expires_at,
        expires_in_seconds=_seconds_left(hold, now),
        created_at=hold.created_at,
    )


def reserved(held: PlacedHold) -> StoredAnswer:
    """The answer to a reserve."""
    return rendered(_held(held.hold, held.now, "RESERVED"), 201)


def planned(held: PlacedHold) -> StoredAnswer:
    """The answer to a dry run."""
    plan = contract.PlanOut(
        dry_run=True,
        store_id=held.hold.store,
        status="RESERVABLE",
        items=_items(held.hold),
        expires_at=held.hold.expires_at,
        expires_in_seconds=_seconds_left(held.hold, held.now),
    )
    return rendered(plan)


def put(basket: PlacedHold | Emptied) -> StoredAnswer:
    """The answer to a basket that was put."""
    if isinstance(basket, Emptied):
        empty = contract.CartResult(cart_id=basket.cart_id, store_id=basket.store, status="RELEASED", items=[])
        return rendered(empty)
    hold = basket.hold
    filled = contract.CartResult(
        cart_id=hold.cart_id or "",
        store_id=hold.store,
        status="RESERVED",
        items=_items(hold, "reserved"),
        reservation_id=hold.public_id,
        order_id=hold.order_id,
        customer_id=hold.customer_id,
        expires_at=hold.expires_at,
        expires_in_seconds=_seconds_left(hold, basket.now),
        created_at=hold.created_at,
    )
    return rendered(filled, 201 if basket.is_new else 200)


def extended(result: Extended) -> StoredAnswer:
    """The answer to an extend by cart or order."""
    return rendered(contract.ExtendResult(status="EXTENDED", reservations=_extended(result)))


def extended_one(result: Extended) -> StoredAnswer:
    """The answer to an extend of a reservation."""
    (one,) = _extended(result)
    return rendered(_beside(contract.ExtendResult(status="EXTENDED", reservations=[one]), one))


def _extended(result: Extended) -> list[HeldOut]:
    return [_held(hold, result.now, "EXTENDED") for hold in result.holds]


def _released(hold: Hold) -> contract.ReleasedReservation:
    return contract.ReleasedReservation(
        reservation_id=hold.public_id,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        status="EXPIRED" if hold.status == Status.EXPIRED else "RELEASED",
        items=_items(hold, "released"),
        reason=hold.reason,
        released_at=hold.released_at,
    )


def released(resolved: Resolved) -> StoredAnswer:
    """The answer to a release by cart or order."""
    reservations = [_released(hold) for hold in resolved.holds]
    return rendered(contract.ReleaseResult(status="RELEASED", reservations=reservations))


def released_one(resolved: Resolved) -> StoredAnswer:
    """The answer to a release of a reservation."""
    one = _released(resolved.holds[0])
    return rendered(_beside(contract.ReleaseResult(status=one.status, reservations=[one]), one))


def _consumed(hold: Hold) -> contract.ConsumedReservation:
    return contract.ConsumedReservation(
        reservation_id=hold.public_id,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        status="CONSUMED",
        items=_items(hold, "consumed"),
        consumed_at=hold.consumed_at,
        reacquired_from=public_id(RESERVATION, hold.reacquired_from) if hold.reacquired_from else UNSET,
    )


def consumed(resolved: Resolved) -> StoredAnswer:
    """The answer to a consume by cart or order."""
    reservations = [_consumed(hold) for hold in resolved.holds]
    order_id = resolved.holds[0].order_id or ""
    return rendered(contract.ConsumeResult(status="CONSUMED", order_id=order_id, reservations=reservations))


def consumed_one(resolved: Resolved) -> StoredAnswer:
    """The answer to a consume of a reservation."""
    one = _consumed(resolved.holds[0])
    answer = contract.ConsumeResult(status="CONSUMED", order_id=one.order_id or "", reservations=[one])
    return rendered(_beside(answer, one))


def read(hold: Hold, now: datetime) -> ReservationOut:
    """A reservation that is read."""
    return ReservationOut(
        reservation_id=hold.public_id,
        store_id=hold.store,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        customer_id=hold.customer_id,
        status="EXPIRED" if hold.is_due(now) else hold.status,  # type: ignore[arg-type]
        items=_items(hold),
        created_at=hold.created_at,
        expires_at=hold.expires_at,
        expires_in_seconds=_seconds_left(hold, now),
        extended_at=hold.extended_at,
        consumed_at=hold.consumed_at,
        released_at=hold.released_at,
        updated_at=hold.updated_at(now),
        reason=hold.reason,
        reacquired_from=public_id(RESERVATION, hold.reacquired_from) if hold.reacquired_from else UNSET,
    )


def cart(found: CartRead) -> StoredAnswer:
    """A cart that is read, with its active reservations."""
    reservations = [read(hold, found.now) for hold in found.holds]
    answer = contract.Cart(cart_id=found.cart_id, status="ACTIVE", reservations=reservations)
    return rendered(_beside(answer, reservations[0]) if len(reservations) == 1 else answer)


def _beside(answer: R, one: msgspec.Struct) -> R:
    """The answer, with the fields of its only reservation beside the list."""
    for name in _shared_fields(type(answer), type(one)):
        setattr(answer, name, getattr(one, name))
    return answer


@cache
def _shared_fields(answer: type[msgspec.Struct], one: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that an answer has of a reservation. The status of an answer is its own."""
    return tuple(name for name in answer.__struct_fields__ if name in one.__struct_fields__ and name != "status")

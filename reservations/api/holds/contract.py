"""Request and response bodies of the routes of holds."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery, Quantity, ReservationId, exactly_one
from audit.api.decimals import Money
from audit.api.texts import OpaqueId, Text
from audit.errors import Fault, Invalid

Minutes = Annotated[int, Meta(ge=1, description="Minutes; above the maximum the answer is 422 timeout_too_long.")]
Lines = Annotated[list["LineIn"], Meta(min_length=1, max_length=200)]
ReservationStatus = Literal["ACTIVE", "CONSUMED", "EXPIRED", "RELEASED"]


class LineIn(Body, kw_only=True):
    """A line to hold. Without a warehouse, the service chooses one or more."""

    product_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    warehouse_id: Code | None = None
    unit_price: Money | None = None


class ReserveIn(Body, kw_only=True):
    """Hold all lines or none, for a cart, an order, or both."""

    items: Lines
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    customer_id: OpaqueId | None = None
    store_id: Code | None = None
    timeout_minutes: Minutes | None = None
    additional: Annotated[
        bool,
        Meta(
            description="Hold these lines in addition to what the order holds. Without it, a reserve for an order with "
            "an active reservation in the store is refused: 409 `order_already_held`."
        ),
    ] = False

    def contradictions(self) -> list[Fault]:
        if self.cart_id is None and self.order_id is None:
            detail = "Neither `cartId` nor `orderId` is given. Send one of them, or both."
            return [Fault("/cartId", Invalid.code, detail)]
        return []


class ReserveQuery(Body, kw_only=True):
    """The query of a reserve."""

    dry_run: bool = False


class BasketIn(Body, kw_only=True):
    """Make the cart's reservation equal to this basket. Without items, what the cart holds in the store is released."""

    items: Annotated[list[LineIn], Meta(max_length=200)]
    customer_id: OpaqueId | None = None
    store_id: Code | None = None
    timeout_minutes: Minutes | None = None


class ExtendIn(Body, kw_only=True):
    """Extend one reservation, or all active ones of a cart or of an order; possible once for each. Exactly one of the
    three is given."""

    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    minutes: Annotated[int, Meta(ge=1, le=15)] = 15

    def contradictions(self) -> list[Fault]:
        given = {"reservationId": self.reservation_id, "cartId": self.cart_id, "orderId": self.order_id}
        return exactly_one(given)


class ReleaseIn(Body, kw_only=True):
    """Release one reservation, or all of a cart or of an order. Exactly one of the three is given."""

    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    reason: Text = ""

    def contradictions(self) -> list[Fault]:
        given = {"reservationId": self.reservation_id, "cartId": self.cart_id, "orderId": self.order_id}
        return exactly_one(given)


class ConsumeIn(Body, kw_only=True):
    """Consume reservations as the sale of an order: one reservation, all of a cart, or, with neither given, all that
    were made for the order."""

    order_id: OpaqueId
    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    reacquire: bool = False

    def contradictions(self) -> list[Fault]:
        if self.reservation_id is None or self.cart_id is None:
            return []
        detail = "Both `reservationId` and `cartId` are given. Send one of them, or neither for all of the order."
        return [Fault("/reservationId", Invalid.code, detail), Fault("/cartId", Invalid.code, detail)]


class CartQuery(Body, kw_only=True):
    """The query of a cart."""

    store_id: Annotated[Code, Meta(description="Only what is held in this store.")] | None = None


class ReservationsQuery(PageQuery, kw_only=True):
    """The filters of the list of reservations."""

    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    customer_id: OpaqueId | None = None
    status: ReservationStatus | None = None
    product_id: UUID | None = None
    variant_id: UUID | None = None


class ItemOut(Answer, kw_only=True):
    """Units of a product in one warehouse. The answer to a command sets the flag for what was done with them."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    quantity: int
    warehouse_id: str
    unit_price: Decimal | UnsetType = UNSET
    reserved: bool | UnsetType = UNSET
    released: bool | UnsetType = UNSET
    consumed: bool | UnsetType = UNSET


class HeldOut(Answer, kw_only=True):
    """A reservation that was made or changed."""

    reservation_id: str
    store_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    status: Literal["RESERVED", "EXTENDED"]
    items: list[ItemOut]
    expires_at: datetime
    expires_in_seconds: int
    created_at: datetime


class PlanOut(Answer, kw_only=True):
    """The reservation that a reserve would make now. Nothing was written."""

    dry_run: bool
    store_id: str
    status: Literal["RESERVABLE"]
    items: list[ItemOut]
    expires_at: datetime
    expires_in_seconds: int


class ExtendResult(Answer, kw_only=True):
    """The reservations that were extended. If the request named one, its fields stand beside the list."""

    status: Literal["EXTENDED"]
    reservations: list[HeldOut]
    reservation_id: str | UnsetType = UNSET
    store_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    items: list[ItemOut] | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET


class CartResult(Answer, kw_only=True):
    """The basket of a cart in one store. If it is empty, the status is RELEASED, and the fields of a reservation are
    left out."""

    cart_id: str
    store_id: str
    status: Literal["RESERVED", "RELEASED"]
    items: list[ItemOut]
    reservation_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET


class ReleasedReservation(Answer, kw_only=True):
    """A reservation that was released, or had ended before."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    status: Literal["RELEASED", "EXPIRED"]
    items: list[ItemOut]
    reason: str
    released_at: datetime | None


class ReleaseResult(Answer, kw_only=True):
    """The reservations that were released. If the request named one, its fields stand beside the list, and its status
    is EXPIRED if it had expired before. Of a cart or order, those are listed that were released now."""

    status: Literal["RELEASED", "EXPIRED"]
    reservations: list[ReleasedReservation]
    reservation_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    items: list[ItemOut] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    released_at: datetime | None | UnsetType = UNSET


class ConsumedReservation(Answer, kw_only=True):
    """A reservation that was consumed. ``reacquiredFrom`` is the expired reservation that this one replaced."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    status: Literal["CONSUMED"]
    items: list[ItemOut]
    consumed_at: datetime | None
    reacquired_from: str | UnsetType = UNSET


class ConsumeResult(Answer, kw_only=True):
    """All reservations that were consumed as the sale of an order. If the request named one, its fields stand beside
    the list."""

    status: Literal["CONSUMED"]
    order_id: str
    reservations: list[ConsumedReservation]
    reservation_id: str | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    items: list[ItemOut] | UnsetType = UNSET
    consumed_at: datetime | None | UnsetType = UNSET
    reacquired_from: str | UnsetType = UNSET


class ReservationOut(Answer, kw_only=True):
    """The current state of a reservation. The status of a due one is EXPIRED."""

    reservation_id: str
    store_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    status: ReservationStatus
    items: list[ItemOut]
    created_at: datetime
    expires_at: datetime
    expires_in_seconds: int
    extended_at: datetime | None
    consumed_at: datetime | None
    released_at: datetime | None
    reason: str
    reacquired_from: str | UnsetType = UNSET


class Cart(Answer, kw_only=True):
    """The active reservations of a cart, the oldest first. If there is just one, its fields stand beside the list."""

    cart_id: str
    status: Literal["ACTIVE"]
    reservations: list[ReservationOut]
    reservation_id: str | UnsetType = UNSET
    store_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    items: list[ItemOut] | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    extended_at: datetime | None | UnsetType = UNSET


class ReservationPageOut(Answer, kw_only=True):
    """A page of reservations, the newest first."""

    items: list[ReservationOut]
    next: str | None

"""Request and response bodies of the routes of holds."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery, Quantity, ReservationId, Time, exactly_one
from audit.api.decimals import Money
from audit.api.syncing import IdList, UpdatedSince
from audit.api.texts import OpaqueId, Text
from audit.errors import Fault, Invalid
from audit.identifiers import RESERVATION

if TYPE_CHECKING:
    ReservationIds = tuple[UUID, ...]
else:

    class ReservationIds(IdList):
        """A list of public ids of reservations."""

        prefix = RESERVATION

    ReservationIds.register(tuple)

Minutes = Annotated[int, Meta(ge=1, description="How long to hold, in minutes. If omitted: what the store has set.")]
Lines = Annotated[list["LineIn"], Meta(min_length=1, max_length=200)]
ReservationStatus = Literal["ACTIVE", "CONSUMED", "EXPIRED", "RELEASED"]


class LineIn(Body, kw_only=True):
    """A line to hold. Without a warehouse, the service chooses one or more."""

    product_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    warehouse_id: Annotated[
        Code | None,
        Meta(
            description="The warehouse's code. If omitted: the service chooses one or more of the store's warehouses."
        ),
    ] = None
    unit_price: Money | None = None


class ReserveIn(Body, kw_only=True):
    """Hold all lines or none, for a cart, an order, or both."""

    items: Annotated[Lines, Meta(description="The lines to hold: at least one, at most 200.")]
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    customer_id: OpaqueId | None = None
    store_id: Annotated[
        Code | None,
        Meta(description="The store's code. If omitted: the client's only store, or else the default store."),
    ] = None
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

    dry_run: Annotated[bool, Meta(description="Only plan the reservation, and write nothing.")] = False


class BasketIn(Body, kw_only=True):
    """Make the cart's reservation equal to this basket. Without items, what the cart holds in the store is released."""

    items: Annotated[
        list[LineIn], Meta(max_length=200, description="All lines of the cart, at most 200; none empties it.")
    ]
    customer_id: OpaqueId | None = None
    store_id: Annotated[
        Code | None,
        Meta(description="The store's code. If omitted: the client's only store, or else the default store."),
    ] = None
    timeout_minutes: Minutes | None = None


class ExtendIn(Body, kw_only=True):
    """Extend one reservation, or all active ones of a cart or of an order; possible once for each. Exactly one of the
    three is given."""

    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    minutes: Annotated[int, Meta(ge=1, le=15, description="The minutes that are added to `expiresAt`.")] = 15

    def contradictions(self) -> list[Fault]:
        given = {"reservationId": self.reservation_id, "cartId": self.cart_id, "orderId": self.order_id}
        return exactly_one(given)


class ReleaseIn(Body, kw_only=True):
    """Release one reservation, or all of a cart or of an order. Exactly one of the three is given."""

    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    order_id: OpaqueId | None = None
    reason: Annotated[Text, Meta(description="Why the units are given back.")] = ""

    def contradictions(self) -> list[Fault]:
        given = {"reservationId": self.reservation_id, "cartId": self.cart_id, "orderId": self.order_id}
        return exactly_one(given)


class ConsumeIn(Body, kw_only=True):
    """Consume reservations as the sale of an order: one reservation, all of a cart, or, with neither given, all that
    were made for the order."""

    order_id: OpaqueId
    reservation_id: ReservationId | None = None
    cart_id: OpaqueId | None = None
    reacquire: Annotated[
        bool, Meta(description="Whether a reservation that has expired is made again, if there is stock, and consumed.")
    ] = False

    def contradictions(self) -> list[Fault]:
        if self.reservation_id is None or self.cart_id is None:
            return []
        detail = (
            "Both `reservationId` and `cartId` are given. Send one of them, or neither for all that the order holds."
        )
        return [Fault("/reservationId", Invalid.code, detail), Fault("/cartId", Invalid.code, detail)]


class CartQuery(Body, kw_only=True):
    """The query of a cart."""

    store_id: Annotated[Code, Meta(description="Only what is held in this store.")] | None = None


class ReservationsQuery(PageQuery, kw_only=True):
    """The filters of the list of reservations."""

    cart_id: Annotated[OpaqueId | None, Meta(description="Only reservations for this cart.")] = None
    order_id: Annotated[OpaqueId | None, Meta(description="Only reservations for this order.")] = None
    customer_id: Annotated[OpaqueId | None, Meta(description="Only reservations of this customer.")] = None
    status: Annotated[ReservationStatus | None, Meta(description="Only reservations in this state.")] = None
    product_id: Annotated[
        UUID | None, Meta(description="Only reservations that hold this product, one of its variants, or this variant.")
    ] = None
    variant_id: Annotated[UUID | None, Meta(description="Only reservations that hold this variant.")] = None
    ids: Annotated[ReservationIds | None, Meta(description="Only the reservations with these ids.")] = None
    store_id: Annotated[Code | None, Meta(description="Only reservations of the store with this code.")] = None
    updated_since: UpdatedSince = None


class ItemOut(Answer, kw_only=True):
    """Units of a product in one warehouse. The answer to a command sets the flag for what was done with them."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    quantity: int
    warehouse_id: str
    unit_price: Decimal | UnsetType = UNSET
    reserved: Annotated[
        bool | UnsetType, Meta(description="True if these units were reserved; absent in answers to other requests.")
    ] = UNSET
    released: Annotated[
        bool | UnsetType, Meta(description="True if these units were released; absent in answers to other requests.")
    ] = UNSET
    consumed: Annotated[
        bool | UnsetType, Meta(description="True if these units were consumed; absent in answers to other requests.")
    ] = UNSET


class HeldOut(Answer, kw_only=True):
    """A reservation that was made or changed."""

    reservation_id: str
    store_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    status: Annotated[Literal["RESERVED", "EXTENDED"], Meta(description="What was done.")]
    items: Annotated[list[ItemOut], Meta(description="The units that the reservation holds, by product and warehouse.")]
    expires_at: Time
    expires_in_seconds: int
    created_at: Time


class PlanOut(Answer, kw_only=True):
    """The reservation that a reserve would make now. Nothing was written."""

    dry_run: Annotated[bool, Meta(description="True: nothing was written.")]
    store_id: str
    status: Annotated[Literal["RESERVABLE"], Meta(description="That the lines could be reserved now.")]
    items: Annotated[
        list[ItemOut], Meta(description="The units that the reservation would hold, by product and warehouse.")
    ]
    expires_at: Time
    expires_in_seconds: int


class ExtendResult(Answer, kw_only=True):
    """The reservations that were extended. If the request named one, its fields stand beside the list."""

    status: Annotated[Literal["EXTENDED"], Meta(description="What was done.")]
    reservations: Annotated[list[HeldOut], Meta(description="The reservations that were extended.")]
    reservation_id: str | UnsetType = UNSET
    store_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    items: Annotated[
        list[ItemOut] | UnsetType,
        Meta(description="The units that the named reservation holds, by product and warehouse."),
    ] = UNSET
    expires_at: Time | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    created_at: Time | UnsetType = UNSET


class CartResult(Answer, kw_only=True):
    """The basket of a cart in one store. If it is empty, the status is RELEASED, and the fields of a reservation are
    left out."""

    cart_id: str
    store_id: str
    status: Annotated[
        Literal["RESERVED", "RELEASED"], Meta(description="`RESERVED`, or `RELEASED` if the cart is empty now.")
    ]
    items: Annotated[
        list[ItemOut], Meta(description="The units that the cart's reservation holds, by product and warehouse.")
    ]
    reservation_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    expires_at: Time | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    created_at: Time | UnsetType = UNSET


class ReleasedReservation(Answer, kw_only=True):
    """A reservation that was released, or had ended before."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    status: Annotated[
        Literal["RELEASED", "EXPIRED"], Meta(description="`RELEASED`, or `EXPIRED` if it had expired before.")
    ]
    items: Annotated[list[ItemOut], Meta(description="The units that it held, by product and warehouse.")]
    reason: str
    released_at: Time | None


class ReleaseResult(Answer, kw_only=True):
    """The reservations that were released. If the request named one, its fields stand beside the list, and its status
    is EXPIRED if it had expired before. Of a cart or order, those are listed that were released now."""

    status: Annotated[
        Literal["RELEASED", "EXPIRED"],
        Meta(description="What was done; `EXPIRED` if the named reservation had expired before."),
    ]
    reservations: Annotated[list[ReleasedReservation], Meta(description="The reservations that were released.")]
    reservation_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    items: Annotated[
        list[ItemOut] | UnsetType,
        Meta(description="The units that the named reservation held, by product and warehouse."),
    ] = UNSET
    reason: str | UnsetType = UNSET
    released_at: Time | None | UnsetType = UNSET


class ConsumedReservation(Answer, kw_only=True):
    """A reservation that was consumed. ``reacquiredFrom`` is the expired reservation that this one replaced."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    status: Annotated[Literal["CONSUMED"], Meta(description="What was done.")]
    items: Annotated[list[ItemOut], Meta(description="The units that were sold, by product and warehouse.")]
    consumed_at: Time | None
    reacquired_from: str | UnsetType = UNSET


class ConsumeResult(Answer, kw_only=True):
    """All reservations that were consumed as the sale of an order. If the request named one, its fields stand beside
    the list."""

    status: Annotated[Literal["CONSUMED"], Meta(description="What was done.")]
    order_id: str
    reservations: Annotated[list[ConsumedReservation], Meta(description="The reservations that were consumed.")]
    reservation_id: str | UnsetType = UNSET
    cart_id: str | None | UnsetType = UNSET
    items: Annotated[
        list[ItemOut] | UnsetType,
        Meta(description="The units of the named reservation that were sold, by product and warehouse."),
    ] = UNSET
    consumed_at: Time | None | UnsetType = UNSET
    reacquired_from: str | UnsetType = UNSET


class ReservationOut(Answer, kw_only=True):
    """The current state of a reservation. The status of a due one is EXPIRED."""

    reservation_id: str
    store_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    status: Annotated[
        ReservationStatus, Meta(description="The state of the reservation: `EXPIRED` from `expiresAt` on.")
    ]
    items: Annotated[list[ItemOut], Meta(description="The units that it holds, by product and warehouse.")]
    created_at: Time
    expires_at: Time
    expires_in_seconds: int
    extended_at: Annotated[Time | None, Meta(description="When the reservation was extended; null if it was not.")]
    consumed_at: Time | None
    released_at: Time | None
    updated_at: Annotated[
        Time, Meta(description="When it was last changed: extended, changed by its cart or order, or ended.")
    ]
    reason: str
    reacquired_from: str | UnsetType = UNSET


class Cart(Answer, kw_only=True):
    """The active reservations of a cart, the oldest first. If there is just one, its fields stand beside the list."""

    cart_id: str
    status: Annotated[Literal["ACTIVE"], Meta(description="The state of its reservations.")]
    reservations: Annotated[list[ReservationOut], Meta(description="The active reservations, the oldest first.")]
    reservation_id: str | UnsetType = UNSET
    store_id: str | UnsetType = UNSET
    order_id: str | None | UnsetType = UNSET
    customer_id: str | None | UnsetType = UNSET
    items: Annotated[
        list[ItemOut] | UnsetType,
        Meta(description="The units that the only reservation holds, by product and warehouse."),
    ] = UNSET
    created_at: Time | UnsetType = UNSET
    expires_at: Time | UnsetType = UNSET
    expires_in_seconds: int | UnsetType = UNSET
    extended_at: Annotated[
        Time | None | UnsetType, Meta(description="When the only reservation was extended; null if it was not.")
    ] = UNSET


class ReservationPageOut(Answer, kw_only=True):
    """A page of reservations, the newest first."""

    items: Annotated[list[ReservationOut], Meta(description="The reservations of this page.")]
    next: str | None

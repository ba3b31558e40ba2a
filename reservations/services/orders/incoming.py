"""The events that this service receives: each type is a struct of its own.

The structs are the contract with senders; docs/reference/incoming-events.md and the JSON Schemas are generated from
them. Fields that a struct doesn't have are ignored: the events of an order system contain much that doesn't concern
stock.
"""

from typing import Annotated, ClassVar, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from audit.api.contract import Code, Quantity
from audit.api.decimals import Money
from audit.api.texts import OpaqueId, Text
from audit.roles import Capability
from inventory.api.catalogue.contract import Barcode, ProductName, Sku

N = TypeVar("N", bound="type[Incoming]")


class Incoming(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The data of an incoming event."""

    TYPE: ClassVar[str]
    """The type's name in messages, which is the name of the class."""
    REQUIRES: ClassVar[Capability]
    """What the sender must be allowed to do."""

    @property
    def subject(self) -> str:
        """The id of the order or product. Events with the same subject are applied in sequence."""
        raise NotImplementedError


class OrderEvent(Incoming, frozen=True, kw_only=True):
    """An event about an order."""

    REQUIRES: ClassVar = Capability.SELL

    order_id: OpaqueId
    store_id: Annotated[
        Code | None,
        Meta(description="The store's code. If omitted: the client's only store, or else the default store."),
    ] = None

    @property
    def subject(self) -> str:
        return self.order_id


_registered: Final[dict[str, type[Incoming]]] = {}


def listen_to(event: N) -> N:
    """Register the class of an incoming event, as a decorator."""
    event.TYPE = event.__name__
    _registered[event.TYPE] = event
    return event


def incoming_types() -> dict[str, type[Incoming]]:
    """The registered events by type, in the order of their definition."""
    return _registered


class OrderLine(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A line of an order. Without a warehouse, the service chooses one or more."""

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


@listen_to
class OrderCreatedEvent(OrderEvent, frozen=True, kw_only=True):
    """Holds the lines of the order, all or none. With `cartId` the cart's active holds in the store become the order's:
    they are merged into the oldest one and changed to the order's lines; missing units are held and surplus units
    released in the same transaction. The hold lasts `timeoutMinutes`, or the hold time of the store, from now on, and
    never ends earlier than the cart's would have.

    A second one for the same order changes nothing. If the order was cancelled before, nothing is held."""

    items: Annotated[
        list[OrderLine], Meta(min_length=1, max_length=200, description="The lines to hold: at least one, at most 200.")
    ]
    cart_id: OpaqueId | None = None
    customer_id: OpaqueId | None = None
    timeout_minutes: (
        Annotated[int, Meta(ge=1, description="How long the hold lives, in minutes; not above the longest hold.")]
        | None
    ) = None


@listen_to
class OrderCancelledEvent(OrderEvent, frozen=True, kw_only=True):
    """Releases what is held for the order. The cancellation is stored: an `OrderCreatedEvent` that comes later holds
    nothing."""

    reason: Annotated[Text | None, Meta(description="Why the order was cancelled.")] = None


@listen_to
class OrderCompletedEvent(OrderEvent, frozen=True, kw_only=True):
    """Consumes what is held for the order: it is sold. Expired holds are re-acquired if the units are still
    available. If it comes before the order's `OrderCreatedEvent`, it is stored, and the order is sold as soon as it is
    held."""


@listen_to
class PaymentExpiredEvent(OrderEvent, frozen=True, kw_only=True):
    """Releases what is held for the order, with the reason `payment expired`. If the order is completed later, its
    units are re-acquired."""


class ProductVariant(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A variant of a new product, which has stock of its own."""

    variant_id: UUID
    sku: Sku
    name: ProductName
    barcode: Annotated[Barcode | None, Meta(description="The barcode.")] = None


@listen_to
class ProductCreatedEvent(Incoming, frozen=True, kw_only=True):
    """Creates a product, its variants, and an empty stock level for each of them in each warehouse of `warehouseIds`,
    or in all active warehouses if this is absent. Existing products, variants and levels aren't changed."""

    REQUIRES: ClassVar = Capability.MANAGE

    product_id: UUID
    sku: Sku
    name: ProductName
    barcode: Annotated[Barcode | None, Meta(description="The barcode.")] = None
    parent_id: Annotated[UUID | None, Meta(description="The product that this one is a variant of.")] = None
    variants: Annotated[
        Annotated[list[ProductVariant], Meta(max_length=200)] | None, Meta(description="The variants, at most 200.")
    ] = None
    warehouse_ids: Annotated[
        Annotated[list[Code], Meta(max_length=200)] | None,
        Meta(description="The codes of the warehouses, at most 200. If omitted: all active ones."),
    ] = None

    @property
    def subject(self) -> str:
        return str(self.product_id)

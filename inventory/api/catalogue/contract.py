"""The bodies of the routes of the catalogue and of freezing."""

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from audit.api.contract import (
    Answer,
    Body,
    Code,
    ExpectedVersion,
    OptionalBody,
    PageQuery,
    RowVersion,
    Time,
    is_read,
    readable,
)
from audit.api.instants import Instant
from audit.api.syncing import UpdatedSince, UuidList
from audit.api.texts import CleanCode, CleanText, NonEmptyText, Text
from audit.errors import Fault, Invalid

if TYPE_CHECKING:
    Name = str
    ProductName = str
    Sku = str
    Barcode = str
else:

    class Name(CleanText):
        """The name of a warehouse or a store, or a text that is searched for."""

        least, most = 1, 100

    class ProductName(CleanText):
        """The name of a product."""

        least, most = 1, 200

    class Sku(CleanCode):
        """The SKU of a product, or another code that is looked up."""

        least, most = 1, 64

    class Barcode(CleanCode):
        """A barcode; empty for none."""

        most = 64

    for _kind in (Name, ProductName, Sku, Barcode):
        _kind.register(str)


Priority = Annotated[int, Meta(ge=0, le=32767, description="The lowest is tried first.")]
StoreMinutes = Annotated[int, Meta(ge=1, le=60, description="How long the store's reservations last, in minutes.")]
EndOfFreeze = Annotated[
    Instant, Meta(description="When the freeze ends by itself; without it, it lasts until it is lifted.")
]
MostUnits = Annotated[
    int, Meta(ge=1, le=2_000_000_000, description="The most units that one customer or cart may hold at a time.")
]
MostHolds = Annotated[
    int, Meta(ge=1, le=1_000_000, description="The most reservations that one customer or cart may open in the window.")
]
WindowMinutes = Annotated[int, Meta(ge=1, le=10_080, description="The window of maxHoldsPerCustomer, in minutes.")]
WarehouseType = Literal["MAIN", "SECONDARY", "DROPSHIP"]


class FreezeIn(Body, kw_only=True):
    """Refuse new holds. Existing holds are not affected."""

    reason: Annotated[NonEmptyText, Meta(description="Why new reservations are refused.")]
    until: EndOfFreeze | None = None


class UnfreezeIn(OptionalBody, kw_only=True):
    """Allow new reservations again."""

    reason: Annotated[Text, Meta(description="Why the freeze is lifted.")] = ""


class FreezeOut(Answer, kw_only=True):
    """A freeze in force: new reservations are refused, existing ones are not affected."""

    reason: Annotated[str, Meta(description="Why new reservations are refused.")]
    since: Annotated[Time, Meta(description="When the freeze began.")]
    until: Annotated[
        Time | None, Meta(description="When the freeze ends by itself; null if it lasts until it is lifted.")
    ]


class ProductsQuery(PageQuery, kw_only=True):
    """A filter of products."""

    sku: Annotated[Sku | None, Meta(description="The SKU, in any case.")] = None
    code: Annotated[
        Sku | None, Meta(description="Any code: a SKU in any case, or a barcode; a UPC-A is its EAN-13.")
    ] = None
    search: Annotated[Name | None, Meta(description="Only products with this text in their name, SKU or barcode.")] = (
        None
    )
    ids: Annotated[UuidList | None, Meta(description="Only the products with these ids.")] = None
    store_id: Annotated[
        Code | None,
        Meta(
            description="Only products with a stock level in a warehouse that the store with this code sells from, and "
            "parents of such variants."
        ),
    ] = None
    updated_since: UpdatedSince = None


class ProductIn(Body, kw_only=True):
    """All fields of a product."""

    sku: Sku
    name: ProductName
    parent_id: Annotated[UUID | None, Meta(description="The product that this one is a variant of.")] = None
    barcode: Annotated[Barcode, Meta(description="The barcode; empty for none.")] = ""
    is_active: bool = True
    listing_expires_at: Instant | None = None
    max_units_per_customer: MostUnits | None = None
    expected_version: ExpectedVersion | None = None


class ProductOut(Answer, kw_only=True):
    """A product, or a variant if it has a parent."""

    product_id: UUID
    sku: str
    name: str
    parent_id: Annotated[
        UUID | None, Meta(description="The product that this one is a variant of; null if it is none.")
    ]
    barcode: Annotated[str, Meta(description="The barcode; empty if there is none.")]
    is_active: bool
    listing_expires_at: Time | None
    max_units_per_customer: int | None
    version: RowVersion
    updated_at: Annotated[Time, Meta(description="When a field or a freeze was last changed.")]
    frozen: Annotated[FreezeOut | None, Meta(description="A variant also follows its parent's.")]


class ProductPageOut(Answer, kw_only=True):
    """A page of products."""

    items: Annotated[list[ProductOut], Meta(description="The products of this page.")]
    next: str | None


class WarehouseIn(Body, kw_only=True):
    """All fields of a warehouse."""

    name: Name
    type: Annotated[WarehouseType, Meta(description="The kind of warehouse.")]
    address: Annotated[dict[str, Any], Meta(description="The address, in whatever fields the caller uses.")]
    contact_info: Annotated[
        dict[str, Any] | None, Meta(description="Whom to reach there, in whatever fields the caller uses.")
    ] = None
    capabilities: Annotated[
        dict[str, Any] | None, Meta(description="What the warehouse can do, in whatever fields the caller uses.")
    ] = None
    is_active: bool = True
    expected_version: ExpectedVersion | None = None


class WarehouseOut(Answer, kw_only=True):
    """A warehouse."""

    warehouse_id: str
    name: str
    type: Annotated[WarehouseType, Meta(description="The kind of warehouse.")]
    address: Annotated[dict[str, Any], Meta(description="The address, in the caller's own fields.")]
    contact_info: Annotated[
        dict[str, Any] | None,
        Meta(description="Whom to reach there, in the caller's own fields; null if it was not given."),
    ]
    capabilities: Annotated[
        dict[str, Any] | None,
        Meta(description="What the warehouse can do, in the caller's own fields; null if it was not given."),
    ]
    is_active: bool
    version: RowVersion
    frozen: FreezeOut | None


class WarehousePageOut(Answer, kw_only=True):
    """A page of warehouses."""

    items: Annotated[list[WarehouseOut], Meta(description="The warehouses of this page.")]
    next: str | None


class SourceIn(Body, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: Code
    priority: Priority


class StoreIn(Body, kw_only=True):
    """All fields of a store."""

    name: Name
    warehouses: Annotated[
        list[SourceIn], Meta(max_length=200, description="The warehouses that the store sells from: at most 200.")
    ]
    ttl_minutes: StoreMinutes | None = None
    max_units_per_customer: MostUnits | None = None
    max_holds_per_customer: MostHolds | None = None
    hold_window_minutes: WindowMinutes | None = None
    expected_version: ExpectedVersion | None = None

    def contradictions(self) -> list[Fault]:
        codes = [source.warehouse_id for source in readable(self.warehouses) if is_read(source, "warehouse_id")]
        if len(set(codes)) == len(codes):
            return []
        return [Fault("/warehouses", Invalid.code, "A warehouse stands twice in the list. Name it once.")]


class SourceOut(Answer, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: str
    priority: Annotated[int, Meta(description="The lowest is tried first.")]


class StoreOut(Answer, kw_only=True):
    """A store."""

    store_id: str
    name: str
    is_default: Annotated[bool, Meta(description="Whether it is the store of requests that name none.")]
    ttl_minutes: int | None
    warehouses: Annotated[list[SourceOut], Meta(description="The warehouses that the store sells from.")]
    max_units_per_customer: int | None
    max_holds_per_customer: int | None
    hold_window_minutes: Annotated[
        int | None, Meta(description="The window of `maxHoldsPerCustomer`, in minutes; null without such a limit.")
    ]
    version: RowVersion
    frozen: FreezeOut | None


class StorePageOut(Answer, kw_only=True):
    """A page of stores."""

    items: Annotated[list[StoreOut], Meta(description="The stores of this page.")]
    next: str | None

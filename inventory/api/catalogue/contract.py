"""The bodies of the routes of the catalogue and of freezing."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from audit.api.contract import Answer, Body, Code, ExpectedVersion, OptionalBody, PageQuery, RowVersion
from audit.api.instants import Instant
from audit.api.texts import CleanCode, CleanText, NonEmptyText, Text

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

    reason: NonEmptyText
    until: EndOfFreeze | None = None


class UnfreezeIn(OptionalBody, kw_only=True):
    """Allow new reservations again."""

    reason: Text = ""


class FreezeOut(Answer, kw_only=True):
    """A freeze in force: new reservations are refused, existing ones are not affected."""

    reason: str
    since: datetime
    until: datetime | None


class ProductsQuery(PageQuery, kw_only=True):
    """A filter of products."""

    sku: Annotated[Sku | None, Meta(description="The SKU, in any case.")] = None
    code: Annotated[
        Sku | None, Meta(description="Any code: a SKU in any case, or a barcode; a UPC-A is its EAN-13.")
    ] = None
    search: Name | None = None


class ProductIn(Body, kw_only=True):
    """All fields of a product."""

    sku: Sku
    name: ProductName
    parent_id: UUID | None = None
    barcode: Barcode = ""
    is_active: bool = True
    listing_expires_at: Instant | None = None
    max_units_per_customer: MostUnits | None = None
    expected_version: ExpectedVersion | None = None


class ProductOut(Answer, kw_only=True):
    """A product, or a variant if it has a parent."""

    product_id: UUID
    sku: str
    name: str
    parent_id: UUID | None
    barcode: str
    is_active: bool
    listing_expires_at: datetime | None
    max_units_per_customer: int | None
    version: RowVersion
    frozen: Annotated[FreezeOut | None, Meta(description="A variant also follows its parent's.")]


class ProductPageOut(Answer, kw_only=True):
    """A page of products."""

    items: list[ProductOut]
    next: str | None


class WarehouseIn(Body, kw_only=True):
    """All fields of a warehouse."""

    name: Name
    type: WarehouseType
    address: dict[str, Any]
    contact_info: dict[str, Any] | None = None
    capabilities: dict[str, Any] | None = None
    is_active: bool = True
    expected_version: ExpectedVersion | None = None


class WarehouseOut(Answer, kw_only=True):
    """A warehouse."""

    warehouse_id: str
    name: str
    type: WarehouseType
    address: dict[str, Any]
    contact_info: dict[str, Any] | None
    capabilities: dict[str, Any] | None
    is_active: bool
    version: RowVersion
    frozen: FreezeOut | None


class WarehousePageOut(Answer, kw_only=True):
    """A page of warehouses."""

    items: list[WarehouseOut]
    next: str | None


class SourceIn(Body, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: Code
    priority: Priority


class StoreIn(Body, kw_only=True):
    """All fields of a store."""

    name: Name
    warehouses: Annotated[list[SourceIn], Meta(max_length=200)]
    ttl_minutes: StoreMinutes | None = None
    max_units_per_customer: MostUnits | None = None
    max_holds_per_customer: MostHolds | None = None
    hold_window_minutes: WindowMinutes | None = None
    expected_version: ExpectedVersion | None = None


class SourceOut(Answer, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: str
    priority: int


class StoreOut(Answer, kw_only=True):
    """A store."""

    store_id: str
    name: str
    is_default: bool
    ttl_minutes: int | None
    warehouses: list[SourceOut]
    max_units_per_customer: int | None
    max_holds_per_customer: int | None
    hold_window_minutes: int | None
    version: RowVersion
    frozen: FreezeOut | None


class StorePageOut(Answer, kw_only=True):
    """A page of stores."""

    items: list[StoreOut]
    next: str | None

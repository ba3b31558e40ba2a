"""The bodies of the routes of counts (docs/reference/api.md)."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery, ReservationId
from audit.api.decimals import Share
from audit.api.texts import Text
from inventory.api.stock.contract import LocationOut, LocationPart, Units

CountScope = Literal["ALL", "ZONE", "PRODUCTS", "STALE"]
CountStatus = Literal["OPEN", "POSTED", "CANCELLED"]
LineStatus = Literal["UNCOUNTED", "COUNTED", "NEEDS_RECOUNT"]
CountDays = Annotated[int, Meta(ge=1, le=3650, description="Days.")]


class CountProductIn(Body, kw_only=True):
    """A product, or a variant."""

    product_id: UUID
    variant_id: UUID | None = None


class OpenCountIn(Body, kw_only=True):
    """A count to open. Its scope is ALL levels of a warehouse, a ZONE (with `zone`), PRODUCTS (with `products`), or the
    STALE levels, which were not counted for `staleDays` days, or never; without `staleDays` only those never counted.

    A difference above `recountShare` requires a second count; without it, none does. With the scope PRODUCTS, levels
    in another open count are refused (409 `already_in_count`); with the other scopes they are left out and listed in
    the answer.
    """

    warehouse_id: Code
    scope: CountScope
    zone: LocationPart = ""
    products: Annotated[list[CountProductIn], Meta(max_length=200)] = []
    stale_days: CountDays | None = None
    recount_share: Share | None = None
    note: Text = ""


class ProgressOut(Answer, kw_only=True):
    """The progress of a count, in lines; `toRecount` lines are counted, but require a second count."""

    lines: int
    counted: int
    to_recount: int


class CountOut(Answer, kw_only=True):
    """A count."""

    count_id: str
    warehouse_id: str
    scope: CountScope
    zone: str
    stale_days: int | None
    status: CountStatus
    recount_share: Decimal | None
    note: str
    progress: ProgressOut
    opened_at: datetime
    opened_by: str
    posted_at: datetime | None
    posted_by: str
    cancelled_at: datetime | None
    cancelled_by: str


class ElsewhereOut(Answer, kw_only=True):
    """Another open count with levels of this scope, and their number."""

    count_id: str
    lines: int


class OpenedCountOut(CountOut, kw_only=True):
    """A new count. `elsewhere` lists the other open counts whose levels were left out."""

    elsewhere: list[ElsewhereOut]


class CountsQuery(PageQuery, kw_only=True):
    """A filter of counts."""

    warehouse_id: Code | None = None
    status: CountStatus | None = None


class CountPageOut(Answer, kw_only=True):
    """A page of counts, the newest first."""

    items: list[CountOut]
    next: str | None


class CountLineOut(Answer, kw_only=True):
    """A line of a count. Lines are counted blind: `counted`, `expected` and `difference` are null while a first or
    second count of the line is outstanding. They are the figures of its last count."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    sku: str
    name: str
    location: LocationOut
    status: LineStatus
    counted: int | None
    expected: int | None
    difference: int | None
    counted_at: datetime | None
    counted_by: str
    posted_difference: int | None


class CountLinesQuery(PageQuery, kw_only=True):
    """The page of lines to read."""


class CountLinePageOut(Answer, kw_only=True):
    """A page of lines."""

    items: list[CountLineOut]
    next: str | None


class CountWithLinesOut(CountOut, kw_only=True):
    """A count and a page of its lines."""

    lines: CountLinePageOut


class CountLineIn(Body, kw_only=True):
    """The counted quantity of a product. `recount` marks a second count; else this enters or corrects the first one."""

    product_id: UUID
    variant_id: UUID | None = None
    counted: Units
    recount: bool = False


class CountLinesIn(Body, kw_only=True):
    """Counted quantities. Lines of the same product are summed."""

    lines: Annotated[list[CountLineIn], Meta(min_length=1, max_length=200)]


class CountedLinesOut(Answer, kw_only=True):
    """The entered lines, and the progress of the count."""

    count_id: str
    progress: ProgressOut
    lines: list[CountLineOut]


class PostCountIn(OptionalBody, kw_only=True):
    """Options of posting. Uncounted lines are refused, unless `skipUncounted` is true. In a shortage, the reservations
    in `breakReservations` are broken first, in this order, as far as needed; then the newest."""

    skip_uncounted: bool = False
    break_reservations: Annotated[list[ReservationId], Meta(max_length=200)] = []


class BrokenItemOut(Answer, kw_only=True):
    """Units that a broken reservation gave back."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    quantity: int


class BrokenReservationOut(Answer, kw_only=True):
    """A reservation that is broken: released for lack of stock. It is always released as a whole."""

    reservation_id: str
    store_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    created_at: datetime
    expires_at: datetime
    items: list[BrokenItemOut]


class PostedCountOut(Answer, kw_only=True):
    """A posted count. `brokenReservations` lists the broken reservations; `hiddenReservations` is the number of further
    ones, in stores that this client may not see."""

    count_id: str
    status: Literal["POSTED"]
    adjustment_id: str
    counted: int
    skipped: int
    differences: int
    units_added: int
    units_removed: int
    broken_reservations: list[BrokenReservationOut]
    hidden_reservations: int
    incidents: list[str]
    posted_at: datetime
    posted_by: str


class ShortLineOut(Answer, kw_only=True):
    """A level that would have fewer units than are held. Posting is refused if `onHandAfter` is below zero."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    sku: str
    on_hand: int
    on_hand_after: int
    reserved: int
    missing: int


class CountPreviewOut(Answer, kw_only=True):
    """A preview of posting the lines counted so far. Nothing is written."""

    count_id: str
    status: CountStatus
    progress: ProgressOut
    differences: int
    units_added: int
    units_removed: int
    shortages: list[ShortLineOut]
    broken_reservations: list[BrokenReservationOut]
    hidden_reservations: int


class CancelCountIn(OptionalBody, kw_only=True):
    """The reason for cancelling a count."""

    reason: Text = ""

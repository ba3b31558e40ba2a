"""The bodies of the routes of counts (docs/reference/api.md)."""

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery, ReservationId, Time, is_read
from audit.api.decimals import Share
from audit.api.texts import Text
from audit.errors import Fault, Invalid
from inventory.api.stock.contract import LocationOut, LocationPart, Units

CountScope = Literal["ALL", "ZONE", "PRODUCTS", "STALE"]
CountStatus = Literal["OPEN", "POSTED", "CANCELLED"]
LineStatus = Literal["UNCOUNTED", "COUNTED", "NEEDS_RECOUNT"]
CountDays = Annotated[int, Meta(ge=1, le=3650)]


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
    scope: Annotated[CountScope, Meta(description="Which levels are counted.")]
    zone: Annotated[LocationPart, Meta(description="The zone, with the scope `ZONE`.")] = ""
    products: Annotated[
        list[CountProductIn], Meta(max_length=200, description="The products, with the scope `PRODUCTS`.")
    ] = []
    stale_days: Annotated[
        CountDays | None,
        Meta(
            description="With the scope `STALE`: levels not counted for so many days. If omitted: those never counted."
        ),
    ] = None
    recount_share: Annotated[
        Share | None,
        Meta(description="A difference above this share of what was expected needs a second count. If omitted: none."),
    ] = None
    note: Text = ""

    def contradictions(self) -> list[Fault]:
        """A field of the scope that is missing, and those of other scopes."""
        if not is_read(self, "scope"):
            return []
        given = {
            "zone": ("ZONE", bool(self.zone), True),
            "products": ("PRODUCTS", bool(self.products), True),
            "staleDays": ("STALE", self.stale_days is not None, False),
        }
        faults = []
        for name, (scope, is_given, is_needed) in given.items():
            if self.scope == scope and is_needed and not is_given:
                faults.append(Fault(f"/{name}", Invalid.code, f"The scope {scope} needs `{name}`."))
            if self.scope != scope and is_given:
                faults.append(Fault(f"/{name}", Invalid.code, f"`{name}` belongs to the scope {scope}."))
        return faults


class ProgressOut(Answer, kw_only=True):
    """The progress of a count, in lines; `toRecount` lines are counted, but require a second count."""

    lines: Annotated[int, Meta(description="How many lines the count has.")]
    counted: Annotated[int, Meta(description="How many lines have a figure.")]
    to_recount: Annotated[int, Meta(description="How many of the counted lines need a second count.")]


class CountOut(Answer, kw_only=True):
    """A count."""

    count_id: str
    warehouse_id: str
    scope: Annotated[CountScope, Meta(description="Which levels are counted.")]
    zone: Annotated[str, Meta(description="The zone, with the scope `ZONE`; else empty.")]
    stale_days: Annotated[
        int | None,
        Meta(description="With the scope `STALE`: the days without a count; null for levels never counted."),
    ]
    status: Annotated[CountStatus, Meta(description="The state of the count.")]
    recount_share: Annotated[
        Decimal | None, Meta(description="The difference above which a line is counted a second time; null if none is.")
    ]
    note: str
    progress: Annotated[ProgressOut, Meta(description="How far the count is.")]
    opened_at: Time
    opened_by: str
    posted_at: Time | None
    posted_by: str
    cancelled_at: Time | None
    cancelled_by: str


class ElsewhereOut(Answer, kw_only=True):
    """Another open count with levels of this scope, and their number."""

    count_id: str
    lines: Annotated[int, Meta(description="How many levels of this scope it has.")]


class OpenedCountOut(CountOut, kw_only=True):
    """A new count. `elsewhere` lists the other open counts whose levels were left out."""

    elsewhere: Annotated[list[ElsewhereOut], Meta(description="The other open counts whose levels were left out.")]


class CountsQuery(PageQuery, kw_only=True):
    """A filter of counts."""

    warehouse_id: Annotated[Code | None, Meta(description="Only counts in the warehouse with this code.")] = None
    status: Annotated[CountStatus | None, Meta(description="Only counts in this state.")] = None


class CountPageOut(Answer, kw_only=True):
    """A page of counts, the newest first."""

    items: Annotated[list[CountOut], Meta(description="The counts of this page.")]
    next: str | None


class CountLineOut(Answer, kw_only=True):
    """A line of a count. Lines are counted blind: `counted`, `expected` and `difference` are null while a first or
    second count of the line is outstanding. They are the figures of its last count."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    sku: str
    name: str
    location: LocationOut
    status: Annotated[LineStatus, Meta(description="Whether the line is counted.")]
    counted: Annotated[
        int | None, Meta(description="The units of the last count; null while a count of the line is outstanding.")
    ]
    expected: Annotated[
        int | None,
        Meta(description="The units on hand that were expected at the last count; null while one is outstanding."),
    ]
    difference: Annotated[
        int | None, Meta(description="`counted` − `expected`; null while a count of the line is outstanding.")
    ]
    sold_last24_hours: Annotated[
        int | None,
        Meta(
            description="The units sold in the 24 hours before the last count: if they aren't picked yet, they were"
            " counted, too. Null while a count of the line is outstanding."
        ),
    ] = msgspec.field(name="soldLast24Hours")
    counted_at: Annotated[Time | None, Meta(description="When the line was counted last; null if it was not.")]
    counted_by: Annotated[str, Meta(description="Who counted the line last; empty if nobody has.")]
    posted_difference: Annotated[int | None, Meta(description="The change of on hand that posting made; null before.")]


class CountLinesQuery(PageQuery, kw_only=True):
    """The page of lines to read."""


class CountLinePageOut(Answer, kw_only=True):
    """A page of lines."""

    items: Annotated[list[CountLineOut], Meta(description="The lines of this page.")]
    next: str | None


class CountWithLinesOut(CountOut, kw_only=True):
    """A count and a page of its lines."""

    lines: Annotated[CountLinePageOut, Meta(description="A page of the count's lines.")]


class CountLineIn(Body, kw_only=True):
    """The counted quantity of a product. `recount` marks a second count; else this enters or corrects the first one."""

    product_id: UUID
    variant_id: UUID | None = None
    counted: Annotated[Units, Meta(description="The units that were counted.")]
    recount: Annotated[
        bool,
        Meta(description="Whether this is the second count of the line. If not, it enters or corrects the first one."),
    ] = False


class CountLinesIn(Body, kw_only=True):
    """Counted quantities. Lines of the same product are summed."""

    lines: Annotated[
        list[CountLineIn],
        Meta(min_length=1, max_length=200, description="What was counted: at least one line, at most 200."),
    ]


class CountedLinesOut(Answer, kw_only=True):
    """The entered lines, and the progress of the count."""

    count_id: str
    progress: Annotated[ProgressOut, Meta(description="How far the count is.")]
    lines: Annotated[list[CountLineOut], Meta(description="The lines that were entered.")]


class PostCountIn(OptionalBody, kw_only=True):
    """Options of posting. Uncounted lines are refused, unless `skipUncounted` is true. In a shortage, the reservations
    in `breakReservations` are broken first, in this order, as far as needed; then the newest."""

    skip_uncounted: Annotated[
        bool, Meta(description="Whether lines without a figure are left as they are. If not, they are refused.")
    ] = False
    break_reservations: Annotated[
        list[ReservationId],
        Meta(
            max_length=200,
            description="The reservations that give way first in a shortage, in this order; then the newest do.",
        ),
    ] = []


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
    created_at: Time
    expires_at: Time
    items: Annotated[list[BrokenItemOut], Meta(description="The units that the reservation gives back.")]


class PostedCountOut(Answer, kw_only=True):
    """A posted count. `brokenReservations` lists the broken reservations; `hiddenReservations` is the number of further
    ones, in stores that this client may not see."""

    count_id: str
    status: Annotated[Literal["POSTED"], Meta(description="What was done.")]
    adjustment_id: str
    counted: Annotated[int, Meta(description="How many lines were posted.")]
    skipped: Annotated[int, Meta(description="How many lines had no figure.")]
    differences: Annotated[int, Meta(description="How many lines differed.")]
    units_added: Annotated[int, Meta(description="The units that were added to on hand.")]
    units_removed: Annotated[int, Meta(description="The units that were taken off on hand.")]
    broken_reservations: Annotated[list[BrokenReservationOut], Meta(description="The reservations that were broken.")]
    hidden_reservations: Annotated[
        int, Meta(description="How many more were broken, in stores that the client may not see.")
    ]
    incidents: Annotated[list[str], Meta(description="The ids of the incidents that were opened, `inc-<uuid>`.")]
    posted_at: Time
    posted_by: str


class ShortLineOut(Answer, kw_only=True):
    """A level that would have fewer units than are held. Posting is refused if `onHandAfter` is below zero."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    sku: str
    on_hand: Annotated[int, Meta(description="The units on hand now.")]
    on_hand_after: Annotated[
        int, Meta(description="The units that would be on hand. Posting is refused if it is below zero.")
    ]
    reserved: Annotated[int, Meta(description="The units that reservations hold.")]
    missing: Annotated[int, Meta(description="The units that reservations would have to give back.")]


class CountPreviewOut(Answer, kw_only=True):
    """A preview of posting the lines counted so far. Nothing is written."""

    count_id: str
    status: Annotated[CountStatus, Meta(description="The state of the count.")]
    progress: Annotated[ProgressOut, Meta(description="How far the count is.")]
    differences: Annotated[int, Meta(description="How many lines differ.")]
    units_added: Annotated[int, Meta(description="The units that would be added to on hand.")]
    units_removed: Annotated[int, Meta(description="The units that would be taken off on hand.")]
    shortages: Annotated[
        list[ShortLineOut], Meta(description="The levels that would have fewer units than are reserved.")
    ]
    broken_reservations: Annotated[
        list[BrokenReservationOut], Meta(description="The reservations that would be broken.")
    ]
    hidden_reservations: Annotated[
        int, Meta(description="How many more would be broken, in stores that the client may not see.")
    ]


class CancelCountIn(OptionalBody, kw_only=True):
    """The reason for cancelling a count."""

    reason: Text = ""

"""The routes of counts: decode, one call, answer."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.actors import Actor
from audit.api.http import ApiView, answered, decode, decode_query, id_in_path, note_rows, rendered, respond
from audit.api.paging import BY_ID, page_of
from audit.api.schema import describe
from audit.api.versions import respond_unless_known
from audit.idempotency import StoredAnswer
from audit.identifiers import ADJUSTMENT, COUNT, RESERVATION, parse_public_id, public_id
from audit.roles import Capability
from inventory.api.counts import contract
from inventory.api.filters import require_warehouse
from inventory.api.stock.contract import LocationOut
from inventory.errors import (
    AlreadyInCount,
    CountBelowZero,
    CountClosed,
    CountIncomplete,
    CountTooLarge,
    NothingToCount,
    ProductNotInCount,
    QuantityLimit,
    UnknownProduct,
    UnknownWarehouse,
)
from inventory.holds_port import NOT_BROKEN, AffectedHold, Preference
from inventory.models import StockCount
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import entering, opening, posting
from inventory.services.counts.documents import CountLine, ProductRef, Progress
from inventory.services.counts.entering import Counted
from inventory.services.counts.opening import Opened
from inventory.services.counts.posting import Posted, PostRequest
from inventory.services.counts.sold import sold_before


def _count_id(text: str) -> UUID:
    return id_in_path(COUNT, text, "a count")


def _progress(progress: Progress) -> contract.ProgressOut:
    return contract.ProgressOut(lines=progress.lines, counted=progress.counted, to_recount=progress.to_recount)


def _count_fields(count: StockCount, progress: Progress) -> dict[str, Any]:
    return {
        "count_id": count.public_id,
        "warehouse_id": count.warehouse.code,
        "scope": count.scope,
        "zone": count.zone,
        "stale_days": count.stale_days,
        "status": count.status,
        "recount_share": count.recount_share,
        "note": count.note,
        "progress": _progress(progress),
        "opened_at": count.opened_at,
        "opened_by": count.opened_by,
        "posted_at": count.posted_at,
        "posted_by": count.posted_by,
        "cancelled_at": count.cancelled_at,
        "cancelled_by": count.cancelled_by,
    }


def _opened(opened: Opened) -> StoredAnswer:
    elsewhere = [
        contract.ElsewhereOut(count_id=public_id(COUNT, id_), lines=lines) for id_, lines in opened.elsewhere.items()
    ]
    fields = _count_fields(opened.count, opened.progress)
    return rendered(contract.OpenedCountOut(**fields, elsewhere=elsewhere), 201)


def _cancelled(cancelled: Counted) -> StoredAnswer:
    return rendered(contract.CountOut(**_count_fields(cancelled.count, cancelled.progress)))


class CountsView(ApiView):
    """The list of counts, and opening of a count."""

    allowed: ClassVar = {"GET": Capability.READ_COUNTS, "POST": Capability.KEEP_STOCK}
    created: ClassVar = "/api/v1/inventory/counts/{countId}"

    @describe(
        "listCounts",
        "List counts, the newest first",
        query=contract.CountsQuery,
        answers={200: contract.CountPageOut},
        refusals=(UnknownWarehouse,),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists counts, the newest first."""
        query = decode_query(request, contract.CountsQuery)
        require_warehouse(self.actor(request), query.warehouse_id)
        found = StockCount.objects.visible_to(self.actor(request)).select_related("warehouse")
        if query.warehouse_id is not None:
            found = found.filter(warehouse__code=query.warehouse_id)
        if query.status is not None:
            found = found.filter(status=query.status)
        page, following = page_of(found, query, newest_first=True)
        progress = counts_documents.progress_of([count.id for count in page])
        items = [contract.CountOut(**_count_fields(count, progress[count.id])) for count in page]
        return respond(contract.CountPageOut(items=items, next=following))

    @describe(
        "openCount",
        "Open a count",
        body=contract.OpenCountIn,
        answers={201: contract.OpenedCountOut},
        refusals=(AlreadyInCount, CountTooLarge, NothingToCount, UnknownProduct, UnknownWarehouse),
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse:
        """Opens a count of the levels in its scope. Stock can be sold while they are counted."""
        body = decode(request, contract.OpenCountIn)
        open_request = opening.OpenRequest(
            actor=self.actor(request),
            warehouse=body.warehouse_id,
            scope=body.scope,
            zone=body.zone,
            products=tuple(ProductRef(product.product_id, product.variant_id) for product in body.products),
            stale_days=body.stale_days,
            recount_share=body.recount_share,
            note=body.note,
            claim=self.claim(request, _opened),
        )
        opened = opening.open_count(open_request)
        if isinstance(opened, Opened):
            note_rows(request, opened.progress.lines)
        return answered(opened, _opened)


class CountView(ApiView):
    """One count."""

    allowed: ClassVar = {"GET": Capability.READ_COUNTS}

    @describe(
        "readCount",
        "Read a count and its lines",
        query=contract.CountLinesQuery,
        answers={200: contract.CountWithLinesOut},
        tagged=True,
    )
    def get(self, request: Request, count_id: str) -> HttpResponse:
        """Reads a count and a page of its lines."""
        query = decode_query(request, contract.CountLinesQuery)
        count = counts_documents.read_count(_count_id(count_id), self.actor(request))
        rows = counts_documents.read_lines(count.id, after=BY_ID.after(query), limit=query.limit + 1)
        page, following = BY_ID.page(rows, query, lambda line: line.id)
        sold = sold_before(page)
        items = [_line(line, sold.get(line.id)) for line in page]
        lines = contract.CountLinePageOut(items=items, next=following)
        progress = counts_documents.progress_of([count.id])[count.id]
        answer = contract.CountWithLinesOut(**_count_fields(count, progress), lines=lines)
        return respond_unless_known(request, answer)


def _line(line: CountLine, sold: int | None) -> contract.CountLineOut:
    """A line for callers, without counted and expected quantities while a count of it is outstanding.

    ``sold``: as ``sold_before`` has it; None while a count of the line is outstanding.
    """
    is_blind = line.counted is None or line.needs_recount
    is_second = line.recounted is not None
    return contract.CountLineOut(
        product_id=line.product_id,
        variant_id=line.variant_id or UNSET,
        sku=line.sku,
        name=line.name,
        location=LocationOut(zone=line.zone, aisle=line.aisle, shelf=line.shelf),
        status="UNCOUNTED" if line.counted is None else "NEEDS_RECOUNT" if line.needs_recount else "COUNTED",
        counted=None if is_blind else line.recounted if is_second else line.counted,
        expected=None if is_blind else line.recount_expected if is_second else line.expected,
        difference=None if is_blind else line.difference,
        sold_last24_hours=sold,
        counted_at=line.last_counted_at,
        counted_by=line.recounted_by or line.counted_by,
        posted_difference=line.posted_difference,
    )


def _entered(counted: Counted) -> StoredAnswer:
    lines = [_line(line, counted.sold.get(line.id)) for line in counted.lines]
    progress = _progress(counted.progress)
    return rendered(contract.CountedLinesOut(count_id=counted.count.public_id, progress=progress, lines=lines))


class CountLinesView(ApiView):
    """Entering of counted quantities."""

    allowed: ClassVar = {"PUT": Capability.KEEP_STOCK}

    @describe(
        "enterCounts",
        "Enter what was counted",
        body=contract.CountLinesIn,
        answers={200: contract.CountedLinesOut},
        refusals=(CountClosed, ProductNotInCount, QuantityLimit),
        idempotent=True,
    )
    def put(self, request: Request, count_id: str) -> HttpResponse:
        """Enters the units that were counted, or corrects them."""
        body = decode(request, contract.CountLinesIn)
        entries = tuple(
            entering.EnteredCount(ProductRef(line.product_id, line.variant_id), line.counted, line.recount)
            for line in body.lines
        )
        enter = entering.EnterRequest(
            actor=self.actor(request),
            count_id=_count_id(count_id),
            entries=entries,
            claim=self.claim(request, _entered),
        )
        return answered(entering.enter_counts(enter), _entered)


def _split(holds: Sequence[AffectedHold], actor: Actor) -> tuple[list[contract.BrokenReservationOut], int]:
    """The holds that the actor may see, and the number of the others."""
    seen = [hold for hold in holds if actor.sees_store(hold.store)]
    return [_broken(hold) for hold in seen], len(holds) - len(seen)


def _broken(hold: AffectedHold) -> contract.BrokenReservationOut:
    return contract.BrokenReservationOut(
        reservation_id=hold.public_id,
        store_id=hold.store,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        customer_id=hold.customer_id,
        created_at=hold.created_at,
        expires_at=hold.expires_at,
        items=[
            contract.BrokenItemOut(
                product_id=item.product_id,
                variant_id=item.variant_id or UNSET,
                warehouse_id=item.warehouse,
                quantity=item.quantity,
            )
            for item in hold.items
        ],
    )


class CountPreviewView(ApiView):
    """Preview of posting a count."""

    allowed: ClassVar = {"GET": Capability.READ_COUNTS}

    @describe(
        "previewCount",
        "Preview a count's posting: its differences and the reservations that would be broken",
        answers={200: contract.CountPreviewOut},
        tagged=True,
    )
    def get(self, request: Request, count_id: str) -> HttpResponse:
        """Shows what posting the count would change, and the reservations that it would break. It changes nothing."""
        actor = self.actor(request)
        preview = posting.preview_count(_count_id(count_id), actor)
        broken, hidden = _split(preview.broken, actor)
        return respond_unless_known(
            request,
            contract.CountPreviewOut(
                count_id=preview.count.public_id,
                status=preview.count.status,  # type: ignore[arg-type]
                progress=_progress(preview.progress),
                differences=preview.differences,
                units_added=preview.units_added,
                units_removed=preview.units_removed,
                shortages=[_short(short) for short in preview.short],
                broken_reservations=broken,
                hidden_reservations=hidden,
            ),
        )


def _short(short: posting.ShortLine) -> contract.ShortLineOut:
    return contract.ShortLineOut(
        product_id=short.line.product_id,
        variant_id=short.line.variant_id or UNSET,
        sku=short.line.sku,
        on_hand=short.on_hand,
        on_hand_after=short.on_hand_after,
        reserved=short.reserved,
        missing=short.missing,
    )


class PostCountView(ApiView):
    """Post a count."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "postCount",
        "Post a count; a shortage breaks reservations",
        body=contract.PostCountIn,
        answers={200: contract.PostedCountOut},
        refusals=(
            CountBelowZero,
            CountClosed,
            CountIncomplete,
            QuantityLimit,
            *NOT_BROKEN,
        ),
        idempotent=True,
    )
    def post(self, request: Request, count_id: str) -> HttpResponse:
        """Changes on hand by the differences of a count. If a level then has fewer units than are reserved,
        reservations are broken."""
        body = decode(request, contract.PostCountIn)
        actor = self.actor(request)

        def render(posted: Posted) -> StoredAnswer:
            return _posted(posted, actor)

        post = PostRequest(
            actor=actor,
            count_id=_count_id(count_id),
            skip_uncounted=body.skip_uncounted,
            preferred=Preference(_preferred(body.break_reservations)),
            claim=self.claim(request, render),
        )
        posted = posting.post_count(post)
        if isinstance(posted, Posted):
            note_rows(request, posted.rows)
        return answered(posted, render)


def _preferred(texts: Sequence[str]) -> tuple[UUID, ...]:
    """The ids of the named reservations, without duplicates. Only their format is checked."""
    ids = (parse_public_id(RESERVATION, text) for text in texts)
    return tuple(dict.fromkeys(id_ for id_ in ids if id_))


def _posted(posted: Posted, actor: Actor) -> StoredAnswer:
    changes = [line.adjustment.change for line in posted.applied]
    broken, hidden = _split(posted.broken, actor)
    return rendered(
        contract.PostedCountOut(
            count_id=posted.count.public_id,
            status="POSTED",
            adjustment_id=public_id(ADJUSTMENT, posted.id),
            counted=posted.counted,
            skipped=posted.skipped,
            differences=len(changes),
            units_added=sum(change for change in changes if change > 0),
            units_removed=-sum(change for change in changes if change < 0),
            broken_reservations=broken,
            hidden_reservations=hidden,
            incidents=list(posted.incident_ids),
            posted_at=posted.now,
            posted_by=posted.count.posted_by,
        )
    )


class CancelCountView(ApiView):
    """Cancel a count."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "cancelCount",
        "Cancel a count",
        body=contract.CancelCountIn,
        answers={200: contract.CountOut},
        refusals=(CountClosed,),
        idempotent=True,
    )
    def post(self, request: Request, count_id: str) -> HttpResponse:
        """Cancels a count. Nothing on hand changes."""
        body = decode(request, contract.CancelCountIn)
        cancel = entering.CancelCountRequest(
            actor=self.actor(request),
            count_id=_count_id(count_id),
            reason=body.reason,
            claim=self.claim(request, _cancelled),
        )
        cancelled = entering.cancel_count(cancel)
        if isinstance(cancelled, Counted):
            note_rows(request, cancelled.progress.lines)
        return answered(cancelled, _cancelled)

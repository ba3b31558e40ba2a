"""Scans during the walk of a count: each scan of a product counts one unit, a place label leads to its first line."""

from collections.abc import Sequence
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from audit.console.base import actor_of
from audit.console.scans import (
    Outcome,
    Scan,
    ScanAnswer,
    ScanChoice,
    ScanLine,
    answer_scans,
    repeated,
    scan_claim,
)
from audit.console.wording import wording_of
from audit.errors import Busy, DomainError, IdempotencyInProgress
from audit.idempotency import lifetime
from audit.identifiers import NIL, parse_uuid
from inventory.admin.counts.walking import WALK, place_of, progress_of
from inventory.admin.stock.marks import warned_of, warned_of_product, with_warning
from inventory.models import Product, StockCount, StockCountLine
from inventory.services.catalogue.codes import products_by_code
from inventory.services.counts import entering
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import Counted, EnteredCount, EnterRequest
from inventory.services.stock.places import Place, find_places
from inventory.services.stock.usual import ALWAYS_USUAL

_PASSING: Final = (Busy, IdempotencyInProgress)
"""Errors after which the browser sends the same scans again."""


class WalkScans:
    """The scans of one count, or of its recount list (``is_again``). Each is a transaction of its own."""

    def __init__(self, request: HttpRequest, count: StockCount, *, is_again: bool) -> None:
        self.request, self.count, self.is_again = request, count, is_again
        self.actor = actor_of(request)

    def answer(self) -> HttpResponse:
        """The response. Raises PermissionDenied."""
        if not self.request.user.has_perm("inventory.count_stock"):
            raise PermissionDenied
        return answer_scans(self.request, self._take, known_for=lifetime())

    def _take(self, scans: Sequence[Scan]) -> ScanAnswer:
        outcomes = [self._outcome(scan) for scan in scans]
        return ScanAnswer(outcomes=outcomes, lines=progress_of(self.count).counted)

    def _outcome(self, scan: Scan) -> Outcome:
        """Raises Busy and IdempotencyInProgress: these scans are sent again."""
        if scan.total is not None and scan.total > ALWAYS_USUAL:
            return Outcome(
                id=scan.id, status="refused", message=_("This number is very large. Enter it on the line's page.")
            )
        try:
            return self._of_line(scan) if scan.line else self._of_code(scan)
        except _PASSING:
            raise
        except DomainError as error:
            return Outcome(id=scan.id, status="refused", message=wording_of(error))

    # -------------------------------------------------------------------------------------------------- which line

    def _lines(self) -> QuerySet[StockCountLine]:
        lines = StockCountLine.objects.filter(count=self.count.pk)
        return lines.select_related("level__product", "level__warehouse").order_by(*WALK)

    def _of_line(self, scan: Scan) -> Outcome:
        line = self._lines().filter(pk=parse_uuid(scan.line) or NIL).first()
        if line is None or scan.total is None:
            return Outcome(id=scan.id, status="refused", message=_("This line is not in this count."))
        return self._enter(scan, line)

    def _of_code(self, scan: Scan) -> Outcome:
        products = products_by_code(scan.text) if scan.text else []
        chosen = [product for product in products if str(product.pk) == scan.choice] or products
        if len(chosen) > 1:
            return _asked(scan, chosen)
        if not chosen:
            return self._of_place(scan)
        product = chosen[0]
        line = self._lines().filter(level__product=product.pk).first()
        if line is None:
            words = _("%(code)s: %(name)s is not in this count. Put it aside; nothing was counted.")
            message = with_warning(words % {"code": scan.text, "name": product.name}, warned_of_product(product))
            return Outcome(id=scan.id, status="refused", message=message)
        return self._enter(scan, line)

    def _of_place(self, scan: Scan) -> Outcome:
        found = find_places(self.actor, scan.text) if scan.text else []
        place = next((place for place in found if place.warehouse.pk == self.count.warehouse_id), None)
        if place is None or scan.total is not None:
            words = _("No product has the code %(code)s. Nothing was counted.")
            return Outcome(id=scan.id, status="unknown", message=words % {"code": scan.code.strip()})
        return self._at(place, scan)

    def _at(self, place: Place, scan: Scan) -> Outcome:
        """Lead to the first line of a place that is still to be counted, or else to its first line."""
        lines = list(self._lines().filter(level__in=place.levels.order_by().values("pk")))
        open_ = [line for line in lines if line.needs_recount or (line.counted is None and not self.is_again)]
        if not lines:
            words = _("Nothing at %(place)s is in this count.")
            return Outcome(id=scan.id, status="refused", message=words % {"place": place.name})
        shown = _shown((open_ or lines)[0], None)
        words = f"{place.name}: {shown.sku} {shown.name}"
        return Outcome(id=scan.id, status="place", message=with_warning(words, shown.warning), line=shown)

    # ---------------------------------------------------------------------------------------------------- entering

    def _enter(self, scan: Scan, line: StockCountLine) -> Outcome:
        product = line.level.product
        if self.is_again and not line.needs_recount and line.recounted is None:
            words = _("%(sku)s is not on the recount list. Nothing was counted.")
            return Outcome(id=scan.id, status="refused", message=words % {"sku": product.sku})
        entry = EnteredCount(
            ProductRef(product.pk),
            (scan.quantity or 1) if scan.total is None else scan.total,
            is_recount=self.is_again or line.recounted is not None,
            is_added=scan.total is None,
        )

        def render(counted: Counted) -> Outcome:
            return _counted(scan, line, counted)

        claim = scan_claim(self.request, scan, render)
        result = entering.enter_counts(EnterRequest(self.actor, self.count.pk, (entry,), claim))
        return render(result) if isinstance(result, Counted) else repeated(result)


def _asked(scan: Scan, products: Sequence[Product]) -> Outcome:
    choices = tuple(ScanChoice(key=str(row.pk), sku=row.sku, name=row.name) for row in products)
    words = _("%(code)s is the code of several products. Which one is it?")
    return Outcome(id=scan.id, status="ambiguous", message=words % {"code": scan.text}, choices=choices)


def _counted(scan: Scan, line: StockCountLine, counted: Counted) -> Outcome:
    written = counted.lines[0]
    quantity = written.counted if written.recounted is None else written.recounted
    words = _("%(sku)s: %(counted)s counted.")
    if scan.total is not None and written.needs_recount:
        words = _("%(sku)s: %(counted)s counted. Added to the recount list.")
    message = words % {"sku": written.sku, "counted": quantity}
    shown = _shown(line, quantity)
    return Outcome(id=scan.id, status="added", message=with_warning(message, shown.warning), line=shown)


def _shown(line: StockCountLine, quantity: int | None) -> ScanLine:
    level = line.level
    return ScanLine(
        key=str(line.pk),
        sku=level.product.sku,
        name=level.product.name,
        quantity=quantity,
        text=place_of(line),
        warning=warned_of(level),
    )


def answer_walk(model_admin: Any, request: HttpRequest, object_id: str, *, is_again: bool = False) -> HttpResponse:
    """Answer the scans of a walk. Raises Http404 for a count out of reach, and PermissionDenied."""
    model_admin.require_view(request)
    count = model_admin.get_object(request, object_id)
    if count is None:
        raise Http404
    return WalkScans(request, count, is_again=is_again).answer()

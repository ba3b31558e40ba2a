"""The walk of a count: one line after the other, blind, and the walk of its recount list."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.dialogs import DialogForm, SharedDialog
from audit.console.numbers import WholeNumberField
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import NIL, parse_uuid
from inventory.admin.stock.marks import with_warnings
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import QUANTITY_LIMIT, StockCount, StockCountLine
from inventory.services.catalogue.codes import products_by_code
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import entering
from inventory.services.counts.documents import ProductRef, Progress
from inventory.services.counts.entering import Counted, EnteredCount, EnterRequest
from inventory.services.counts.sold import sold_before
from inventory.services.stock.places import name_of

_SHORTEST_CODE: Final = 6
"""A number with fewer digits, typed for a quantity, is never taken for a product's code."""
_LATELY: Final = 5
WALK: Final = ("level__zone", "level__aisle", "level__shelf", "level__product__sku", "pk")
"""The order of a walk."""
_LONGEST_FIGURE: Final = 7
"""More digits than these are a barcode's, never a quantity."""
_MOST_SHOWN: Final = 200
"""The lines that a page of the walk has, so that the next one is shown without a request."""


def progress_of(count: StockCount) -> Progress:
    """The progress of a count."""
    return counts_documents.progress_of([count.pk])[count.pk]


def walk_address(count_id: UUID, query: str = "", walk: str = "walk") -> str:
    """The address of a count's walk; ``walk`` is ``recount`` for the recount list."""
    return reverse(f"admin:inventory_stockcount_{walk}", args=[count_id]) + query


def place_of(line: StockCountLine) -> str:
    """The location of a line, as its label shows it; empty if it has none."""
    return name_of(line.level.zone, line.level.aisle, line.level.shelf)


class LineForm(DialogForm):
    """The counted quantity of a line."""

    line = forms.UUIDField(widget=forms.HiddenInput)
    counted = WholeNumberField(
        label=_("How many are there?"),
        max_value=QUANTITY_LIMIT,
        error_messages={"required": _("Enter a number, or 0 if there are none.")},
        widget=forms.TextInput(
            attrs={"enterkeyhint": "next", "class": "flow-input flow-counted", "autofocus": True},
        ),
    )
    misread: LazyText = ""
    """Why the typed text is a code and not a quantity; empty if it is a quantity."""

    def clean_counted(self) -> Any:
        """Refuse a code."""
        if self.misread:
            raise forms.ValidationError(str(self.misread), code="invalid")
        return self.cleaned_data["counted"]


class WalkPage(AsksAboutUnusual, SharedDialog[Counted]):
    """The walk of a count: one line after the other, in the order of locations, without expected quantities."""

    title: ClassVar[LazyText] = _("Count")
    is_page = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "product_not_in_count": _("This product is not in this count."),
    }
    permission = "inventory.count_stock"
    form_class = LineForm
    usual_of = "COUNT"
    template = "console/counts/walk.html"
    walk: ClassVar[str] = "walk"
    is_again: ClassVar[bool] = False
    """Whether this is the walk of the recount list."""
    misread: LazyText = ""
    choices: Sequence[tuple[StockCountLine, str]] = ()
    """The lines that a code of several products could mean, with their addresses."""

    def answer(self) -> HttpResponse:
        typed = self.request.POST.get("counted", "").strip()
        is_code = len(typed) >= _SHORTEST_CODE or (typed and not typed.isdigit())
        jump = self._jump(typed) if is_code and self.request.user.has_perm(self.permission) else None
        return jump or super().answer()

    def make_form(self, **arguments: Any) -> DialogForm:
        form = cast(LineForm, super().make_form(**arguments))
        form.misread = self.misread
        return form

    def _jump(self, code: str) -> HttpResponse | None:
        """Go to the line of a product whose code was scanned into the field of the quantity."""
        products = products_by_code(code)
        lines = list(self._lines().filter(level__product__in=products)) if products else []
        line = lines[0] if len(products) == 1 and lines else None
        if line is None:
            if lines:
                self.choices = [(each, self._address_of(each)) for each in lines]
                self.misread = str(_("%(code)s is the code of several products. Which one is it?")) % {"code": code}
            elif products:
                self.misread = str(_("The product %(code)s is not in this count.")) % {"code": code}
            elif code.isdigit() and len(code) > _LONGEST_FIGURE:
                self.misread = str(_("%(code)s is neither a product's code nor a quantity.")) % {"code": code}
            return None
        return redirect(self._address_of(line))

    def _address_of(self, line: StockCountLine) -> str:
        walk = "recount" if self.is_again and line.needs_recount else "walk"
        return walk_address(self.subject.pk, f"?line={line.pk}", walk)

    # ------------------------------------------------------------------------------------------------ which line

    def _lines(self) -> QuerySet[StockCountLine]:
        return StockCountLine.objects.filter(count=self.subject.pk).select_related("level__product").order_by(*WALK)

    def _to_do(self) -> QuerySet[StockCountLine]:
        open_ = Q(needs_recount=True) if self.is_again else Q(counted__isnull=True)
        return self._lines().filter(open_)

    @cached_property
    def skipped(self) -> int:
        """The number of lines skipped for now."""
        given = self.request.GET.get("skip", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < _SHORTEST_CODE else 0

    @cached_property
    def line(self) -> StockCountLine | None:
        """The line to count now; None if none is left. Raises Http404 for a line of another count."""
        wanted = self.request.POST.get("line") or self.request.GET.get("line")
        if wanted:
            found = self._lines().filter(pk=parse_uuid(wanted) or NIL).first()
            if found is None:
                raise Http404
        else:
            found = self._to_do()[self.skipped : self.skipped + 1].first() or self._to_do().first()
        if found is not None:
            with_warnings([found.level])
        return found

    def state(self) -> str:
        """The times of the line's counts, which only increase."""
        line = self.line
        return f"{line.pk} {line.counted_at} {line.recounted_at}" if line else ""

    def initial(self) -> dict[str, Any]:
        return {**super().initial(), "line": self.line.pk if self.line else None}

    # ------------------------------------------------------------------------------------------------- entering

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Counted | StoredAnswer:
        line = self.line
        assert line is not None  # noqa: S101 - the form names it
        entered = EnteredCount(ProductRef(line.level.product_id), given["counted"], self._is_recount(line))
        return entering.enter_counts(EnterRequest(actor, self.subject.pk, (entered,), claim))

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        if self.line:
            yield Amount(self.line.level.product_id, self.line.level.product.sku, given["counted"])

    def _is_recount(self, line: StockCountLine) -> bool:
        return self.is_again or line.recounted is not None

    def tell(self, result: Counted) -> str:
        line = result.lines[0]
        values = {"sku": line.sku, "counted": line.counted if line.recounted is None else line.recounted}
        words = _("%(sku)s: %(counted)s counted.")
        if line.needs_recount:
            words = _("%(sku)s: %(counted)s counted. Added to the recount list.")
        return str(words) % values

    def way_back(self) -> str:
        """The address of the next line of the same list."""
        return walk_address(self.subject.pk, f"?skip={self.skipped}" if self.skipped else "", self.walk)

    # --------------------------------------------------------------------------------------------- for the template

    @cached_property
    def progress(self) -> Progress:
        """The progress of the count."""
        return progress_of(self.subject)

    @property
    def is_open(self) -> bool:
        """Whether the count is open."""
        return bool(self.subject.status == StockCount.Status.OPEN)

    @property
    def place(self) -> str:
        """The location of the line."""
        return place_of(self.line) if self.line else ""

    @property
    def is_correction(self) -> bool:
        """Whether the line was counted before, so that its count is corrected."""
        return self.line is not None and self.line.counted is not None and not self.is_again

    @cached_property
    def upcoming(self) -> list[tuple[StockCountLine, str]]:
        """The lines that come after this one, and this one, with their places: the page shows the next one at once."""
        lines = list(self._to_do()[self.skipped : self.skipped + _MOST_SHOWN])
        if self.line is not None and self.line not in lines:
            lines.insert(0, self.line)
        with_warnings(line.level for line in lines)
        return [(line, place_of(line)) for line in lines]

    @property
    def scan_address(self) -> str:
        """The address that takes the scans of this walk."""
        return walk_address(self.subject.pk, walk=f"{self.walk}_scans")

    @property
    def walk_address(self) -> str:
        """The address of this walk."""
        return walk_address(self.subject.pk, walk=self.walk)

    @property
    def skip_address(self) -> str:
        """The address of the line after this one; skipped lines come again."""
        return f"?skip={self.skipped + 1}"

    @property
    def lately(self) -> list[StockCountLine]:
        """The lines that this user counted last."""
        name = self.request.user.get_username()
        mine = self._lines().filter(Q(counted_by=name) | Q(recounted_by=name))
        return with_sold(_with_warnings(mine.order_by("-counted_at")[:_LATELY]))

    @property
    def to_recount(self) -> list[StockCountLine]:
        """The first lines of the recount list, as many as a screen shows."""
        return _with_warnings(self._lines().filter(needs_recount=True)[:50])


def with_sold(lines: Iterable[StockCountLine]) -> list[Any]:
    """Set ``sold`` on each line: the units sold in the 24 hours before it was counted, None while it is counted blind.

    One query for all.
    """
    rows: list[Any] = list(lines)
    sold = sold_before(rows)
    for row in rows:
        row.sold = sold.get(row.pk)
    return rows


def _with_warnings(lines: Iterable[StockCountLine]) -> list[StockCountLine]:
    """The lines, with the warnings about their levels; one query for all."""
    found = list(lines)
    with_warnings(line.level for line in found)
    return found


class RecountPage(WalkPage):
    """The walk of the lines that need a second count."""

    walk = "recount"
    is_again = True

"""The flow of a count in the console: open it, walk it line by line, count blind, or cancel it."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.actors import Actor
from audit.console.base import multiple_choice, text_field
from audit.console.dialogs import ChoiceField, Dialog, DialogForm, SharedDialog, WhyForm
from audit.console.numbers import WholeNumberField
from audit.console.texts import CodeField, NoteField
from audit.console.wording import LazyText, share_wordings
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import NIL, parse_uuid
from inventory.admin.stock.scanning import warehouse_choices
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import QUANTITY_LIMIT, StockCount, StockCountLine
from inventory.services.catalogue.codes import products_by_code
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import entering, opening
from inventory.services.counts.documents import ProductRef, Progress
from inventory.services.counts.entering import Counted, EnteredCount, EnterRequest
from inventory.services.counts.opening import Opened, OpenRequest
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


share_wordings(
    {
        "count_closed": _("This count is over: it was posted or cancelled."),
        "nothing_to_count": _("There is nothing to count here, or other open counts have all of it."),
    }
)


def progress_of(count: StockCount) -> Progress:
    """The progress of a count."""
    return counts_documents.progress_of([count.pk])[count.pk]


class OpenForm(DialogForm):
    """The scope of a count. ``data-when`` shows a field only for its scope."""

    warehouse = ChoiceField(label=_("Warehouse"))
    scope = ChoiceField(label=_("What"), choices=StockCount.Scope.choices)
    zone = text_field(10, kind=CodeField, label=_("Zone"))
    stale_days = WholeNumberField(
        label=_("Not counted for so many days"),
        help_text=_("Empty: what was never counted."),
        required=False,
        min_value=1,
        max_value=3_650,
    )
    products = NoteField(
        label=_("Products"),
        help_text=_("Scan them one after the other: a SKU or barcode on each line."),
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "data-when": "PRODUCTS"}),
    )
    recount_percent = WholeNumberField(
        label=_("Count again from a difference of"),
        help_text=_("Per cent of what was expected. Empty: nothing is counted twice."),
        required=False,
        min_value=0,
        max_value=100,
        initial=10,
    )
    note = text_field(500, label=_("Note"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].widget.attrs["data-when"] = "ZONE"
        self.fields["stale_days"].widget.attrs["data-when"] = "STALE"

    def clean(self) -> dict[str, Any]:
        """Resolve the named products as ``refs``, and drop the fields of other scopes."""
        given = super().clean() or {}
        scope = given.get("scope")
        given["refs"] = ()
        if scope != StockCount.Scope.ZONE:
            given["zone"] = ""
        elif not given.get("zone"):
            self.add_error("zone", _("Say which zone."))
        if scope != StockCount.Scope.STALE:
            given["stale_days"] = None
        if scope == StockCount.Scope.PRODUCTS:
            given["refs"] = self._named(str(given.get("products", "")).split("\n"))
        return given

    def _named(self, typed: Sequence[str]) -> tuple[UUID, ...]:
        """The ids of the products with these codes. A code of several products needs a tick at those that are meant."""
        ticked = set(self.data.getlist("meant")) if hasattr(self.data, "getlist") else set()
        found: dict[UUID, None] = {}
        offered: dict[str, str] = {}
        for code in filter(None, (line.strip() for line in typed)):
            match = products_by_code(code)
            meant = match if len(match) == 1 else [product for product in match if str(product.pk) in ticked]
            if not match:
                self.add_error("products", str(_("%(code)s is not the code of one product.")) % {"code": code})
            elif not meant:
                words = _("%(code)s is a code of several products: tick below which are meant.")
                self.add_error("products", str(words) % {"code": code})
            if len(match) > 1:
                offered |= {str(product.pk): str(product) for product in match}
            found |= dict.fromkeys(product.pk for product in meant)
        if offered:
            self._offer(offered)
        if not found and "products" not in self.errors:
            self.add_error("products", _("Say which products."))
        return tuple(found)

    def _offer(self, products: Mapping[str, str]) -> None:
        """Show these products, by id, as choices below the codes."""
        self.fields["meant"] = multiple_choice(list(products.items()), label=_("Meant are"))
        names = [name for name in self.fields if name != "meant"]
        place = names.index("products") + 1
        self.order_fields([*names[:place], "meant", *names[place:]])


class OpenCountPage(Dialog[Opened]):
    """Open a count; its walk begins at once."""

    title: ClassVar[LazyText] = _("Open a count")
    is_page = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "already_in_count": _("One of these products is in another open count. Finish that first."),
        "count_too_large": _("That is too much for one count: count zone by zone."),
    }
    intro = _("Goods may come and go while it is counted: each line is compared at the moment of its counting.")
    submit = _("Open and begin")
    permission = "inventory.count_stock"
    form_class = OpenForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        cast(forms.ChoiceField, form.fields["warehouse"]).choices = warehouse_choices(self.request)
        return form

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Opened | StoredAnswer:
        percent = given["recount_percent"]
        request = OpenRequest(
            actor,
            given["warehouse"],
            given["scope"],
            given["zone"],
            tuple(ProductRef(id_) for id_ in given["refs"]),
            given["stale_days"],
            None if percent is None else Decimal(percent) / 100,
            given["note"],
            claim,
        )
        return opening.open_count(request)

    def tell(self, result: Opened) -> str:
        lines = result.progress.lines
        words = ngettext("%(count)s line to count in %(place)s.", "%(count)s lines to count in %(place)s.", lines)
        message = words % {"count": lines, "place": result.count.warehouse.code}
        left_out = sum(result.elsewhere.values())
        if left_out:
            more = ngettext(
                "%(count)s line is left out: another open count has it.",
                "%(count)s lines are left out: other open counts have them.",
                left_out,
            )
            message = f"{message} {more % {'count': left_out}}"
        return message

    def done(self, result: Opened) -> HttpResponse:
        """Go to the first line."""
        messages.success(self.request, self.tell(result))
        return redirect(walk_address(result.count.pk))


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
        error_messages={"required": _("Type a number; 0 if there is none.")},
        widget=forms.TextInput(
            attrs={"enterkeyhint": "next", "class": "flow-input flow-counted", "autofocus": True},
        ),
    )
    misread: LazyText = ""
    """Why what was typed is a code and no quantity; empty if it isn't."""

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
        line = self._lines().filter(level__product=products[0]).first() if len(products) == 1 else None
        if line is None:
            if len(products) > 1:
                words = _("%(code)s is the code of several products. Type one of these: %(skus)s.")
                self.misread = str(words) % {"code": code, "skus": ", ".join(product.sku for product in products)}
            elif products:
                self.misread = str(_("%(code)s is a product that is not in this count.")) % {"code": code}
            elif code.isdigit() and len(code) > _LONGEST_FIGURE:
                self.misread = str(_("%(code)s is no product's code, and no quantity.")) % {"code": code}
            return None
        walk = "recount" if self.is_again and line.needs_recount else "walk"
        return redirect(walk_address(self.subject.pk, f"?line={line.pk}", walk))

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
            return found
        return self._to_do()[self.skipped : self.skipped + 1].first() or self._to_do().first()

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
            words = _("%(sku)s: %(counted)s counted. It is on the recount list, to be counted once more later.")
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
        return list(mine.order_by("-counted_at")[:_LATELY])

    @property
    def to_recount(self) -> list[StockCountLine]:
        """The first lines of the recount list, as many as a screen shows."""
        return list(self._lines().filter(needs_recount=True)[:50])


class RecountPage(WalkPage):
    """The walk of the lines that need a second count."""

    walk = "recount"
    is_again = True


class CancelCountDialog(SharedDialog[Counted]):
    """Cancel a count. The entered quantities are kept, and never posted."""

    title = _("Cancel this count")
    intro = _("What was counted stays to be read, but changes no stock. This can't be undone.")
    submit = _("Cancel the count")
    permission = "inventory.post_count"
    form_class = WhyForm
    is_final = True

    def state(self) -> str:
        """Always the same: a count is cancelled only once."""
        return ""

    def about(self) -> list[tuple[LazyText, Any]]:
        progress = progress_of(self.subject)
        return [(_("Warehouse"), self.subject.warehouse), (_("Counted"), f"{progress.counted} / {progress.lines}")]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Counted | StoredAnswer:
        return entering.cancel_count(entering.CancelCountRequest(actor, self.subject.pk, given["reason"], claim))

    def tell(self, result: Counted) -> str:
        return str(_("The count in %(place)s is cancelled. No stock was changed.")) % {
            "place": result.count.warehouse.code
        }

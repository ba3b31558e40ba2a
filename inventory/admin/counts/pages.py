"""Opening and cancelling of counts in the console."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
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
from inventory.admin.counts.walking import progress_of, walk_address
from inventory.admin.stock.warehouse_choices import warehouse_choices
from inventory.models import StockCount
from inventory.services.catalogue.codes import products_by_code
from inventory.services.counts import entering, opening
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import Counted
from inventory.services.counts.opening import Opened, OpenRequest

share_wordings(
    {
        "count_closed": _("This count is closed: it was posted or cancelled."),
        "nothing_to_count": _("There is nothing to count here, or it is all in other open counts."),
    }
)


class OpenForm(DialogForm):
    """The scope of a count. ``data-when`` shows a field only for its scope."""

    warehouse = ChoiceField(label=_("Warehouse"))
    scope = ChoiceField(label=_("What"), choices=StockCount.Scope.choices)
    zone = text_field(10, kind=CodeField, label=_("Zone"))
    stale_days = WholeNumberField(
        label=_("Not counted for (days)"),
        help_text=_("Leave empty for stock that was never counted."),
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
        label=_("Recount if off by more than (%)"),
        help_text=_("Percent of the expected quantity. Leave empty for no recount."),
        required=False,
        min_value=0,
        max_value=100,
        initial=10,
    )
    note = text_field(500, label=_("Reason"))

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
            self.add_error("zone", _("Enter the zone."))
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
                words = _("Several products have the code %(code)s. Tick the ones to count below.")
                self.add_error("products", str(words) % {"code": code})
            if len(match) > 1:
                offered |= {str(product.pk): str(product) for product in match}
            found |= dict.fromkeys(product.pk for product in meant)
        if offered:
            self._offer(offered)
        if not found and "products" not in self.errors:
            self.add_error("products", _("Enter the products."))
        return tuple(found)

    def _offer(self, products: Mapping[str, str]) -> None:
        """Show these products, by id, as choices below the codes."""
        self.fields["meant"] = multiple_choice(list(products.items()), label=_("Products to count"))
        names = [name for name in self.fields if name != "meant"]
        place = names.index("products") + 1
        self.order_fields([*names[:place], "meant", *names[place:]])


class OpenCountPage(Dialog[Opened]):
    """Open a count; its walk begins at once."""

    title: ClassVar[LazyText] = _("Open a count")
    is_page = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "already_in_count": _("One of these products is in another open count. Finish that first."),
        "count_too_large": _("Too many lines for one count: count zone by zone."),
    }
    intro = _("Stock may move during the count: differences are measured when each line is counted.")
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


class CancelCountDialog(SharedDialog[Counted]):
    """Cancel a count. The entered quantities are kept, and never posted."""

    title = _("Cancel this count")
    intro = _("The counted figures are kept, but stock is not changed. This can't be undone.")
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

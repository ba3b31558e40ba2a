"""Dialogs of several selected stock levels; each calls a service once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actors import Actor
from audit.console.base import ConsoleAdmin
from audit.console.dialogs import ChoiceField, Dialog, DialogForm
from audit.console.numbers import QuantityField
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import parse_uuid
from inventory.admin.stock.dialogs import (
    LINE_INDEX,
    R,
    ReasonKind,
    StockForm,
    adjustment_of,
    change_text,
    destinations_of,
    offer_destinations,
    wanted_of,
    why_not,
)
from inventory.admin.stock.marks import with_warnings
from inventory.admin.stock.undo import OffersUndo
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, AdjustRequest, apply_adjustments
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import TransferRequest
from inventory.services.transfers.moves import Transferred

MOST_ROWS: Final = 100
"""The most rows of one form: nobody would check more before sending them."""
_ROWS_IN_MESSAGE: Final = 3


class RowsForm(StockForm):
    """A form with a quantity for each row; rows left empty are left out."""

    levels: Sequence[StockLevel] = ()

    def add_rows(self, levels: Sequence[StockLevel]) -> None:
        """Add a field for each row, the first with the focus."""
        self.levels = levels
        rows = {}
        for index, level in enumerate(levels):
            label = str(_("Quantity of %(sku)s in %(warehouse)s")) % {
                "sku": level.product.sku,
                "warehouse": level.warehouse.code,
            }
            field = rows[units_name(level.pk)] = QuantityField(label=label, required=False)
            field.widget.attrs |= {"aria-label": label} | ({"autofocus": True} if index == 0 else {})
        self.fields = rows | self.fields

    def rows(self) -> list[tuple[StockLevel, forms.BoundField]]:
        """Each row with its field."""
        return [(level, self[units_name(level.pk)]) for level in self.levels]

    def shared(self) -> list[forms.BoundField]:
        """The fields for all rows together."""
        own = {units_name(level.pk) for level in self.levels}
        return [field for field in self if field.name not in own]

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        names = [units_name(level.pk) for level in self.levels]
        if not any(given.get(name) for name in names) and not set(names) & self.errors.keys():
            self.add_error(None, _("Enter a quantity in at least one row."))
        return given


def units_name(level_id: UUID) -> str:
    """The name of a row's field."""
    return f"units-{level_id}"


class MoveRowsForm(RowsForm):
    """A form with a quantity for each row, and one destination."""

    to_warehouse = ChoiceField(label=_("To"))
    needs_reason = False


class ChosenDialog(Dialog[R]):
    """One action on all selected rows.

    The ids of the rows are ``level`` parameters of the address or the form. Rows out of the user's reach are ignored.
    """

    def __init__(self, model_admin: ConsoleAdmin, request: HttpRequest) -> None:
        super().__init__(model_admin, request)
        self.levels = self._chosen()

    def _chosen(self) -> list[StockLevel]:
        """The rows, by SKU. Raises Http404 if none is in reach."""
        asked = (self.request.POST if self.request.method == "POST" else self.request.GET).getlist("level")
        ids = [id_ for text in asked[:MOST_ROWS] if (id_ := parse_uuid(text))]
        found = self.model_admin.get_queryset(self.request).filter(pk__in=ids)
        levels = list(found.order_by("product__sku", "warehouse__code"))
        if not levels:
            raise Http404
        return with_warnings(levels)


class RowsDialog(OffersUndo, AsksAboutUnusual, ChosenDialog[R]):
    """One action on selected rows with a quantity for each, all or none. An error is shown at its row."""

    kind: ClassVar[str]
    template = "console/stock/rows.html"

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        assert isinstance(form, RowsForm)  # noqa: S101 - for the type checker: subclasses give no other
        form.offer(self.kind)
        form.add_rows(self.levels)
        return form

    def sent(self, given: Mapping[str, Any]) -> list[tuple[StockLevel, int]]:
        """The rows with a quantity, in the order of the service's request."""
        return [(level, units) for level in self.levels if (units := given.get(units_name(level.pk)))]

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        return (Amount(level.product_id, level.product.sku, units) for level, units in self.sent(given))

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        sent = self.sent(form.cleaned_data)
        placed = False
        for fault in error.faults:
            found = LINE_INDEX.match(fault.pointer)
            if found and int(found[1]) < len(sent):
                form.add_error(units_name(sent[int(found[1])][0].pk), why_not(self, error, [fault]))
                placed = True
        form.add_error(None, _("Nothing was changed: see the rows in red.") if placed else self.wording_of(error))


class ReceiveRowsDialog(RowsDialog[Adjusted]):
    """Receive units of several products."""

    title = _("Receive the chosen rows")
    submit = _("Receive")
    permission = "inventory.receive_stock"
    kind = ReasonKind.RECEIVE
    usual_of = "RECEIPT"
    form_class = RowsForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        lines = tuple(adjustment_of(level, "RECEIPT", units, given) for level, units in self.sent(given))
        return apply_adjustments(AdjustRequest(actor=actor, adjustments=lines, claim=claim))

    def tell(self, result: Adjusted) -> str:
        skus = {level.pk: level.product.sku for level in self.levels}
        message = ngettext("Received %(rows)s line:", "Received %(rows)s lines:", len(result.lines))
        rows = [f"{skus[line.level_id]} {change_text(line)}" for line in result.lines[:_ROWS_IN_MESSAGE]]
        return (
            f"{message % {'rows': len(result.lines)}} {' '.join(rows)}{' …' if result.lines[_ROWS_IN_MESSAGE:] else ''}"
        )


class TransferRowsDialog(RowsDialog[Transferred]):
    """Send units of several products to another warehouse, in one transfer."""

    title = _("Transfer the chosen rows")
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "mixed_route": _("A transfer goes from one warehouse to one other."),
    }
    submit = _("Send")
    intro = _("Units leave now and are added on arrival.")
    permission = "inventory.transfer_stock"
    kind = ReasonKind.TRANSFER
    usual_of = "TRANSFER"
    form_class = MoveRowsForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        offer_destinations(form, destinations_of(self.request, self.levels[0].warehouse.code))
        return form

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        items = tuple(wanted_of(level, units, given["to_warehouse"]) for level, units in self.sent(given))
        return transfers.start_transfer(
            TransferRequest(actor, items, reason=given["why"], reference=given["reference"], claim=claim)
        )

    def tell(self, result: Transferred) -> str:
        document = result.document
        message = ngettext(
            "%(units)s units of %(rows)s row are on their way from %(from)s to %(to)s.",
            "%(units)s units of %(rows)s rows are on their way from %(from)s to %(to)s.",
            len(document.items),
        )
        return message % {
            "units": sum(item.quantity for item in document.items),
            "rows": len(document.items),
            "from": document.source.code,
            "to": document.destination.code,
        }

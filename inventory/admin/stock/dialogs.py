"""Dialogs of one stock level; each calls a service once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, TypeVar

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import ChoiceField, Dialog, DialogForm, ReasonField, ReferenceField
from audit.console.numbers import QuantityField
from audit.console.wording import LazyText, share_wordings
from audit.errors import DomainError, Fault
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.overriding import OVERRIDE_WORDINGS, OverrideField, offer_override
from inventory.admin.stock.undo import OffersUndo
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import QUANTITY_LIMIT, AdjustmentReason, StockLevel, Warehouse
from inventory.services.catalogue.stock_warnings import Warnings, in_words, warnings_of_levels
from inventory.services.counts import opening
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.opening import Opened, OpenRequest
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, AppliedLine, apply_adjustments
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import MoveLine, TransferRequest
from inventory.services.transfers.moves import Transferred

LINE_INDEX: Final = re.compile(r"/(?:adjustments|items)/(\d+)")
ReasonKind = AdjustmentReason.Kind
R = TypeVar("R")

share_wordings(
    {
        "insufficient_stock": _("Not enough units are available. Nothing was changed."),
        "quantity_limit": _("A level has at most 2,000,000,000 units."),
        "warehouse_inactive": _("This warehouse is closed: it takes no receipts, returns or transfers."),
    }
)


class StockForm(DialogForm):
    """The base of all forms that change stock: the reason, and the number of a document."""

    reason = ChoiceField(label=_("Reason"), required=False)
    remark = ReasonField(
        label=_("In your own words"),
        help_text=_("Needed where no reason is chosen."),
        max_length=380,
        required=False,
    )
    reference = ReferenceField()
    needs_reason: ClassVar[bool] = True

    def offer(self, kind: str) -> None:
        """Offer the reasons that managers have set up for this kind."""
        offered = AdjustmentReason.objects.filter(is_active=True, kinds__contains=[kind]).order_by("text")
        field: Any = self.fields["reason"]
        blank = ("", _("Choose a reason, or write your own below"))
        field.choices = [blank, *((row.text, row.text) for row in offered)]

    def clean(self) -> dict[str, Any]:
        """Join the chosen reason and the added text."""
        given = super().clean() or self.cleaned_data
        why = ": ".join(part for part in (given.get("reason"), given.get("remark")) if part)
        if not why and self.needs_reason and not {"reason", "remark"} & self.errors.keys():
            self.add_error("remark", _("Choose a reason, or write your own."))
        given["why"] = why
        return given


class UnitsForm(StockForm):
    """A number of units."""

    quantity = QuantityField()
    field_order: Iterable[str] | None = ("quantity", "reason", "remark", "reference", "once")


class ShipmentForm(UnitsForm):
    """A number of units, and why they leave although they are frozen."""

    freeze_override = OverrideField()
    field_order = ("quantity", "freeze_override", "reason", "remark", "reference", "once")


class DifferenceForm(StockForm):
    """A signed difference."""

    quantity = QuantityField(
        signed=True, label=_("Difference"), help_text=_("Units to add or (−) remove, e.g. 3 or −3")
    )
    field_order: Iterable[str] | None = UnitsForm.field_order

    def clean_quantity(self) -> int:
        """Reject zero."""
        difference: int = self.cleaned_data["quantity"]
        if difference == 0:
            raise forms.ValidationError(_("Enter the difference, not the total; 0 changes nothing."))
        return difference


class MoveForm(UnitsForm):
    """A number of units and a destination."""

    to_warehouse = ChoiceField(label=_("To"))
    needs_reason = False
    field_order = ("quantity", "to_warehouse", "reason", "remark", "reference", "once")


class CountedForm(StockForm):
    """A counted quantity."""

    quantity = QuantityField(
        label=_("Counted"),
        min_value=0,
        max_value=QUANTITY_LIMIT,
        help_text=_("Units on the shelf, including reserved ones."),
    )
    reference = None  # type: ignore[assignment]  # removed: the count is the document
    needs_reason = False
    field_order = UnitsForm.field_order


class StockDialog(OffersUndo, AsksAboutUnusual, Dialog[R]):
    """The base of the dialogs of one level. The quantity has the focus."""

    kind: ClassVar[str]
    template = "console/stock/dialog.html"
    subject: StockLevel

    @cached_property
    def warnings(self) -> Warnings:
        """The warnings about the goods: frozen, discontinued, in a closed warehouse."""
        return warnings_of_levels([self.subject.pk]).get(self.subject.pk, ())

    def about(self) -> list[tuple[str | Promise, Any]]:
        level = self.subject
        figures = [(_("On hand"), level.on_hand), (_("Reserved"), level.reserved), (_("Available"), level.available)]
        return [*self.attention(), *figures]

    def attention(self) -> list[tuple[str | Promise, Any]]:
        """The warnings, as the first fact."""
        return [(_("Attention"), in_words(self.warnings))] if self.warnings else []

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        assert isinstance(form, StockForm)  # noqa: S101 - for the type checker: subclasses give no other
        form.offer(self.kind)
        form.fields["quantity"].widget.attrs["autofocus"] = True
        return form

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        yield Amount(self.subject.product_id, self.subject.product.sku, given["quantity"])

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        form.add_error("quantity" if error.code in _OF_QUANTITY else None, why_not(self, error, error.faults))


_OF_QUANTITY: Final = {"insufficient_stock", "quantity_limit"}


def why_not(dialog: Dialog[Any], error: DomainError, faults: Sequence[Fault]) -> str:
    """The dialog's text for an error, with the available units."""
    if error.code == "insufficient_stock" and faults and "available" in faults[0].facts:
        message = _("You can remove up to %(available)s; the rest is reserved.")
        return str(message) % {"available": max(0, faults[0].facts["available"])}
    return dialog.wording_of(error)


class AdjustmentDialog(StockDialog[Adjusted]):
    """The base of the dialogs that make one adjustment."""

    type: ClassVar[str]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        line = adjustment_of(self.subject, self.type, given["quantity"], given)
        override = given.get("freeze_override", "")
        return apply_adjustments(AdjustRequest(actor, (line,), claim, freeze_override=override))

    def tell(self, result: Adjusted) -> str:
        return f"{self.subject.product.sku}, {self.subject.warehouse.code}: {change_text(result.lines[0])}"


def adjustment_of(level: StockLevel, kind: str, units: int, given: Mapping[str, Any]) -> Adjustment:
    return Adjustment(level.product_id, None, level.warehouse.code, units, kind, given["why"], given["reference"])


def change_text(line: AppliedLine) -> str:
    """The text of an applied line: "20 → 30 on hand, 28 available"."""
    message = _("%(before)s → %(after)s on hand, %(available)s available.")
    return str(message) % {"before": line.before, "after": line.after, "available": line.available}


class ReceiveDialog(AdjustmentDialog):
    """Receive units."""

    title = submit = _("Receive")
    permission = "inventory.receive_stock"
    kind, type = ReasonKind.RECEIVE, "RECEIPT"
    usual_of = "RECEIPT"
    form_class = UnitsForm


class AdjustDialog(AdjustmentDialog):
    """Correct on hand by a difference, which doesn't undo concurrent changes."""

    title = submit = _("Adjust")
    permission = "inventory.adjust_stock"
    kind, type = ReasonKind.ADJUST, "ADJUSTMENT"
    usual_of = "ADJUSTMENT"
    form_class = DifferenceForm


class ShipDialog(AdjustmentDialog):
    """Ship units without a hold."""

    title = submit = _("Ship")
    intro = _("For units that leave without a reservation. Shop orders are deducted automatically.")
    permission = "inventory.ship_stock"
    kind, type = ReasonKind.SHIP, "SHIPMENT"
    usual_of = "SHIPMENT"
    form_class = ShipmentForm
    wordings: ClassVar[Mapping[str, LazyText]] = OVERRIDE_WORDINGS

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        offer_override(form, self.request, is_frozen=any(warning.is_freeze for warning in self.warnings))
        return form


def destinations_of(request: HttpRequest, source: str) -> list[tuple[str, str]]:
    """The other active warehouses, as choices: people of some warehouses may send to any."""
    others = Warehouse.objects.destinations_for(actor_of(request)).exclude(code=source)
    found = others.filter(is_active=True).order_by("code")
    return [(row.code, f"{row.code} {row.name}") for row in found]


_NOWHERE: Final = _("There is no other active warehouse.")


class TransferDialog(StockDialog[Transferred]):
    """Send units to another warehouse."""

    title = _("Transfer")
    submit = _("Send")
    intro = _("Units leave now and are added on arrival.")
    permission = "inventory.transfer_stock"
    kind = ReasonKind.TRANSFER
    usual_of = "TRANSFER"
    form_class = MoveForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        offer_destinations(form, destinations_of(self.request, self.subject.warehouse.code))
        return form

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        item = wanted_of(self.subject, given["quantity"], given["to_warehouse"])
        return transfers.start_transfer(
            TransferRequest(actor, (item,), reason=given["why"], reference=given["reference"], claim=claim)
        )

    def tell(self, result: Transferred) -> str:
        item = result.document.items[0]
        before, after = result.sources[item.id]
        message = _("%(units)s of %(sku)s are on their way to %(to)s: %(before)s → %(after)s on hand in %(from)s.")
        return str(message) % {
            "units": item.quantity,
            "sku": self.subject.product.sku,
            "to": result.document.destination.code,
            "before": before,
            "after": after,
            "from": result.document.source.code,
        }


def wanted_of(level: StockLevel, units: int, destination: str) -> MoveLine:
    return MoveLine(level.product_id, None, units, level.warehouse.code, destination)


def offer_destinations(form: DialogForm, choices: Sequence[tuple[str, str]]) -> None:
    field = form.fields["to_warehouse"]
    field.choices = list(choices)  # type: ignore[attr-defined]
    if not choices:
        field.help_text = str(_NOWHERE)


class CountDialog(StockDialog[Opened]):
    """Enter the count of one product. On hand is not shown, so that people count blind."""

    title = _("Count")
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "already_in_count": _("This product is in an open count already. Enter what you counted there."),
    }
    submit = _("Enter the count")
    intro = _("The quantity is entered in a new count. Stock changes when the count is posted.")
    permission = "inventory.count_stock"
    kind = ReasonKind.COUNT
    usual_of = "COUNT"
    form_class = CountedForm

    def about(self) -> list[tuple[str | Promise, Any]]:
        return self.attention()

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Opened | StoredAnswer:
        request = OpenRequest(
            actor=actor,
            warehouse=self.subject.warehouse.code,
            scope=opening.CountScope.PRODUCTS.value,
            products=(ProductRef(self.subject.product_id),),
            note=given["why"],
            claim=claim,
        )
        return opening.count_one(request, given["quantity"])

    def tell(self, result: Opened) -> str:
        message = _("%(sku)s, %(warehouse)s: your count is entered. Stock changes once it is posted.")
        return str(message) % {
            "sku": self.subject.product.sku,
            "warehouse": self.subject.warehouse.code,
        }

"""What staff do with stock, from a row, its page or several chosen rows: each a dialog that calls a service once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar
from uuid import UUID

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from audit.console import warehouse_codes_of, wording_of, wordings
from audit.dialogs import ChoiceField, Dialog, DialogForm, QuantityField, ReasonField, ReferenceField
from audit.errors import DomainError, Fault
from audit.idempotency import Claim, StoredAnswer
from audit.services import Asker
from inventory.models import AdjustmentReason, StockLevel, Warehouse
from inventory.services import counts, transfers
from inventory.services.adjustments import Adjusted, Adjustment, AdjustRequest, AppliedLine, apply_adjustments
from inventory.services.counts import Opened, OpenRequest, ProductRef
from inventory.services.transfer_moves import Transferred
from inventory.services.transfers import TransferRequest, Wanted

wordings.update(
    {
        "insufficient_stock": _("There are not that many to take. Nothing was changed."),
        "quantity_limit": _("A level has at most 2,000,000,000 units."),
        "already_in_count": _("This product is in an open count already. Enter what you counted there."),
        "mixed_route": _("A transfer goes from one warehouse to one other."),
    }
)

MOST_ROWS: Final = 100
"""The most rows that one form takes: more are no longer looked through before they are sent."""
_TOLD_ROWS: Final = 3
_INDEX: Final = re.compile(r"/(?:adjustments|items)/(\d+)")
Kind = AdjustmentReason.Kind
R = TypeVar("R")


class _StockForm(DialogForm):
    """What every change of stock asks for besides its quantity: why, and by which paper."""

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
        """Fill the list of reasons with those that managers offer for this kind."""
        offered = AdjustmentReason.objects.filter(is_active=True, kinds__contains=[kind]).order_by("text")
        field = self.fields["reason"]
        field.choices = [("", _("Choose one, or write your own below")), *((row.text, row.text) for row in offered)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """One text of the chosen reason and of what was added to it."""
        given = super().clean() or self.cleaned_data
        why = ": ".join(part for part in (given.get("reason"), given.get("remark")) if part)
        if not why and self.needs_reason and not {"reason", "remark"} & self.errors.keys():
            self.add_error("remark", _("Choose a reason, or say it in your own words."))
        given["why"] = why
        return given


class UnitsForm(_StockForm):
    """Units that come, go or move."""

    quantity = QuantityField()
    field_order: Iterable[str] | None = ("quantity", "reason", "remark", "reference", "once")


class DifferenceForm(_StockForm):
    """A signed difference."""

    quantity = QuantityField(
        signed=True, label=_("Difference"), help_text=_("What comes on top, or with a minus what goes: 3 or -3.")
    )
    field_order: Iterable[str] | None = UnitsForm.field_order

    def clean_quantity(self) -> int:
        """A difference of nothing is none."""
        difference: int = self.cleaned_data["quantity"]
        if difference == 0:
            raise forms.ValidationError(_("Give the difference, not the total; 0 changes nothing."))
        return difference


class MoveForm(UnitsForm):
    """Units that go to another warehouse."""

    to_warehouse = ChoiceField(label=_("To"))
    needs_reason = False
    field_order = ("quantity", "to_warehouse", "reason", "remark", "reference", "once")


class CountedForm(_StockForm):
    """What somebody counted."""

    quantity = QuantityField(label=_("Counted"), min_value=0, help_text=_("How many are there, held ones included."))
    reference = None  # type: ignore[assignment]  # taken out: the count is its own paper
    needs_reason = False
    field_order = UnitsForm.field_order


class StockDialog(Dialog[R]):
    """An action on one level. The quantity has the focus: it is what is typed."""

    kind: ClassVar[str]
    template = "console/stock/dialog.html"
    subject: StockLevel

    def about(self) -> list[tuple[str | Promise, Any]]:
        level = self.subject
        return [(_("On hand"), level.on_hand), (_("Reserved"), level.reserved), (_("Available"), level.available)]

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        assert isinstance(form, _StockForm)  # noqa: S101 - for the type checker: subclasses give no other
        form.offer(self.kind)
        form.fields["quantity"].widget.attrs["autofocus"] = True
        return form

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        form.add_error("quantity" if error.code in _OF_QUANTITY else None, _why_not(error, error.faults))


_OF_QUANTITY: Final = {"insufficient_stock", "quantity_limit"}


def _why_not(error: DomainError, faults: Sequence[Fault]) -> str:
    """A refusal in the warehouse's words, with the figure that helps."""
    if error.code == "insufficient_stock" and faults and "available" in faults[0].facts:
        told = _("At most %(available)s can go: the rest is held for orders, or not there.")
        return str(told) % {"available": max(0, faults[0].facts["available"])}
    return wording_of(error)


class _AdjustmentDialog(StockDialog[Adjusted]):
    """A change of on hand by one adjustment."""

    type: ClassVar[str]

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        line = _adjustment(self.subject, self.type, given["quantity"], given)
        return apply_adjustments(AdjustRequest(asker=asker, adjustments=(line,), claim=claim))

    def tell(self, result: Adjusted) -> str:
        return f"{self.subject.product.sku}, {self.subject.warehouse.code}: {_change(result.lines[0])}"


def _adjustment(level: StockLevel, kind: str, units: int, given: Mapping[str, Any]) -> Adjustment:
    return Adjustment(level.product_id, None, level.warehouse.code, units, kind, given["why"], given["reference"])


def _change(line: AppliedLine) -> str:
    """ "20 → 30 on hand, 28 available"."""
    told = _("%(before)s → %(after)s on hand, %(available)s available.")
    return str(told) % {"before": line.before, "after": line.after, "available": line.available}


class ReceiveDialog(_AdjustmentDialog):
    """Units that came in."""

    title = submit = _("Receive")
    permission = "inventory.receive_stock"
    kind, type = Kind.RECEIVE, "RECEIPT"
    form_class = UnitsForm


class AdjustDialog(_AdjustmentDialog):
    """A correction, as a difference: what others do meanwhile is not undone by it."""

    title = submit = _("Adjust")
    permission = "inventory.adjust_stock"
    kind, type = Kind.ADJUST, "ADJUSTMENT"
    form_class = DifferenceForm


class ShipDialog(_AdjustmentDialog):
    """Units that leave without a hold."""

    title = submit = _("Ship")
    intro = _("For what leaves without a reservation. Orders of the shop take their units by themselves.")
    permission = "inventory.ship_stock"
    kind, type = Kind.SHIP, "SHIPMENT"
    form_class = UnitsForm


def _destinations(request: HttpRequest, source: str) -> list[tuple[str, str]]:
    """The other active warehouses in the user's reach, to choose from."""
    found = Warehouse.objects.filter(is_active=True).exclude(code=source).order_by("code")
    if codes := warehouse_codes_of(request.user):
        found = found.filter(code__in=codes)
    return [(row.code, f"{row.code} {row.name}") for row in found]


_NOWHERE: Final = _("There is no other warehouse that you may send to. Ask an administrator for one.")


class TransferDialog(StockDialog[Transferred]):
    """Units that set out for another warehouse."""

    title = _("Transfer")
    submit = _("Send")
    intro = _("They leave at once, and count there when they are received.")
    permission = "inventory.transfer_stock"
    kind = Kind.TRANSFER
    form_class = MoveForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        _offer_destinations(form, _destinations(self.request, self.subject.warehouse.code))
        return form

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        item = _wanted(self.subject, given["quantity"], given["to_warehouse"])
        return transfers.start_transfer(
            TransferRequest(asker, (item,), reason=given["why"], reference=given["reference"], claim=claim)
        )

    def tell(self, result: Transferred) -> str:
        item = result.document.items[0]
        before, after = result.sources[item.id]
        told = _("%(units)s of %(sku)s are on their way to %(to)s: %(before)s → %(after)s on hand in %(from)s.")
        return str(told) % {
            "units": item.quantity,
            "sku": self.subject.product.sku,
            "to": result.document.destination.code,
            "before": before,
            "after": after,
            "from": result.document.source.code,
        }


def _wanted(level: StockLevel, units: int, destination: str) -> Wanted:
    return Wanted(level.product_id, None, units, level.warehouse.code, destination)


def _offer_destinations(form: DialogForm, choices: Sequence[tuple[str, str]]) -> None:
    field = form.fields["to_warehouse"]
    field.choices = list(choices)  # type: ignore[attr-defined]
    if not choices:
        field.help_text = str(_NOWHERE)


class CountDialog(StockDialog[Opened]):
    """What somebody counted of one product. Blind: what the books say is not shown."""

    title = _("Count")
    submit = _("Enter the count")
    intro = _("The figure is kept in a count of its own. Stock changes when somebody posts it.")
    permission = "inventory.count_stock"
    kind = Kind.COUNT
    form_class = CountedForm

    def about(self) -> list[tuple[str | Promise, Any]]:
        return []

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Opened | StoredAnswer:
        request = OpenRequest(
            asker=asker,
            warehouse=self.subject.warehouse.code,
            scope=counts.Scope.PRODUCTS.value,
            products=(ProductRef(self.subject.product_id),),
            note=given["why"],
            claim=claim,
        )
        return counts.count_one(request, given["quantity"])

    def tell(self, result: Opened) -> str:
        told = _("%(sku)s, %(warehouse)s: your count is entered in %(count)s. Stock changes once it is posted.")
        return str(told) % {
            "sku": self.subject.product.sku,
            "warehouse": self.subject.warehouse.code,
            "count": result.count.public_id,
        }


# ---------------------------------------------------------------------------------------------------- several at once


class RowsForm(_StockForm):
    """A quantity for each row; rows left empty are left out."""

    levels: Sequence[StockLevel] = ()

    def add_rows(self, levels: Sequence[StockLevel]) -> None:
        """Make a field for each row, the first with the focus."""
        self.levels = levels
        rows = {}
        for index, level in enumerate(levels):
            label = str(_("Quantity of %(sku)s in %(warehouse)s")) % {
                "sku": level.product.sku,
                "warehouse": level.warehouse.code,
            }
            attributes = {"inputmode": "numeric", "autocomplete": "off", "aria-label": label}
            widget = UnfoldAdminIntegerFieldWidget(attrs=attributes | ({"autofocus": True} if index == 0 else {}))
            rows[units_name(level.pk)] = QuantityField(label=label, required=False, widget=widget)
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
            self.add_error(None, _("Give a quantity for one row at least."))
        return given


def units_name(level_id: UUID) -> str:
    """The name of a row's field."""
    return f"units-{level_id}"


class MoveRowsForm(RowsForm):
    """Rows that go to another warehouse together."""

    to_warehouse = ChoiceField(label=_("To"))
    needs_reason = False


class ChosenDialog(Dialog[R]):
    """One action on chosen rows together.

    The rows come as ``level`` of the address or the form. What is not in the user's reach is not there.
    """

    def __init__(self, model_admin: "ModelAdmin[Any]", request: HttpRequest) -> None:
        super().__init__(model_admin, request)
        self.levels = self._chosen()

    def _chosen(self) -> list[StockLevel]:
        """The rows, by SKU. Raises Http404 where none is in reach."""
        asked = (self.request.POST if self.request.method == "POST" else self.request.GET).getlist("level")
        ids = [UUID(text) for text in asked[:MOST_ROWS] if _is_uuid(text)]
        found = self.model_admin.get_queryset(self.request).filter(pk__in=ids)
        levels = list(found.order_by("product__sku", "warehouse__code"))
        if not levels:
            raise Http404
        return levels


class RowsDialog(ChosenDialog[R]):
    """One action on chosen rows, with a quantity for each: all of them, or nothing and a word at the row."""

    kind: ClassVar[str]
    template = "console/stock/rows.html"

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        assert isinstance(form, RowsForm)  # noqa: S101 - for the type checker: subclasses give no other
        form.offer(self.kind)
        form.add_rows(self.levels)
        return form

    def sent(self, given: Mapping[str, Any]) -> list[tuple[StockLevel, int]]:
        """The rows that have a quantity, in the order in which they are sent to the service."""
        return [(level, units) for level in self.levels if (units := given.get(units_name(level.pk)))]

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        sent = self.sent(form.cleaned_data)
        placed = False
        for fault in error.faults:
            found = _INDEX.match(fault.pointer)
            if found and int(found[1]) < len(sent):
                form.add_error(units_name(sent[int(found[1])][0].pk), _why_not(error, [fault]))
                placed = True
        form.add_error(None, _("Nothing was done: see the rows in red.") if placed else wording_of(error))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class ReceiveRowsDialog(RowsDialog[Adjusted]):
    """Units that came in, of several products."""

    title = _("Receive the chosen rows")
    submit = _("Receive")
    permission = "inventory.receive_stock"
    kind = Kind.RECEIVE
    form_class = RowsForm

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        lines = tuple(_adjustment(level, "RECEIPT", units, given) for level, units in self.sent(given))
        return apply_adjustments(AdjustRequest(asker=asker, adjustments=lines, claim=claim))

    def tell(self, result: Adjusted) -> str:
        skus = {level.pk: level.product.sku for level in self.levels}
        told = ngettext("%(rows)s row received:", "%(rows)s rows received:", len(result.lines))
        rows = [f"{skus[line.level_id]} {_change(line)}" for line in result.lines[:_TOLD_ROWS]]
        return f"{told % {'rows': len(result.lines)}} {' '.join(rows)}{' …' if result.lines[_TOLD_ROWS:] else ''}"


class TransferRowsDialog(RowsDialog[Transferred]):
    """Units of several products that set out for another warehouse together."""

    title = _("Transfer the chosen rows")
    submit = _("Send")
    intro = _("They leave at once, and count there when they are received.")
    permission = "inventory.transfer_stock"
    kind = Kind.TRANSFER
    form_class = MoveRowsForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        _offer_destinations(form, _destinations(self.request, self.levels[0].warehouse.code))
        return form

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        items = tuple(_wanted(level, units, given["to_warehouse"]) for level, units in self.sent(given))
        return transfers.start_transfer(
            TransferRequest(asker, items, reason=given["why"], reference=given["reference"], claim=claim)
        )

    def tell(self, result: Transferred) -> str:
        document = result.document
        told = ngettext(
            "%(units)s units of %(rows)s row are on their way from %(from)s to %(to)s: %(transfer)s.",
            "%(units)s units of %(rows)s rows are on their way from %(from)s to %(to)s: %(transfer)s.",
            len(document.items),
        )
        return told % {
            "units": sum(item.quantity for item in document.items),
            "rows": len(document.items),
            "from": document.source.code,
            "to": document.destination.code,
            "transfer": document.public_id,
        }

"""The flow of a transfer in the console: draft it by scanning, send it, receive it line by line, or cancel it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.db.models import Sum
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldBooleanWidget

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import (
    ChoiceField,
    Dialog,
    DialogForm,
    ReasonField,
    ReferenceField,
    SharedDialog,
    WhyForm,
)
from audit.console.times import TimeField
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.scanning import (
    ScanForm,
    ScannedLine,
    ScanPage,
    destination_choices,
    sent_units,
    warehouse_choices,
)
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import StockLevel, Transfer, TransferLine
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import Arrived, MoveLine, TransferRequest
from inventory.services.transfers.moves import Transferred


def units_of(count: int) -> str:
    """A number of units, in words."""
    return ngettext("%(count)s unit", "%(count)s units", count) % {"count": count}


def route_of(transfer: Transfer) -> str:
    """The source and the destination, as a text."""
    return f"{transfer.from_warehouse.code} → {transfer.to_warehouse.code}"


class TransferForm(ScanForm):
    """Source, destination, expected arrival and reason of a transfer."""

    from_warehouse = ChoiceField(label=_("From"))
    to_warehouse = ChoiceField(label=_("To"))
    expected = TimeField(label=_("Expected there"), required=False)
    reference = ReferenceField(help_text="")
    reason = ReasonField(label=_("Note"), required=False)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("from_warehouse") and given.get("from_warehouse") == given.get("to_warehouse"):
            self.add_error("to_warehouse", _("Choose another warehouse than the one it comes from."))
        return given


class DraftPage(ScanPage[Transferred]):
    """Make a transfer: save it as a draft, or send it at once."""

    title: ClassVar[LazyText] = _("New transfer")
    permission = "inventory.transfer_stock"
    form_class = TransferForm
    usual_of = "TRANSFER"
    endings: ClassVar[Sequence[tuple[str, LazyText]]] = (("send", _("Send it now")), ("draft", _("Keep as a draft")))

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        cast(forms.ChoiceField, form.fields["from_warehouse"]).choices = warehouse_choices(self.request)
        cast(forms.ChoiceField, form.fields["to_warehouse"]).choices = destination_choices(self.request)
        return form

    def notes(self, lines: Sequence[ScannedLine], form: DialogForm) -> Mapping[UUID, str]:
        """The available units at the source, once it is chosen."""
        source = self.request.POST.get("from_warehouse") or form.initial.get("from_warehouse") or ""
        if source not in dict(warehouse_choices(self.request)) or not source:
            return {}
        levels = StockLevel.objects.filter(warehouse__code=source, product__in=[line.product_id for line in lines])
        free = dict(levels.values_list("product_id", "available"))
        words = str(_("%(free)s free in %(warehouse)s"))
        return {line.product_id: words % {"free": free.get(line.product_id, 0), "warehouse": source} for line in lines}

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        items = tuple(
            MoveLine(product_id, None, units, given["from_warehouse"], given["to_warehouse"])
            for product_id, units in sent_units(given)
        )
        request = TransferRequest(actor, items, given["reason"], given["reference"], given["expected"], claim)
        return self.write(request, is_sent=given["do"] == "send")

    def write(self, request: TransferRequest, *, is_sent: bool) -> Transferred | StoredAnswer:
        """Call the service."""
        return transfers.start_transfer(request) if is_sent else transfers.draft_transfer(request)

    def tell(self, result: Transferred) -> str:
        document = result.document
        units = units_of(sum(item.quantity for item in document.items))
        words = (
            _("%(units)s are on their way from %(source)s to %(destination)s.")
            if document.is_on_the_way
            else _("Kept as a draft: %(units)s from %(source)s to %(destination)s. Nothing has left yet.")
        )
        return str(words) % {"units": units, "source": document.source.code, "destination": document.destination.code}


class OfTransfer:
    """A dialog on a transfer. It changes stock at ``ends``, which must be in the user's reach."""

    ends: ClassVar[tuple[str, ...]] = ("from_warehouse",)
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "transfer_closed": _("This transfer is over: nothing of it is on its way any more."),
        "transfer_already_sent": _("This transfer was sent already."),
        "transfer_not_sent": _("This transfer was not sent yet."),
        "more_than_in_transit": _("More arrived than is on its way. Receive what was sent; adjust what came beside."),
    }
    request: Any

    def _find(self, object_id: str | None) -> Transfer:
        found = cast(Transfer, super()._find(object_id))  # type: ignore[misc]
        if not may_touch(self.request, found, self.ends):
            raise Http404
        return found


def may_touch(request: Any, transfer: Transfer, ends: Sequence[str]) -> bool:
    """Whether these ends of a transfer are in the user's reach."""
    return actor_of(request).sees_warehouses(getattr(transfer, end).code for end in ends)


class ChangeDraftPage(OfTransfer, DraftPage):
    """Change a draft."""

    title = _("Change this draft")
    endings = (("draft", _("Keep as a draft")),)

    def initial(self) -> dict[str, Any]:
        draft: Transfer = self.subject
        return {
            "from_warehouse": draft.from_warehouse.code,
            "to_warehouse": draft.to_warehouse.code,
            "expected": draft.expected_delivery,
            "reference": draft.reference,
            "reason": draft.reason,
        }

    def known_lines(self) -> list[ScannedLine]:
        rows = self.subject.lines.select_related("product").order_by("product__sku")
        return [ScannedLine(row.product_id, row.product.sku, row.product.name, str(row.quantity)) for row in rows]

    def write(self, request: TransferRequest, *, is_sent: bool) -> Transferred | StoredAnswer:
        return transfers.change_draft(self.subject.pk, request)


class SendDialog(OfTransfer, AsksAboutUnusual, Dialog[Transferred]):
    """Send a draft."""

    title = _("Send this transfer")
    intro = _("Its units leave the source at once, and are on hand at the destination when they are received there.")
    submit = _("Send")
    permission = "inventory.transfer_stock"

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("quantity"))["units"] or 0
        return [(_("Route"), route_of(self.subject)), (_("Units"), units)]

    usual_of = "TRANSFER"

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        lines = self.subject.lines.select_related("product").order_by("product__sku")
        return (Amount(line.product_id, line.product.sku, line.quantity) for line in lines)

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return transfers.send_transfer(transfers.SendRequest(actor, self.subject.pk, claim))

    def tell(self, result: Transferred) -> str:
        document = result.document
        values = {"units": units_of(sum(item.shipped for item in document.items)), "to": document.destination.code}
        return str(_("%(units)s are on their way to %(to)s.")) % values


class ArrivalForm(ScanForm):
    """Whether to give up missing units, and why."""

    close = forms.BooleanField(
        label=_("Nothing more will come: close the transfer, what is missing is lost"),
        required=False,
        widget=UnfoldBooleanWidget(),
    )
    reason = ReasonField(label=_("What became of it"), required=False, max_length=300)


class ArrivalPage(OfTransfer, SharedDialog[Transferred], ScanPage[Transferred]):
    """Receive units of a transfer, line by line."""

    ends = ("to_warehouse",)
    title = _("Receive this transfer")
    intro = _("Scan each unit, or type how many arrived. What is left empty did not arrive today.")
    permission = "inventory.transfer_stock"
    form_class = ArrivalForm
    usual_of = "TRANSFER"
    endings = (("receive", _("Receive")),)
    takes_any = False
    fields_first = False
    empty = _("Nothing of this transfer is on its way.")

    def state(self) -> str:
        """The units received, returned and lost so far, which only increase."""
        lines = TransferLine.objects.filter(transfer=self.subject.pk)
        totals = lines.aggregate(Sum("quantity_received"), Sum("quantity_returned"), Sum("quantity_lost"))
        return " ".join(str(totals[name]) for name in sorted(totals))

    def about(self) -> list[tuple[LazyText, Any]]:
        return [(_("Route"), route_of(self.subject))]

    def known_lines(self) -> list[ScannedLine]:
        rows = self.subject.lines.select_related("product").order_by("product__sku")
        if not self.is_posting:
            rows = rows.filter(in_transit__gt=0)
        words = str(_("%(count)s on the way"))
        return [
            ScannedLine(
                row.product_id,
                row.product.sku,
                row.product.name,
                "",
                words % {"count": row.in_transit},
                row.in_transit,
            )
            for row in rows
        ]

    def may_be_empty(self, form: DialogForm) -> bool:
        """Allowed if the transfer is closed: nothing arrived, and the rest is given up."""
        return bool(form.cleaned_data.get("close"))

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        arrived = tuple(Arrived(product_id, None, units) for product_id, units in sent_units(given))
        request = transfers.ReceiveRequest(actor, self.subject.pk, arrived, given["close"], given["reason"], claim)
        return transfers.receive_transfer(request)

    def tell(self, result: Transferred) -> str:
        items = result.document.items
        values = {
            "units": units_of(sum(after - before for before, after in result.destinations.values())),
            "left": units_of(sum(item.in_transit for item in items)),
            "lost": units_of(sum(item.lost for item in items)),
        }
        if any(item.in_transit for item in items):
            return str(_("%(units)s received; %(left)s still on the way.")) % values
        if any(item.lost for item in items):
            return str(_("%(units)s received. The transfer is closed: %(lost)s lost.")) % values
        return str(_("%(units)s received. The transfer is complete.")) % values


class CancelDialog(OfTransfer, Dialog[Transferred]):
    """Cancel a transfer: its units in transit return to the source."""

    title = _("Cancel this transfer")
    intro = _("What is on its way goes back on hand at the source. This can't be undone.")
    submit = _("Cancel the transfer")
    permission = "inventory.transfer_stock"
    form_class = WhyForm
    is_final = True

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("in_transit"))["units"] or 0
        return [(_("Route"), route_of(self.subject)), (_("On the way"), units)]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return transfers.cancel_transfer(
            transfers.CancelTransferRequest(actor, self.subject.pk, given["reason"], claim)
        )

    def tell(self, result: Transferred) -> str:
        back = sum(after - before for before, after in result.sources.values())
        values = {"units": units_of(back), "source": result.document.source.code}
        return str(_("The transfer is cancelled; %(units)s are back in %(source)s.")) % values

"""The pages on which a transfer is scanned: its draft, and what arrives of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldBooleanWidget

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import ChoiceField, Dialog, DialogForm, ReasonField, ReferenceField
from audit.console.times import TimeField
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import parse_uuid
from audit.whole_numbers import parse_hidden_number
from inventory.admin.stock.draft_lines import ScannedLine
from inventory.admin.stock.scanning import ScanForm, ScanPage
from inventory.admin.stock.unfinished import BEGUN_BEFORE, Unfinished, route_of, transfer_address, unfinished_transfers
from inventory.admin.stock.warehouse_choices import destination_choices, warehouse_choices
from inventory.admin.transfers.pages import OfTransfer, units_of
from inventory.models import QUANTITY_LIMIT, ReceivingDraft, ReceivingDraftLine, StockLevel, Transfer, TransferLine
from inventory.services.catalogue.stock_warnings import in_words, warnings_of
from inventory.services.drafts import posting, receiving
from inventory.services.drafts.lines import ChangedLines, LineCommand
from inventory.services.drafts.posting import PostDraftRequest, PostedBefore
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import documents, drafting
from inventory.services.transfers.drafting import TransferDetails
from inventory.services.transfers.moves import Transferred

_ENDS = ("from_warehouse", "to_warehouse")


class RouteForm(ScanForm):
    """The two ends of a transfer."""

    from_warehouse = ChoiceField(label=_("From"))
    to_warehouse = ChoiceField(label=_("To"))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("from_warehouse") and given.get("from_warehouse") == given.get("to_warehouse"):
            self.add_error("to_warehouse", _("Choose another warehouse than the one it comes from."))
        return given


class TransferForm(RouteForm):
    """The details of a draft."""

    expected = TimeField(label=_("Expected there"), required=False)
    reference = ReferenceField(help_text="")
    reason = ReasonField(label=_("Reason"), required=False)


def _with_ends(form: DialogForm, request: HttpRequest) -> DialogForm:
    """Fill the choices of both ends: from the user's warehouses, to any active one."""
    cast(forms.ChoiceField, form.fields["from_warehouse"]).choices = warehouse_choices(request)
    cast(forms.ChoiceField, form.fields["to_warehouse"]).choices = destination_choices(request)
    return form


class NewTransferPage(Dialog[UUID]):
    """Begin a draft of a transfer, or continue one."""

    title = _("New transfer")
    permission = "inventory.transfer_stock"
    form_class = RouteForm
    is_page = True
    template = "console/receiving/begin.html"
    submit = _("Begin scanning")
    wordings: ClassVar[Mapping[str, LazyText]] = {"unknown_warehouse": _("This warehouse no longer exists.")}

    def make_form(self, **arguments: Any) -> DialogForm:
        return _with_ends(super().make_form(**arguments), self.request)

    @cached_property
    def unfinished(self) -> list[Unfinished]:
        """The user's drafts of transfers that were begun."""
        return unfinished_transfers(actor_of(self.request))

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> UUID:
        return drafting.open_draft(actor, given["from_warehouse"], given["to_warehouse"])

    def tell(self, result: UUID) -> str:
        return ""

    def done(self, result: UUID) -> HttpResponse:
        if TransferLine.objects.filter(transfer=result).exists():
            messages.info(self.request, BEGUN_BEFORE)
        return redirect(transfer_address(result, "change_draft"))


class _TransferScan(OfTransfer):
    """A page on which lines of a transfer are scanned. ``page`` is its name in the routes."""

    page: ClassVar[str]
    permission = "inventory.transfer_stock"
    usual_of = "TRANSFER"
    subject: Transfer

    @property
    def address(self) -> str:
        return transfer_address(self.subject.pk, self.page)

    @property
    def scan_address(self) -> str:
        """The address that takes scans."""
        return transfer_address(self.subject.pk, f"{self.page}_scans")

    @property
    def change_address(self) -> str:
        """The address that takes edited lines."""
        return transfer_address(self.subject.pk, f"{self.page}_changes")


class ChangeDraftPage(_TransferScan, ScanPage[Transferred]):
    """The draft of a transfer: scan it, and send it."""

    page = "change_draft"
    title = _("Draft of a transfer")
    form_class = TransferForm
    endings = (("send", _("Send it now")),)
    expires = False

    def make_form(self, **arguments: Any) -> DialogForm:
        return _with_ends(super().make_form(**arguments), self.request)

    def posted_address(self) -> str:
        return "" if self.subject.status == Transfer.Status.PENDING else transfer_address(self.subject.pk)

    @property
    def discard_address(self) -> str:
        """The address of the dialog that cancels the draft."""
        return transfer_address(self.subject.pk, "cancel")

    @property
    def draft_key(self) -> str:
        return str(self.subject.pk)

    @property
    def version(self) -> str:
        found = documents.read_transfers([self.subject.pk]).get(self.subject.pk)
        return found.version if found else ""

    def initial(self) -> dict[str, Any]:
        draft = self.subject
        return {
            "from_warehouse": draft.from_warehouse.code,
            "to_warehouse": draft.to_warehouse.code,
            "expected": draft.expected_delivery,
            "reference": draft.reference,
            "reason": draft.reason,
        }

    def stored_lines(self) -> list[ScannedLine]:
        rows = self.subject.lines.select_related("product").order_by("-id")
        return [ScannedLine(row.product_id, row.product.sku, row.product.name, row.quantity) for row in rows]

    def notes(self, product_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """The available units at the source, and what is frozen or discontinued."""
        source = self.subject.from_warehouse.code
        levels = StockLevel.objects.filter(warehouse__code=source, product__in=product_ids)
        free = dict(levels.values_list("product_id", "available"))
        warnings, words = warnings_of(product_ids, source), str(_("%(free)s available in %(warehouse)s"))
        notes = {}
        for product_id in product_ids:
            note = words % {"free": free.get(product_id, 0), "warehouse": source}
            notes[product_id] = " · ".join(filter(None, (note, in_words(warnings.get(product_id, ())))))
        return notes

    def change_lines(self, commands: Sequence[LineCommand]) -> ChangedLines:
        return drafting.change_lines(actor_of(self.request), self.subject.pk, commands)

    def set_details(self, given: dict[str, Any], seen: dict[str, Any]) -> None:
        drafting.set_details(actor_of(self.request), self.subject.pk, _details(given), _details(seen))

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return transfers.send_transfer(transfers.SendRequest(actor, self.subject.pk, claim, given["version"]))

    def after(self, result: Any) -> str:
        return transfer_address(self.subject.pk)

    def tell(self, result: Transferred) -> str:
        document = result.document
        units = units_of(sum(item.quantity for item in document.items))
        words = _("%(units)s are on their way from %(source)s to %(destination)s.")
        return str(words) % {"units": units, "source": document.source.code, "destination": document.destination.code}


def _details(values: Mapping[str, Any]) -> TransferDetails:
    return TransferDetails(
        values.get("from_warehouse", ""),
        values.get("to_warehouse", ""),
        values.get("reference", ""),
        values.get("reason", ""),
        values.get("expected"),
    )


class ArrivalEnding(forms.Form):
    """Whether to give up missing units, and why."""

    close = forms.BooleanField(
        label=_("Nothing more will come: close the transfer and record the missing units as lost"),
        required=False,
        widget=UnfoldBooleanWidget(),
    )
    reason = ReasonField(label=_("Reason"), required=False, max_length=300)


class ArrivalPage(_TransferScan, ScanPage[Transferred | PostedBefore]):
    """Receive units of a transfer, line by line. Each person who receives it has a draft of their own."""

    ends = ("to_warehouse",)
    page = "receive"
    title = _("Receive this transfer")
    intro = _("Scan each unit, or type how many arrived. Leave a line empty if it did not arrive today.")
    form_class = ScanForm
    ending_form = ArrivalEnding
    endings = (("receive", _("Receive")),)
    takes_any = False
    may_be_empty = True
    most_units = QUANTITY_LIMIT
    empty = _("None of this transfer's units are on the way.")
    discard_address = ""

    @cached_property
    def draft(self) -> ReceivingDraft | None:
        """The user's draft; None until something is scanned."""
        drafts = ReceivingDraft.objects.own(actor_of(self.request)).open()
        return drafts.filter(transfer=self.subject.pk).first()

    def answer(self) -> HttpResponse:
        """Going back to the review of what was posted leads to the transfer."""
        wanted = self.request.GET.get("review")
        if wanted and (draft := parse_uuid(wanted)):
            own = ReceivingDraft.objects.own(actor_of(self.request))
            if own.filter(pk=draft, posted_at__isnull=False).exists():
                return redirect(transfer_address(self.subject.pk))
        return super().answer()

    def posted_address(self) -> str:
        """The transfer, once nothing of it is on its way; also if it was posted from the form that is sent again."""
        on_its_way = {Transfer.Status.IN_TRANSIT, Transfer.Status.PARTIALLY_RECEIVED}
        if self.subject.status not in on_its_way:
            return transfer_address(self.subject.pk)
        return ""

    @property
    def review_address(self) -> str:
        return f"{self.address}?review={self._draft_id()}"

    def _draft_id(self) -> UUID:
        return receiving.open_arrival(actor_of(self.request), self.subject.pk)

    @property
    def draft_key(self) -> str:
        return str(self.request.POST.get("draft", ""))

    @property
    def version(self) -> str:
        return str(self.draft.version if self.draft else 0)

    @property
    def state_fields(self) -> list[tuple[str, str]]:
        found = documents.read_transfers([self.subject.pk])[self.subject.pk]
        return [("draft", str(self.draft.pk if self.draft else "")), ("received", found.received_so_far)]

    def about(self) -> list[tuple[LazyText, Any]]:
        return [(_("Route"), route_of(self.subject))]

    def stored_lines(self) -> list[ScannedLine]:
        draft = ReceivingDraft.objects.own(actor_of(self.request)).open().filter(transfer=self.subject.pk).first()
        scanned = dict(ReceivingDraftLine.objects.filter(draft=draft).values_list("product_id", "quantity"))
        rows = self.subject.lines.select_related("product").order_by("product__sku")
        words = str(_("%(count)s on the way"))
        return [
            ScannedLine(
                row.product_id,
                row.product.sku,
                row.product.name,
                scanned.get(row.product_id, 0),
                words % {"count": row.in_transit},
                row.in_transit,
            )
            for row in rows
            if row.in_transit or row.product_id in scanned
        ]

    def notes(self, product_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        return {line.product_id: line.note for line in self.stored_lines()}

    def problems(self, lines: Sequence[ScannedLine]) -> list[str]:
        words = _("%(sku)s: %(units)s are more than the %(most)s on their way.")
        return [
            str(words) % {"sku": line.sku, "units": line.quantity, "most": line.most}
            for line in lines
            if line.most is not None and line.rest < 0
        ]

    def change_lines(self, commands: Sequence[LineCommand]) -> ChangedLines:
        return receiving.change_lines(actor_of(self.request), self._draft_id(), commands)

    def set_details(self, given: dict[str, Any], seen: dict[str, Any]) -> None:
        """An arrival has no details."""

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | PostedBefore | StoredAnswer:
        draft_id = parse_uuid(self.draft_key) or self._draft_id()
        return posting.post_arrival(
            PostDraftRequest(
                actor,
                draft_id,
                parse_hidden_number(given["version"]),
                claim,
                given["close"],
                given["reason"],
                self.request.POST.get("received", ""),
            )
        )

    def after(self, result: Any) -> str:
        return transfer_address(self.subject.pk)

    def tell(self, result: Transferred | PostedBefore) -> str:
        if isinstance(result, PostedBefore):
            return ""
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

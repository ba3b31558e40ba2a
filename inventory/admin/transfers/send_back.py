"""The dialog that sends back what a transfer brought."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.dialogs import Dialog, DialogForm
from audit.console.filters import link
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.documents import ReverseForm
from inventory.admin.stock.undo import REVERSE_PERMISSION, OffersUndo
from inventory.admin.transfers.pages import OfTransfer, units_of
from inventory.models import Transfer
from inventory.services.transfers.moves import Transferred
from inventory.services.transfers.reversing import SendBackRequest, send_back


class SendBackDialog(OffersUndo, OfTransfer, Dialog[Transferred]):
    """Send all units that a transfer brought back to where they came from."""

    ends = ("to_warehouse",)
    title = _("Send back the received units")
    intro = _("All received units leave now, as a new transfer to the warehouse that they came from.")
    submit = _("Send back")
    permission = REVERSE_PERMISSION
    form_class = ReverseForm
    is_final = True
    subject: Transfer
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "insufficient_stock": _("Some units are no longer available. Send the available ones with a new transfer."),
        "transfer_not_received": _(
            "Only received units can be sent back. Cancel the transfer while its units are on the way."
        ),
        "warehouse_inactive": _("The warehouse that it came from is closed. Send it elsewhere with a new transfer."),
    }

    def answer(self) -> HttpResponse:
        if self.request.method != "POST" and sent_back(self.subject) and self.request.user.has_perm(self.permission):
            messages.info(self.request, self._before())
            return redirect(self.way_back())
        return super().answer()

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("quantity_received"))["units"] or 0
        route = f"{self.subject.to_warehouse.code} → {self.subject.from_warehouse.code}"
        return [(_("Route"), route), (_("Units"), units)]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return send_back(SendBackRequest(actor, self.subject.pk, given["reason"], claim))

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        if error.code == "document_reversed":
            return form.add_error(None, self._before())
        super().refuse(form, error)
        rows = self.subject.lines.select_related("product")
        skus = {str(row.product_id): row.product.sku for row in rows}
        for fault in error.faults:
            if "available" in fault.facts:
                sku = skus.get(str(fault.facts.get("variantId") or fault.facts.get("productId")), "")
                words = _("%(sku)s: %(wanted)s to send back, %(free)s available.")
                values = {"sku": sku, "wanted": fault.facts["requested"], "free": max(0, fault.facts["available"])}
                form.add_error(None, str(words) % values)
        return None

    def tell(self, result: Transferred) -> str:
        units = units_of(sum(item.shipped for item in result.document.items))
        words = _("%(units)s are on their way back to %(to)s.")
        return str(words) % {"units": units, "to": result.document.destination.code}

    def _before(self) -> SafeString:
        back = cast(Transfer, sent_back(self.subject))
        page = reverse("admin:inventory_transfer_change", args=[back.pk])
        return format_html(str(_("{} was sent back before, as {}.")), self.subject.short_number, link(back, page))


def sent_back(transfer: Transfer) -> Transfer | None:
    """The transfer that sent this one's units back; None if there is none, or if it was cancelled."""
    return transfer.sent_back_by.exclude(status=Transfer.Status.CANCELLED).first()

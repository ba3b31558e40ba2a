"""The dialog that cancels a transfer."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.dialogs import ReasonField
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.wording import LazyText
from audit.display import NOTHING
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.admin.stock.unfinished import route_of
from inventory.admin.transfers.pages import OfTransfer, units_of
from inventory.models import Product, Transfer
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.documents import TransferDocument, read_transfers
from inventory.services.transfers.moves import Transferred


class CancelForm(EditForm):
    """Why a transfer is cancelled."""

    reason = ReasonField()


class CancelDialog(OfTransfer, EditDialog[Transferred]):
    """Cancel a transfer as it was seen: its units in transit return to the source."""

    title = _("Cancel this transfer")
    intro = _("Units on the way are returned to the source. This can't be undone.")
    submit = _("Cancel the transfer")
    permission = "inventory.transfer_stock"
    form_class = CancelForm
    is_final = True

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("in_transit"))["units"] or 0
        return [(_("Route"), route_of(self.subject)), (_("On the way"), units)]

    def rows(self) -> list[TransferDocument]:
        return list(read_transfers([self.subject.pk]).values())

    def values(self, row: TransferDocument) -> Mapping[LazyText, str]:
        """Status, destination and lines; a dash for a line that is gone since it was seen."""
        skus = dict(Product.objects.filter(pk__in=[item.stock_id for item in row.items]).values_list("pk", "sku"))
        now: dict[LazyText, str] = {
            gettext("Status"): str(Transfer.Status(row.status).label),
            gettext("Destination"): row.destination.code,
        }
        for item in row.items:
            figures = [(gettext("%(sku)s, units"), item.quantity), (gettext("%(sku)s, on the way"), item.in_transit)]
            now |= {label % {"sku": skus[item.stock_id]}: grouped(units) for label, units in figures}
        return dict.fromkeys(self._carried().get(str(row.id), {}), NOTHING) | now

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return transfers.cancel_transfer(
            transfers.CancelTransferRequest(actor, self.subject.pk, given["reason"], claim, precondition=self.unchanged)
        )

    def tell(self, result: Transferred) -> str:
        back = sum(after - before for before, after in result.sources.values())
        values = {"units": units_of(back), "source": result.document.source.code}
        return str(_("The transfer is cancelled; %(units)s are back in %(source)s.")) % values

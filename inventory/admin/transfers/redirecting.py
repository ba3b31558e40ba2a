"""The dialog that redirects a transfer on its way."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import ChoiceField, DialogForm, WhyForm
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.unfinished import route_of
from inventory.admin.transfers.pages import OfTransfer, units_of
from inventory.models import Warehouse
from inventory.services.transfers.documents import TransferDocument
from inventory.services.transfers.moves import Transferred
from inventory.services.transfers.redirecting import RedirectRequest, redirect_transfer


class RedirectForm(EditForm, WhyForm):
    """The new destination, and why."""

    to_warehouse = ChoiceField(label=_("To"))
    field_order = ("to_warehouse", "reason", "once")


class RedirectDialog(OfTransfer, EditDialog[Transferred]):
    """Redirect a transfer: what is on its way arrives at another warehouse."""

    title = _("Redirect this transfer")
    intro = _(
        "Units on the way are received in the warehouse that you choose. Units received before stay where they are."
    )
    submit = _("Redirect")
    permission = "inventory.transfer_stock"
    form_class = RedirectForm
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "warehouse_inactive": _("This warehouse is closed: it takes no transfers. Choose another one."),
    }

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        ends = [self.subject.from_warehouse.code]
        if self.request.method != "POST":  # A form that is sent twice names what is the destination by then.
            ends.append(self.subject.to_warehouse.code)
        found = Warehouse.objects.destinations_for(actor_of(self.request)).exclude(code__in=ends)
        rows = found.filter(is_active=True).order_by("code")
        form.fields["to_warehouse"].choices = [(row.code, f"{row.code} – {row.name}") for row in rows]  # type: ignore[attr-defined]
        return form

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("in_transit"))["units"] or 0
        return [(_("Route"), route_of(self.subject)), (_("On the way"), units)]

    def values(self, row: Any) -> Mapping[LazyText, str]:
        is_document = isinstance(row, TransferDocument)
        return {_("Destination"): row.destination.code if is_document else row.to_warehouse.code}

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return redirect_transfer(
            RedirectRequest(
                actor,
                self.subject.pk,
                given["to_warehouse"],
                given["reason"],
                claim,
                precondition=self.unchanged,
            )
        )

    def tell(self, result: Transferred) -> str:
        units = units_of(sum(item.in_transit for item in result.document.items))
        words = _("Redirected: %(units)s are on their way to %(to)s.")
        return str(words) % {"units": units, "to": result.document.destination.code}

"""The page that receives a delivery: many lines by scanning, posted once."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actors import Actor
from audit.console.dialogs import ChoiceField, DialogForm, ReasonField, ReferenceField
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.scanning import ScanForm, ScanPage, sent_units, warehouse_choices
from inventory.models import Movement
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments


class DeliveryForm(ScanForm):
    """The warehouse of a delivery, and the number of its document."""

    warehouse = ChoiceField(label=_("Warehouse"))
    reference = ReferenceField()
    reason = ReasonField(label=_("Note"), initial=_("Delivery"), max_length=200)


class ReceivePage(ScanPage[Adjusted]):
    """Receive a delivery of many lines, all or none."""

    title = _("Receive a delivery")
    permission = "inventory.receive_stock"
    form_class = DeliveryForm
    usual_of = "RECEIPT"
    endings = (("receive", _("Receive all")),)

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        cast(forms.ChoiceField, form.fields["warehouse"]).choices = warehouse_choices(self.request)
        return form

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        lines = tuple(
            Adjustment(
                product_id,
                None,
                given["warehouse"],
                units,
                Movement.Type.RECEIPT.value,
                given["reason"],
                given["reference"],
            )
            for product_id, units in sent_units(given)
        )
        return apply_adjustments(AdjustRequest(actor, lines, claim))

    def tell(self, result: Adjusted) -> str:
        units = sum(line.adjustment.quantity for line in result.lines)
        words = ngettext(
            "%(units)s unit received in %(warehouse)s, %(lines)s on the paper.",
            "%(units)s units received in %(warehouse)s, %(lines)s on the paper.",
            units,
        )
        count = len(result.lines)
        lines = ngettext("%(count)s line", "%(count)s lines", count) % {"count": count}
        return words % {"units": units, "warehouse": result.lines[0].adjustment.warehouse, "lines": lines}


class Receiving:
    """The action that opens the page, for the list of movements."""

    actions_list = ("receive_delivery",)

    receive_delivery = ReceivePage.as_action(url_path="receive", icon="barcode_scanner")

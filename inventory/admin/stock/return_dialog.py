"""The dialog that takes units back, of an order if it is known."""

from collections.abc import Iterable
from typing import Any

import msgspec
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import text_field
from audit.console.dialogs import DialogForm
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.dialogs import AdjustmentDialog, ReasonKind, UnitsForm, adjustment_of
from inventory.services.stock.adjustments import Adjusted, AdjustRequest, apply_adjustments


class ReturnForm(UnitsForm):
    """Units that came back, and their order."""

    order = text_field(
        64,
        label=_("Order"),
        help_text=_("The return is limited to the units this order was sold. Leave empty if unknown."),
    )
    field_order: Iterable[str] | None = ("quantity", "order", "reason", "remark", "reference", "once")


class ReturnDialog(AdjustmentDialog):
    """Take back units, at most those that their order was sold."""

    title = submit = _("Return")
    intro = _("For units that customers sent back and that can be sold again.")
    permission = "inventory.receive_stock"
    kind, type = ReasonKind.RECEIVE, "RETURN"
    usual_of = "RETURN"
    form_class = ReturnForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        line = adjustment_of(self.subject, self.type, given["quantity"], given)
        line = msgspec.structs.replace(line, order_id=given["order"])
        return apply_adjustments(AdjustRequest(actor=actor, adjustments=(line,), claim=claim))

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        if error.code != "more_than_sold":
            return super().refuse(form, error)
        words = _("Order %(orderId)s: %(sold)s sold, %(returned)s returned. At most %(returnable)s can be returned.")
        return form.add_error("quantity", str(words) % error.faults[0].facts)

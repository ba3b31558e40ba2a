"""The dialog in which a user chooses the warehouses whose low stock is mailed to them."""

from collections.abc import Mapping
from typing import Any, cast

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import actor_of, multiple_choice
from audit.console.dialogs import DialogForm
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.wording import LazyText
from audit.display import NOTHING
from audit.idempotency import Claim, StoredAnswer
from inventory.models import AlertSubscription, Warehouse
from inventory.services.low_stock.subscriptions import Subscribed, choose_alerts


class SubscriptionForm(EditForm):
    """The warehouses to subscribe to."""

    warehouses = multiple_choice((), label=_("Warehouses"), help_text=_("Tick none to get no mail."))


class SubscriptionDialog(EditDialog[Subscribed]):
    """The subscriptions of the user who opens it."""

    title = _("Mail about low stock")
    intro = _("You get one mail per warehouse when something changes, not one per alert.")
    permission = "inventory.add_alertsubscription"
    form_class = SubscriptionForm

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        rows = Warehouse.objects.visible_to(actor_of(self.request)).order_by("code").values_list("code", "name")
        cast(Any, form.fields["warehouses"]).choices = [(code, f"{code} – {name}") for code, name in rows]
        return form

    def rows(self) -> list[list[str]]:
        """The codes of the warehouses in reach that the user is subscribed to, as the one row."""
        seen = Warehouse.objects.visible_to(actor_of(self.request))
        mine = AlertSubscription.objects.filter(user_id=cast(int, self.request.user.pk), warehouse__in=seen)
        return [sorted(mine.values_list("warehouse__code", flat=True))]

    def values(self, row: Any) -> Mapping[LazyText, str]:
        return {_("Warehouses"): ", ".join(row) or NOTHING}

    def initial(self) -> dict[str, Any]:
        return {"warehouses": self.rows()[0]}

    def about(self) -> list[tuple[Any, Any]]:
        return [(_("Your address"), self._address() or _("none yet: ask an administrator"))]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Subscribed | StoredAnswer:
        user = self.request.user
        return choose_alerts(
            actor,
            cast(int, user.pk),
            self._address(),
            codes=given["warehouses"],
            time_zone=timezone.get_current_timezone_name(),
            claim=claim,
            precondition=self.unchanged,
        )

    def tell(self, result: Subscribed) -> str:
        if not result.codes:
            return str(_("You get no mail about low stock."))
        return _("You get mail about low stock in %(codes)s.") % {"codes": ", ".join(result.codes)}

    def _address(self) -> str:
        return str(getattr(self.request.user, "email", ""))

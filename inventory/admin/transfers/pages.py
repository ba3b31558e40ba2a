"""The dialogs of a transfer in the console, and the one that sends it. ``drafts.py`` has the pages on which it is
scanned."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.db.models import Sum
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import Dialog, DialogForm
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.undo import OffersUndo
from inventory.admin.stock.unfinished import route_of
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import Transfer
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.documents import read_transfers
from inventory.services.transfers.moves import Transferred


def units_of(count: int) -> str:
    """A number of units, in words."""
    return ngettext("%(count)s unit", "%(count)s units", count) % {"count": count}


class OfTransfer:
    """A dialog on a transfer. It changes stock at ``ends``, which must be in the user's reach."""

    ends: ClassVar[tuple[str, ...]] = ("from_warehouse",)
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "transfer_closed": _("This transfer is complete: none of its units are on the way."),
        "transfer_already_sent": _("This transfer was shipped already."),
        "transfer_not_sent": _("This transfer was not shipped yet."),
        "more_than_in_transit": _("More arrived than is on its way. Receive what was shipped; adjust the rest."),
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


class SendForm(DialogForm):
    """The version of the draft that was seen."""

    version = forms.CharField(widget=forms.HiddenInput, required=False)


class SendDialog(OffersUndo, OfTransfer, AsksAboutUnusual, Dialog[Transferred]):
    """Send a draft."""

    title = _("Send this transfer")
    intro = _("Units leave now and are added on arrival.")
    submit = _("Send")
    permission = "inventory.transfer_stock"
    usual_of = "TRANSFER"
    form_class = SendForm
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "draft_changed": _("Somebody else has changed it. Nothing was sent: check it, then send it again."),
    }

    def initial(self) -> dict[str, Any]:
        return {"version": self._version()}

    def _version(self) -> str:
        found = read_transfers([self.subject.pk]).get(self.subject.pk)
        return found.version if found else ""

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        """Show the page with the draft as it is now."""
        super().refuse(form, error)
        sent = cast(Any, form.data).copy()
        sent["version"] = self._version()
        form.data = sent

    def about(self) -> list[tuple[LazyText, Any]]:
        units = self.subject.lines.aggregate(units=Sum("quantity"))["units"] or 0
        return [(_("Route"), route_of(self.subject)), (_("Units"), units)]

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        lines = self.subject.lines.select_related("product").order_by("product__sku")
        return (Amount(line.product_id, line.product.sku, line.quantity) for line in lines)

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Transferred | StoredAnswer:
        return transfers.send_transfer(transfers.SendRequest(actor, self.subject.pk, claim, given["version"]))

    def tell(self, result: Transferred) -> str:
        document = result.document
        values = {"units": units_of(sum(item.shipped for item in document.items)), "to": document.destination.code}
        return str(_("%(units)s are on their way to %(to)s.")) % values

"""The message after something was posted by hand: a link to its document, and Undo for a while."""

from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of
from inventory.models import StockCount, StockDocument, Transfer
from inventory.services.counts.opening import Opened
from inventory.services.stock.adjustments import Adjusted
from inventory.services.transfers.moves import Transferred

REVERSE_PERMISSION = "inventory.reverse_stock"
UNDO_SECONDS = 10


class _Posted(NamedTuple):
    """The page of what was posted, its short number, and the address of the dialog that undoes it; empty if the user
    may not."""

    page: str
    number: str
    undo: str


def with_undo(request: HttpRequest, text: str, result: Any) -> str:
    """The text, with a link to the document of what was posted, and Undo. ``undo.js`` takes Undo away after
    ``UNDO_SECONDS``: from then on, and without scripts, the document's page has it."""
    posted = _posted(request, result)
    if posted is None:
        return text
    page = format_html('{} <a class="console-link" href="{}">{}</a>', text, posted.page, posted.number)
    if not posted.undo:
        return page
    undo = '{} <a class="console-link console-undo" href="{}" data-dialog data-undo="{}">{}</a>'
    return format_html(undo, page, posted.undo, UNDO_SECONDS, _("Undo"))


def _posted(request: HttpRequest, result: Any) -> _Posted | None:
    if isinstance(result, Adjusted) and result.document:
        is_reversal = result.document.startswith(StockDocument.Kind.REVERSAL.value)
        return _document(request, result.id, result.document, may_reverse=not is_reversal)
    if isinstance(result, StockDocument):
        return _document(request, result.pk, result.short_number, may_reverse=result.reversal is None)
    if isinstance(result, Transferred):
        transfer = Transfer.objects.select_related("from_warehouse", "to_warehouse").get(pk=result.document.id)
        name = way_to_undo(request, transfer)
        page, undo = _addresses("transfer", name or "cancel", transfer.pk)
        return _Posted(page, transfer.short_number, undo if name else "")
    if isinstance(result, Opened):
        count = StockCount.objects.get(pk=result.count.pk)
        return _Posted(reverse("admin:inventory_stockcount_change", args=[count.pk]), count.short_number, "")
    return None


def _document(request: HttpRequest, document_id: UUID, number: str, *, may_reverse: bool) -> _Posted:
    page, undo = _addresses("stockdocument", "reverse", document_id)
    return _Posted(page, number, undo if may_reverse and request.user.has_perm(REVERSE_PERMISSION) else "")


def _addresses(model: str, action: str, key: Any) -> tuple[str, str]:
    return reverse(f"admin:inventory_{model}_change", args=[key]), reverse(
        f"admin:inventory_{model}_{action}", args=[key]
    )


def way_to_undo(request: HttpRequest, transfer: Transfer) -> str:
    """The action that undoes a transfer: ``cancel`` on its way, ``send_back`` once it was received; empty if there is
    none, or if it isn't the user's."""
    actor, status = actor_of(request), Transfer.Status
    if transfer.status in {status.IN_TRANSIT, status.PARTIALLY_RECEIVED}:
        may = request.user.has_perm("inventory.transfer_stock") and actor.sees_warehouse(transfer.from_warehouse.code)
        return "cancel" if may else ""
    if transfer.status == status.RECEIVED:
        may = request.user.has_perm(REVERSE_PERMISSION) and actor.sees_warehouse(transfer.to_warehouse.code)
        return "send_back" if may else ""
    return ""


class OffersUndo:
    """A dialog or page whose message links to what was posted, and offers to undo it."""

    request: Any

    def notice(self, result: Any) -> str:
        """The message of success, with a link to the document and Undo."""
        return with_undo(self.request, self.tell(result), result)  # type: ignore[attr-defined]

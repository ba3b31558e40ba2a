"""What a person has begun to scan and can continue: deliveries, drafts of transfers, and arrivals."""

from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from audit.actors import Actor
from audit.console.base import actor_of
from inventory.models import ReceivingDraft, Transfer

BEGUN_BEFORE: Final = gettext_lazy("You began this before, and continue it here. Its lines are kept.")
_ENDS: Final = ("from_warehouse", "to_warehouse")


class Unfinished(NamedTuple):
    """A draft with lines: a sentence such as "Continue delivery PO-123, 14 lines", the code of its warehouse (empty if
    the sentence has it), and its address."""

    words: str
    place: str
    address: str


def delivery_address(draft_id: UUID, page: str = "") -> str:
    """The address of a delivery's draft, or of what was posted; ``page`` is ``scans``, ``changes``, ``discard`` or
    ``take_over``."""
    return reverse(f"admin:inventory_movement_delivery{'_' if page else ''}{page}", args=[draft_id])


def transfer_address(transfer_id: UUID, page: str = "change") -> str:
    """The address of a transfer, or of one of its pages."""
    return reverse(f"admin:inventory_transfer_{page}", args=[transfer_id])


def route_of(transfer: Transfer) -> str:
    """The source and the destination, as a text."""
    return f"{transfer.from_warehouse.code} → {transfer.to_warehouse.code}"


def unfinished(request: HttpRequest) -> list[Unfinished]:
    """All that the user can continue."""
    actor, found = actor_of(request), []
    if request.user.has_perm("inventory.receive_stock"):
        found += unfinished_deliveries(actor) + left_behind_deliveries(actor)
    if request.user.has_perm("inventory.transfer_stock"):
        found += unfinished_transfers(actor) + unfinished_arrivals(actor)
    return found


def unfinished_deliveries(actor: Actor) -> list[Unfinished]:
    """The actor's drafts of deliveries, the latest first. One query."""
    drafts = _counted(ReceivingDraft.objects.own(actor).open().filter(transfer__isnull=True))
    return [
        Unfinished(
            _("Continue %(what)s, %(lines)s") % {"what": _delivery(draft), "lines": _lines(draft.count)},
            draft.warehouse.code,
            delivery_address(draft.pk),
        )
        for draft in drafts.select_related("warehouse").order_by("-changed_at")
    ]


def left_behind_deliveries(actor: Actor) -> list[Unfinished]:
    """The deliveries in an actor's reach whose accounts are switched off or deleted, the latest first. One query."""
    drafts = _counted(ReceivingDraft.objects.left_behind(actor).open().filter(transfer__isnull=True))
    words = _("Take over %(what)s of %(owner)s, %(lines)s")
    return [
        Unfinished(
            words % {"what": _delivery(draft), "owner": draft.owner, "lines": _lines(draft.count)},
            draft.warehouse.code,
            delivery_address(draft.pk, "take_over"),
        )
        for draft in drafts.select_related("warehouse").order_by("-changed_at")
    ]


def _delivery(draft: ReceivingDraft) -> str:
    return _("delivery %(reference)s") % {"reference": draft.reference} if draft.reference else _("delivery")


def unfinished_transfers(actor: Actor) -> list[Unfinished]:
    """The drafts of transfers that an actor began and may change, the newest first. One query."""
    drafts = Transfer.objects.visible_to(actor).drafted_by(actor)
    words = _("Continue transfer %(route)s, %(lines)s")
    return [
        Unfinished(
            words % {"route": route_of(row), "lines": _lines(row.count)}, "", transfer_address(row.pk, "change_draft")
        )
        for row in _counted(drafts).select_related(*_ENDS).order_by("-id")
        if actor.sees_warehouse(row.from_warehouse.code)
    ]


def unfinished_arrivals(actor: Actor) -> list[Unfinished]:
    """The transfers that an actor has begun to receive, the latest first. One query."""
    drafts = ReceivingDraft.objects.own(actor).open().filter(transfer__in=Transfer.objects.on_the_way())
    rows = _counted(drafts).select_related("transfer__from_warehouse", "transfer__to_warehouse")
    words = _("Continue receiving transfer %(route)s, %(lines)s")
    return [
        Unfinished(
            words % {"route": route_of(row.transfer), "lines": _lines(row.count)},
            "",
            transfer_address(row.transfer_id, "receive"),
        )
        for row in rows.order_by("-changed_at")
    ]


def _counted(drafts: Any) -> Any:
    """Drafts with at least one line, with ``count``, the number of their lines."""
    return drafts.annotate(count=Count("lines")).filter(count__gt=0)


def _lines(count: int) -> str:
    return ngettext("%(count)s line", "%(count)s lines", count) % {"count": count}

"""Freezing and unfreezing of products, warehouses and stores in the console."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import actor_of, badge
from audit.console.dialogs import ReasonField
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.service_forms import ServiceAdmin
from audit.console.times import TimeField
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from inventory.models import Product, Warehouse
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import Subject
from inventory.services.catalogue.master_data import Saved


def _moment(at: datetime) -> str:
    """Format a time in the reader's time zone."""
    return str(date_format(timezone.localtime(at), "DATETIME_FORMAT"))


def frozen_text(row: Any) -> str:
    """Beginning, end and reason of a row's freeze; a dash without one."""
    if not getattr(row, "is_frozen", False):
        return "–"
    since = _moment(row.frozen_at)
    if row.frozen_until is None:
        return _("since %(since)s: %(reason)s") % {"since": since, "reason": row.freeze_reason}
    until = _moment(row.frozen_until)
    return _("%(since)s to %(until)s: %(reason)s") % {"since": since, "until": until, "reason": row.freeze_reason}


class FreezeForm(EditForm):
    """The reason and the end of a freeze. The time is entered in the browser's own field."""

    reason = ReasonField()
    until = TimeField(
        label=_("Until"), required=False, help_text=_("Leave empty to freeze until the freeze is lifted.")
    )


class UnfreezeForm(EditForm):
    """The reason of unfreezing."""

    reason = ReasonField(required=False)


def may_freeze(request: HttpRequest, row: Any) -> bool:
    """Whether a user may freeze a row: rows shared by all warehouses only users of all warehouses."""
    return isinstance(row, Warehouse) or actor_of(request).sees_all_warehouses


class _FreezingDialog(EditDialog[Saved]):
    permission = "inventory.freeze_stock"

    def answer(self) -> HttpResponse:
        """The response. Raises PermissionDenied if the user may not freeze the row."""
        if not may_freeze(self.request, self.subject):
            raise PermissionDenied
        return super().answer()

    def values(self, row: Any) -> Mapping[LazyText, str]:
        return {_("Frozen"): frozen_text(row)}

    def frozen_subject(self) -> Subject:
        """The row as a subject of the service."""
        if isinstance(self.subject, Product):
            return freezing.product(self.subject.pk)
        if isinstance(self.subject, Warehouse):
            return freezing.warehouse(self.subject.code)
        return freezing.store(self.subject.code)


class FreezeDialog(_FreezingDialog):
    """Freeze a row: new holds are refused."""

    title = _("Freeze")
    intro = _("New reservations are blocked. Existing reservations continue.")
    submit = _("Freeze")
    form_class = FreezeForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Saved | StoredAnswer:
        return freezing.freeze(
            actor,
            self.frozen_subject(),
            reason=given["reason"],
            until=given["until"],
            claim=claim,
            precondition=self.unchanged,
        )

    def tell(self, result: Saved) -> str:
        if result.row.frozen_until is None:
            return _("%(name)s is frozen until the freeze is lifted.") % {"name": result.row}
        until = _moment(result.row.frozen_until)
        return _("%(name)s is frozen until %(until)s.") % {"name": result.row, "until": until}


class UnfreezeDialog(_FreezingDialog):
    """Unfreeze a row: new holds are allowed again."""

    title = _("Lift the freeze")
    intro = _("New reservations are possible again within seconds.")
    submit = _("Lift the freeze")
    form_class = UnfreezeForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Saved | StoredAnswer:
        return freezing.unfreeze(
            actor, self.frozen_subject(), reason=given["reason"], claim=claim, precondition=self.unchanged
        )

    def tell(self, result: Saved) -> str:
        return _("%(name)s can be reserved again.") % {"name": result.row}


class FrozenFilter(admin.SimpleListFilter):
    """Filter by whether a row is frozen now, by the database's clock."""

    title = _("freeze")
    parameter_name = "frozen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Frozen"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_frozen=True) if self.value() == "1" else queryset


class FreezableAdmin(ServiceAdmin):
    """The admin of rows that can be frozen: both dialogs, and a badge in the list."""

    actions_detail: ClassVar[tuple[str, ...]] = ("freeze", "unfreeze")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        frozen: QuerySet[Any] = rows.with_freezes()
        return frozen

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The actions that make sense for this row in its present state."""
        row = self.get_object(request, str(object_id))
        left_out = self.pointless_actions(request, row) if row is not None else set()
        offered = super().get_actions_detail(request, object_id)
        return self.actions_named(offered, set(self.actions_detail) - left_out)

    def pointless_actions(self, request: HttpRequest, row: Any) -> set[str]:
        """The names of actions not to offer: unfreezing if not frozen, freezing if frozen, both without permission."""
        if not may_freeze(request, row):
            return {"freeze", "unfreeze"}
        return {"freeze"} if row.is_frozen else {"unfreeze"}

    freeze = FreezeDialog.as_action(url_path="freeze", icon="ac_unit")
    unfreeze = UnfreezeDialog.as_action(url_path="unfreeze", icon="sunny")

    @badge(_("state"), {"frozen": "info", "active": "success", "off": ""})
    def state(self, row: Any) -> tuple[str, Any]:
        if row.is_frozen:
            return "frozen", _("Frozen")
        return ("active", _("Active")) if getattr(row, "is_active", True) else ("off", _("Switched off"))

    def frozen(self, row: Any) -> str:
        """Beginning, end and reason of the freeze."""
        return frozen_text(row)

    frozen.short_description = _("frozen")  # type: ignore[attr-defined]

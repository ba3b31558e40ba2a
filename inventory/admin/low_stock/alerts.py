"""Low-stock alerts in the console: the work list of purchasing."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Any, ClassVar, Final, NamedTuple, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.actors import Actor
from audit.console.base import (
    ReadOnlyAdmin,
    WarehouseFilter,
    badge,
    in_pairs,
    non_empty_fields,
)
from audit.console.dialogs import Dialog, DialogForm, ReasonField
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.exported import ExportedAdmin
from audit.console.exports import ExportRow, in_batches
from audit.console.lists import ConsoleList
from audit.console.times import TimeField
from audit.console.wording import LazyText
from audit.display import NOTHING, shown_time
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.low_stock.assigning import AssignsSelected
from inventory.admin.low_stock.subscribing import SubscriptionDialog
from inventory.admin.stock.marks import marked, warned_of, with_warnings
from inventory.admin.stock.shared_columns import FoundByCode, OfLevel
from inventory.models import LowStockAlert
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock.alerts import Outlook

_SHORT: Final = "j M, H:i"
"""The format of a recent time, without the year."""


class StateFilter(admin.SimpleListFilter):
    """Filter by state. By default only open alerts are shown."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("new", _("Unassigned")),
            ("acknowledged", _("Assigned")),
            ("snoozed", _("Snoozed")),
            ("resolved", _("Resolved")),
            ("all", _("All")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices, with ``Open`` selected by default."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": _("Open")}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_open, is_snoozed = Q(resolved_at__isnull=True), Q(snoozed_until__gt=Now())
        match self.value():
            case "all":
                return queryset
            case "resolved":
                return queryset.exclude(is_open)
            case "snoozed":
                return queryset.filter(is_open & is_snoozed)
            case "acknowledged":
                return queryset.filter(is_open, acknowledged_at__isnull=False)
            case "new":
                return queryset.filter(is_open, acknowledged_at__isnull=True).exclude(is_snoozed)
        return queryset.filter(is_open)


class _ExportedAlert(NamedTuple):
    """The fields of an alert and its level that an export reads; ``id`` is the level's."""

    sku: str
    product: str
    barcode: str
    warehouse: str
    severity: str
    id: UUID
    on_hand: int
    reserved: int
    available: int
    reorder_point: int | None
    reorder_quantity: int | None
    max_stock_level: int | None
    safety_stock: int
    opened_at: datetime
    acknowledged_by: str
    snoozed_until: datetime | None


_EXPORTED: Final = (
    *("level__product__sku", "level__product__name", "level__product__barcode", "level__warehouse__code", "severity"),
    *("level_id", "level__on_hand", "level__reserved", "level__available", "level__reorder_point"),
    *("level__reorder_quantity", "level__max_stock_level", "level__min_stock_level"),
    *("opened_at", "acknowledged_by", "snoozed_until"),
)
"""The field paths that ``_ExportedAlert`` is read from, in its order."""


class AlertList(ConsoleList):
    """A page of alerts, each with the outlook of its level; two queries for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = _with_outlooks(self.result_list)


def _with_outlooks(alerts: Iterable[LowStockAlert]) -> list[Any]:
    """Set ``outlook`` on each alert."""
    rows: list[Any] = list(alerts)
    known = low_stock.outlooks([row.level for row in rows])
    for row in rows:
        row.outlook = known[row.level_id]
    with_warnings([row.level for row in rows])
    return rows


# -------------------------------------------------------------------------------------------------------------- dialogs


class NoteForm(DialogForm):
    """An optional note for the audit entry."""

    note = ReasonField(label=_("Reason"), required=False, help_text=_("For example “ordered on Monday”."))


class _AlertDialog(Dialog[LowStockAlert]):
    """A dialog about an alert, with its figures."""

    permission = "inventory.settle_alerts"
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "alert_resolved": _("Stock has arrived: this alert is resolved."),
    }
    form_class = NoteForm

    def about(self) -> list[tuple[Any, Any]]:
        level = self.subject.level
        outlook = low_stock.outlooks([level])[level.id]
        warned = warned_of(level)
        return [
            (_("Product"), str(level.product)),
            (_("Warehouse"), level.warehouse.code),
            *([(_("Attention"), warned)] if warned else []),
            (_("Available"), level.available),
            (_("Lasts for days"), _known(outlook.days_of_supply)),
            (_("Suggested order"), _known(outlook.suggested_order)),
        ]

    def way_back(self) -> str:
        """Return to the list, for the next alert."""
        self.subject, alert = None, self.subject
        try:
            return super().way_back()
        finally:
            self.subject = alert


class AcknowledgeDialog(_AlertDialog):
    """Acknowledge an alert."""

    title = _("Assign to me")
    intro = _("The alert stays open until stock arrives, but sends no more reminders.")
    submit = _("Assign to me")

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> LowStockAlert | StoredAnswer:
        return low_stock.acknowledge(self.subject.pk, actor, note=given["note"], claim=claim)

    def tell(self, result: LowStockAlert) -> str:
        return _("%(place)s is assigned to %(name)s.") % {"place": result.level.place, "name": result.acknowledged_by}


class SnoozeForm(EditForm, NoteForm):
    """The end of a snooze, entered in the browser's own field."""

    until = TimeField(label=_("Until"), required=False, help_text=_("Leave it empty to end a snooze."))
    field_order = ("until", "note")


class SnoozeDialog(_AlertDialog, EditDialog[LowStockAlert]):
    """Snooze an alert: no reminders until a time."""

    title = _("Snooze")
    intro = _("No mail is sent about it until then, unless it gets worse.")
    submit = _("Snooze")
    form_class = SnoozeForm

    def values(self, row: LowStockAlert) -> Mapping[LazyText, str]:
        return {_("Snoozed until"): shown_time(row.snoozed_until) if row.snoozed_until else NOTHING}

    def initial(self) -> dict[str, Any]:
        """The end that is set, else tomorrow at 8:00."""
        until = self.subject.snoozed_until
        if until is None or until <= timezone.now():
            morning = datetime.combine(timezone.localdate() + timedelta(days=1), time(8))
            until = timezone.make_aware(morning)
        return {"until": until}

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> LowStockAlert | StoredAnswer:
        return low_stock.snooze(
            self.subject.pk, given["until"], actor, note=given["note"], claim=claim, precondition=self.unchanged
        )

    def tell(self, result: LowStockAlert) -> str:
        place = result.level.place
        if result.snoozed_until is None:
            return _("%(place)s is no longer snoozed.") % {"place": place}
        return _("%(place)s is snoozed until %(until)s.") % {"place": place, "until": shown_time(result.snoozed_until)}


# ----------------------------------------------------------------------------------------------------------------- list


def _known(value: int | None) -> Any:
    return NOTHING if value is None else value


@admin.register(LowStockAlert)
class LowStockAlertAdmin(AssignsSelected, OfLevel, FoundByCode, ExportedAdmin, ReadOnlyAdmin):
    """Alerts of low stock, the critical first, the oldest first."""

    warehouse_paths = ("level_warehouse__code",)
    id_fields = ("pk", "level_id", "level__product_id")
    list_display = (
        "product",
        "warehouse",
        "how_low",
        "available_now",
        "days_of_supply",
        "suggested_order",
        "open_for",
        "what_is_done",
    )
    number_columns = ("available_now", "days_of_supply", "suggested_order")
    list_filter = (StateFilter, "severity", ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "level__product__name")
    search_help_text = _("A part of SKU or name, a whole barcode, or an id")
    ordering = ("severity", "opened_at", "id")
    sortable_by = ("product", "warehouse", "available_now")
    looked_up_relations = frozenset({"level"})
    actions_row = ("acknowledge", "snooze")
    actions_detail = ("acknowledge", "snooze")
    actions_list = ("subscribe",)
    empty_hint = _("Nothing is low on stock. Levels with a reorder point or a maximum stock are watched.")
    export_permission = "inventory.export_stock"
    export_name = "low-stock"
    export_formats = ("csv", "xlsx")
    export_header = (
        _("SKU"),
        _("Product"),
        _("Barcode"),
        _("Warehouse"),
        _("Severity"),
        _("On hand"),
        _("Reserved"),
        _("Available"),
        _("Reorder point"),
        _("Reorder quantity"),
        _("Maximum stock"),
        _("Lasts for days"),
        _("Suggested order"),
        _("Opened"),
        _("Assigned to"),
        _("Snoozed until"),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The fields of this alert, without empty ones."""
        now = ["level_link", "warehouse", "how_low", "what_is_done"]
        now += ["available_now", "days_of_supply", "suggested_order", "opened_at"]
        later = ["worsened_at", "acknowledged_by", "acknowledged_at", "snoozed_until", "notified_at", "resolved_at"]
        begun = ["available_then", "reorder_point"]
        return in_pairs([*now, *begun, *(non_empty_fields(obj, *later) if obj else later)])

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return AlertList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The alert, with the outlook of its level."""
        found = super().get_object(request, object_id, from_field)
        return _with_outlooks([found])[0] if found is not None else None

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """No actions for a resolved alert."""
        alert = self.get_object(request, str(object_id))
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered if alert is not None and alert.resolved_at is None else []

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterator[ExportRow]:
        """The figures that purchasing needs for orders."""
        names = {value: str(label) for value, label in LowStockAlert.Severity.choices}
        for batch in in_batches(rows, _EXPORTED):
            alerts = [_ExportedAlert(*row) for row in batch]
            outlooks = low_stock.outlooks(alerts)
            for alert in alerts:
                outlook = outlooks[alert.id]
                yield (
                    alert.sku,
                    alert.product,
                    alert.barcode,
                    alert.warehouse,
                    names[alert.severity],
                    alert.on_hand,
                    alert.reserved,
                    alert.available,
                    alert.reorder_point,
                    alert.reorder_quantity,
                    alert.max_stock_level,
                    outlook.days_of_supply,
                    outlook.suggested_order,
                    alert.opened_at,
                    alert.acknowledged_by,
                    alert.snoozed_until,
                )

    acknowledge = AcknowledgeDialog.as_action(url_path="acknowledge", icon="check_circle", label=_("Assign to me"))
    snooze = SnoozeDialog.as_action(url_path="snooze", icon="snooze")
    subscribe = SubscriptionDialog.as_action(url_path="subscribe", icon="mail", label=_("Mail me"))

    @display(description=_("product"), ordering="level__product__sku", header=True)  # type: ignore[untyped-decorator]
    def product(self, alert: LowStockAlert) -> list[str]:
        return [marked(alert.level.product.sku, alert.level), alert.level.product.name]

    @badge(_("severity"), {"CRITICAL": "danger", "LOW": "warning"}, ordering="severity")
    def how_low(self, alert: LowStockAlert) -> tuple[str, str]:
        return alert.severity, alert.get_severity_display()

    @admin.display(description=_("available"), ordering="level__available")
    def available_now(self, alert: LowStockAlert) -> int:
        return cast(int, alert.level.available)

    @admin.display(description=_("available when it began"))
    def available_then(self, alert: LowStockAlert) -> int:
        return alert.available

    @admin.display(description=_("open for"))
    def open_for(self, alert: LowStockAlert) -> SafeString:
        """How long the alert is, or was, open, in the largest unit: enough to decide what to do first."""
        lasted = timesince(alert.opened_at, alert.resolved_at, depth=1)
        return format_html('<span title="{}">{}</span>', shown_time(alert.opened_at), lasted)

    @admin.display(description=_("days left"))
    def days_of_supply(self, alert: LowStockAlert) -> Any:
        return _known(_outlook(alert).days_of_supply)

    @admin.display(description=_("to order"))
    def suggested_order(self, alert: LowStockAlert) -> Any:
        return _known(_outlook(alert).suggested_order)

    @badge(_("state"), {"snoozed": "info", "taken": "success", "resolved": "success", "new": ""})
    def what_is_done(self, alert: LowStockAlert) -> tuple[str, Any]:
        if alert.resolved_at is not None:
            return "resolved", _("Resolved")
        if alert.snoozed_until is not None and alert.snoozed_until > timezone.now():
            until = date_format(timezone.localtime(alert.snoozed_until), _SHORT)
            return "snoozed", _("Snoozed until %(until)s") % {"until": until}
        if alert.acknowledged_by:
            return "taken", alert.acknowledged_by
        return "new", _("New")


def _outlook(alert: Any) -> Outlook:
    return cast(Outlook, alert.outlook)

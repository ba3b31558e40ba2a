"""Shortage incidents in the console: levels that had fewer units than were held, and whose holds gave way."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.console import ReadOnlyAdmin, ReadOnlyInline, WarehouseFilter, staff_action, wordings
from audit.dialogs import DialogForm, SharedDialog, Text
from audit.idempotency import Claim, StoredAnswer
from audit.services import Asker
from inventory.admin.transfers import short_id
from reservations.models import BrokenHold, ShortageIncident
from reservations.services import incidents
from reservations.services.incidents import ResolveRequest, Shown

wordings.update({"incident_resolved": _("Somebody has resolved this incident before.")})


class BrokenHoldInline(ReadOnlyInline):
    """Whom to tell."""

    model = BrokenHold
    verbose_name_plural = _("Broken holds")
    fields = ("order_id", "cart_id", "customer_id", "quantity")
    ordering = ("id",)


class ResolveForm(DialogForm):
    """How it was settled."""

    resolution = forms.CharField(
        label=_("What was done"),
        help_text=_("Whom you told, what they get instead, where the units were found."),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )


class ResolveDialog(SharedDialog[Shown]):
    """The end of an incident, in words."""

    title = _("Resolve this incident")
    submit = _("Resolve")
    permission = "reservations.settle_incident"
    form_class = ResolveForm

    def state(self) -> str:
        """It is resolved once."""
        return ""

    def about(self) -> list[tuple[Text, Any]]:
        incident: ShortageIncident = self.subject
        told = (
            row.order_id or row.cart_id or row.customer_id or "–" for row in incident.broken_holds.order_by("pk")[:20]
        )
        return [
            (_("Product"), incident.level.product),
            (_("Warehouse"), incident.level.warehouse),
            (_("Missing"), incident.missing_units),
            (_("Orders and carts"), ", ".join(told) or "–"),
        ]

    def perform(self, asker: Asker, given: dict[str, Any], claim: Claim) -> Shown | StoredAnswer:
        return incidents.resolve_incident(ResolveRequest(asker, self.subject.pk, given["resolution"], claim))

    def tell(self, result: Shown) -> str:
        return str(_("The incident of %(sku)s is resolved.")) % {"sku": result.incident.level.product.sku}


@admin.register(ShortageIncident)
class ShortageIncidentAdmin(ReadOnlyAdmin):
    """Incidents, the newest first."""

    warehouse_paths = ("level__warehouse__code",)
    id_fields = ("pk", "cause_id", "level_id", "level__product_id")
    empty_hint = _("No incident: nowhere were fewer units found than are reserved.")
    list_display = (
        "short_id",
        "state",
        "sku",
        "warehouse",
        "missing_units",
        "orders",
        "cause_type",
        "created_at",
    )
    list_filter = ("status", "cause_type", ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "created_by__exact", "request_id__exact")
    search_help_text = _("A part of a SKU, a whole name or request id, or an id")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        "public_id",
        "status",
        ("sku", "warehouse"),
        "missing_units",
        ("cause_type", "cause_id"),
        ("created_by", "created_at", "request_id"),
        ("resolved_by", "resolved_at"),
        "resolution",
    )
    inlines = (BrokenHoldInline,)
    actions_row = actions_detail = ("resolve",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShortageIncident]:
        broken = BrokenHold.objects.filter(incident=OuterRef("pk"), order_id__isnull=False).order_by()
        orders = broken.values("incident").annotate(ids=StringAgg("order_id", ", ")).values("ids")
        found: QuerySet[ShortageIncident] = super().get_queryset(request)
        return found.annotate(orders=Subquery(orders))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """What is resolved is over."""
        incident = self.get_object(request, str(object_id))
        if incident is None or incident.status != ShortageIncident.Status.OPEN:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered

    @staff_action(
        _("Resolve"),
        url_path="resolve",
        icon="task_alt",
        permission="reservations.settle_incident",
        is_dialog=True,
    )
    def resolve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what was done."""
        return ResolveDialog(self, request, object_id).answer()

    @display(  # type: ignore[untyped-decorator]  # the theme's
        description=_("status"),
        ordering="status",
        label={ShortageIncident.Status.OPEN: "danger", ShortageIncident.Status.RESOLVED: "success"},
    )
    def state(self, incident: ShortageIncident) -> tuple[str, str]:
        return incident.status, incident.get_status_display()

    @admin.display(description=_("orders"))
    def orders(self, incident: ShortageIncident) -> str:
        return getattr(incident, "orders", "") or "–"

    @admin.display(description=_("incident"), ordering="id")
    def short_id(self, incident: ShortageIncident) -> SafeString:
        return short_id(incident.public_id)

    @admin.display(description=_("incident"), ordering="id")
    def public_id(self, incident: ShortageIncident) -> str:
        return incident.public_id

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, incident: ShortageIncident) -> str:
        return incident.level.product.sku

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, incident: ShortageIncident) -> str:
        return incident.level.warehouse.code

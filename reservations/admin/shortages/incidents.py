"""Console pages of shortage incidents."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.actors import Actor
from audit.console.base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    WarehouseFilter,
    badge,
    in_pairs,
    may_read_trail,
    non_empty_fields,
)
from audit.console.dialogs import DialogForm, SharedDialog
from audit.console.filters import link
from audit.console.texts import NoteField
from audit.console.wording import LazyText
from audit.display import NOTHING, shown_id
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import ADJUSTMENT, public_id
from inventory.admin.stock.shared_columns import FoundByCode, OfLevel
from reservations.models import BrokenHold, ShortageIncident
from reservations.services.shortages import incidents
from reservations.services.shortages.incidents import IncidentDetails, ResolveRequest


class BrokenHoldInline(ReadOnlyInline):
    """The cancelled reservations of an incident, with the orders, carts and customers to notify."""

    model = BrokenHold
    warehouse_paths = ("incident__level__warehouse__code",)
    verbose_name_plural = _("Cancelled reservations")
    fields = ("order_id", "cart_id", "customer_id", "quantity")
    ordering = ("id",)


class ResolveForm(DialogForm):
    """The form that asks how an incident was resolved."""

    resolution = NoteField(
        label=_("What was done"),
        help_text=_("Which customers were notified, what they get instead, where the units were found."),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )


class ResolveDialog(SharedDialog[IncidentDetails]):
    """The dialog that resolves an incident."""

    title = _("Resolve this incident")
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "incident_resolved": _("This incident was resolved already."),
    }
    submit = _("Resolve")
    permission = "reservations.settle_incident"
    form_class = ResolveForm

    def state(self) -> str:
        """The incident's status: it can be resolved only once."""
        return ""

    def about(self) -> list[tuple[LazyText, Any]]:
        incident: ShortageIncident = self.subject
        rows = incident.broken_holds.order_by("pk")[:20]
        told = (row.order_id or row.cart_id or row.customer_id or NOTHING for row in rows)
        return [
            (_("Product"), incident.level.product),
            (_("Warehouse"), incident.level.warehouse),
            (_("Missing"), incident.missing_units),
            (_("Orders and carts"), ", ".join(told) or NOTHING),
        ]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> IncidentDetails | StoredAnswer:
        return incidents.resolve_incident(ResolveRequest(actor, self.subject.pk, given["resolution"], claim))

    def tell(self, result: IncidentDetails) -> str:
        return str(_("The incident of %(sku)s is resolved.")) % {"sku": result.incident.level.product.sku}


@admin.register(ShortageIncident)
class ShortageIncidentAdmin(OfLevel, FoundByCode, ReadOnlyAdmin):
    """The list and the page of incidents, the newest first."""

    warehouse_paths = ("level__warehouse__code",)
    id_fields = ("pk", "cause_id", "level_id", "level__product_id")
    empty_hint = _("No incidents: no stock has fewer units than are reserved.")
    empty_hints: ClassVar = {
        "status__exact=OPEN": _(
            "No open incident: no customer has to be notified. Those that are resolved are under Filters."
        )
    }
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
    number_columns = ("missing_units",)
    list_filter = ("status", "cause_type", ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "created_by__exact", "request_id__exact")
    search_help_text = _("A part of a SKU, a whole barcode, name or request id, or an id")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    inlines = (BrokenHoldInline,)
    actions_row = actions_detail = ("resolve",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShortageIncident]:
        broken = BrokenHold.objects.filter(incident=OuterRef("pk"), order_id__isnull=False).order_by()
        orders = broken.values("incident").annotate(ids=StringAgg("order_id", ", ")).values("ids")
        found: QuerySet[ShortageIncident] = super().get_queryset(request)
        return found.annotate(orders=Subquery(orders))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Hide the fields of the resolution while there is none. Show the request as a link to the trail to users who
        may read the trail."""
        facts = ["public_id", "state", "level_link", "warehouse", "missing_units", "cause", "created_by", "created_at"]
        ends = non_empty_fields(obj, "resolved_by", "resolved_at") if obj else ["resolved_by", "resolved_at"]
        asked = "request_link" if may_read_trail(request) else "request_id"
        return [*in_pairs([*facts, *ends]), *(["resolution"] if ends else []), asked]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer no actions for a resolved incident."""
        incident = self.get_object(request, str(object_id))
        if incident is None or incident.status != ShortageIncident.Status.OPEN:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered

    resolve = ResolveDialog.as_action(url_path="resolve", icon="task_alt", label=_("Resolve"))

    @badge(
        _("status"),
        {ShortageIncident.Status.OPEN: "danger", ShortageIncident.Status.RESOLVED: "success"},
        ordering="status",
    )
    def state(self, incident: ShortageIncident) -> tuple[str, str]:
        return incident.status, incident.get_status_display()

    @admin.display(description=_("orders"))
    def orders(self, incident: ShortageIncident) -> str:
        return getattr(incident, "orders", "") or NOTHING

    @admin.display(description=_("found by"))
    def cause(self, incident: ShortageIncident) -> SafeString:
        """A link to the count or the adjustment."""
        name = f"{incident.get_cause_type_display()} …{str(incident.cause_id)[-8:]}"
        if incident.cause_type == ShortageIncident.Cause.COUNT:
            return link(name, reverse("admin:inventory_stockcount_change", args=[incident.cause_id]))
        named = urlencode({"q": public_id(ADJUSTMENT, incident.cause_id)})
        return link(name, f"{reverse('admin:inventory_movement_changelist')}?{named}")

    @admin.display(description=_("request"))
    def request_link(self, incident: ShortageIncident) -> SafeString:
        asked = urlencode({"q": incident.request_id})
        return link(incident.request_id, f"{reverse('admin:audit_auditentry_changelist')}?{asked}")

    @admin.display(description=_("incident"), ordering="id")
    def short_id(self, incident: ShortageIncident) -> SafeString:
        return shown_id(incident.public_id)

    @admin.display(description=_("incident"), ordering="id")
    def public_id(self, incident: ShortageIncident) -> SafeString:
        return shown_id(incident.public_id)

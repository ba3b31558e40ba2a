"""Reconciliation runs and their findings in the console, read only."""

from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.console.base import ReadOnlyAdmin, WarehouseFilter, badge
from audit.console.filters import SetByLinks, link
from audit.identifiers import parse_uuid
from inventory.admin.stock.shared_columns import FoundByCode
from inventory.models import ReconciliationFinding, ReconciliationRun

LAST: Final = "last"
"""The value of the filter by run that means the last run that has ended."""


def findings_of(run: str | UUID) -> str:
    """The address of the list of a run's findings."""
    return f"{reverse('admin:inventory_reconciliationfinding_changelist')}?{urlencode({'run': str(run)})}"


class OfRun(SetByLinks):
    """Filter by run: by its id, or the last one that has ended."""

    title = _("run")
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = super().lookups(request, model_admin)
        return [(LAST, str(_("Latest run"))), *(choice for choice in chosen if choice[0] != LAST)]

    def name_of(self, chosen: str) -> str:
        return str(_("The chosen one"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if not chosen:
            return queryset
        if chosen == LAST:
            ended = ReconciliationRun.objects.filter(finished_at__isnull=False).order_by("-finished_at", "-pk")
            return queryset.filter(run__in=ended.values("pk")[:1])
        run = parse_uuid(chosen)
        return queryset.filter(run=run) if run else queryset.none()


class Repaired(admin.SimpleListFilter):
    """Filter by whether the finding was repaired."""

    title = _("repaired")
    parameter_name = "repaired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", str(_("Left as it was"))), ("yes", str(_("Corrected")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {"no": Q(repaired_at__isnull=True), "yes": Q(repaired_at__isnull=False)}.get(self.value() or "")
        return queryset.filter(wanted) if wanted else queryset


@admin.register(ReconciliationFinding)
class FindingAdmin(FoundByCode, ReadOnlyAdmin):
    """Findings, the newest first. Only users of all warehouses see findings that belong to no warehouse."""

    warehouse_paths = ("level__warehouse__code",)
    id_fields = ("pk", "run_id", "subject_id", "level_id")
    list_display = ("found_at", "what", "where", "expected", "actual", "difference", "outcome")
    number_columns = ("expected", "actual", "difference")
    list_filter = (OfRun, "kind", Repaired, ("level__warehouse", WarehouseFilter))
    list_select_related = ("run", "level__product", "level__warehouse")
    search_fields = ("level__product__sku__exact",)
    search_help_text = _("A whole SKU or barcode, or the id of a run or a row")
    sortable_by = ()
    ordering = ("-id",)
    empty_hint = _("No differences found. A reconciliation runs every night.")
    fields = (
        ("kind", "found_at"),
        "level_link",
        ("expected", "actual", "difference"),
        "detail",
        ("repaired_at", "repaired_by"),
        "repair_reason",
        ("subject_id", "run_link"),
    )

    @admin.display(description=_("found"))
    def found_at(self, finding: ReconciliationFinding) -> str:
        """The time at which its run began."""
        return str(date_format(localtime(finding.run.started_at), "DATETIME_FORMAT"))

    @display(description=_("what"), header=True)  # type: ignore[untyped-decorator]
    def what(self, finding: ReconciliationFinding) -> list[str]:
        return [finding.get_kind_display(), finding.detail]

    @display(description=_("level"), header=True)  # type: ignore[untyped-decorator]
    def where(self, finding: ReconciliationFinding) -> list[str]:
        level = finding.level
        return [level.product.sku, level.warehouse.code] if level else ["–", ""]

    @admin.display(description=_("difference"))
    def difference(self, finding: ReconciliationFinding) -> str:
        if finding.expected is None or finding.actual is None:
            return "–"
        return f"{finding.actual - finding.expected:+d}"

    @badge(_("repaired"), {"yes": "success", "no": "warning"})
    def outcome(self, finding: ReconciliationFinding) -> tuple[str, Any]:
        return ("yes", _("Corrected")) if finding.repaired_at else ("no", _("Left as it was"))

    @admin.display(description=_("level"))
    def level_link(self, finding: ReconciliationFinding) -> SafeString | str:
        if finding.level_id is None:
            return "–"
        return link(finding.level, reverse("admin:inventory_stocklevel_change", args=[finding.level_id]))

    @admin.display(description=_("run"))
    def run_link(self, finding: ReconciliationFinding) -> SafeString:
        return link(_("All that it found"), findings_of(finding.run_id))


@admin.register(ReconciliationRun)
class RunAdmin(ReadOnlyAdmin):
    """Reconciliation runs, the newest first."""

    all_warehouses_only = True
    list_display = ("started_at", "took", "scope", "actor", "levels_checked", "found")
    number_columns = ("levels_checked", "found")
    search_fields = ("actor__exact",)
    search_help_text = _("A whole name, or an id")
    sortable_by = ()
    ordering = ("-id",)
    empty_hint = _("No reconciliation has run yet. One runs every night.")
    fields = (("started_at", "finished_at"), ("scope", "actor"), ("levels_checked", "found"), "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconciliationRun]:
        runs: QuerySet[ReconciliationRun] = super().get_queryset(request)
        return runs.annotate(took=F("finished_at") - F("started_at"))

    @admin.display(description=_("took"))
    def took(self, run: ReconciliationRun) -> str:
        """The duration of a run; an interrupted run has none."""
        span = getattr(run, "took", None)
        return str(_("%(seconds)d s")) % {"seconds": round(span.total_seconds())} if span is not None else "–"

    @admin.display(description=_("findings"))
    def found(self, run: ReconciliationRun) -> SafeString | str:
        return link(run.finding_count, findings_of(run.pk)) if run.finding_count else "0"

"""The route of reconciliation."""

from typing import ClassVar

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, decode_query, respond
from audit.api.paging import page_of
from audit.api.schema import describe
from audit.roles import Capability
from inventory.api.bookkeeping import contract
from inventory.models import ReconciliationFinding, ReconciliationRun


class ReconciliationView(ApiView):
    """The last run and its findings."""

    allowed: ClassVar = {"GET": Capability.READ_RECONCILIATION}
    for_all_stores: ClassVar = frozenset({"GET"})

    @describe(
        "readReconciliation",
        "Read the last reconciliation",
        query=contract.ReconciliationQuery,
        answers={200: contract.ReconciliationOut},
    )
    def get(self, request: Request) -> HttpResponse:
        """Reads the last run that compared all counters with what explains them, and its findings."""
        query = decode_query(request, contract.ReconciliationQuery)
        run = ReconciliationRun.objects.filter(finished_at__isnull=False).order_by("-finished_at", "-pk").first()
        found = ReconciliationFinding.objects.filter(run=run).select_related("level__product", "level__warehouse")
        if query.kind is not None:
            found = found.filter(kind=query.kind)
        findings, following = page_of(found, query)
        items = [_finding(finding) for finding in findings]
        return respond(contract.ReconciliationOut(run=_run(run) if run else None, items=items, next=following))


def _run(run: ReconciliationRun) -> contract.ReconciliationRunOut:
    assert run.finished_at is not None  # noqa: S101 - only finished runs are read
    return contract.ReconciliationRunOut(
        reconciliation_id=run.id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        scope=run.scope,
        actor=run.actor,
        levels_checked=run.levels_checked,
        finding_count=run.finding_count,
    )


def _finding(finding: ReconciliationFinding) -> contract.ReconciliationFindingOut:
    level = finding.level
    answer = contract.ReconciliationFindingOut(
        finding_id=finding.id,
        kind=finding.kind,  # type: ignore[arg-type]
        subject_id=finding.subject_id,
        expected=finding.expected,
        actual=finding.actual,
        detail=finding.detail,
        repaired_at=finding.repaired_at or UNSET,
        repaired_by=finding.repaired_by or UNSET,
        repair_reason=finding.repair_reason or UNSET,
    )
    if level is not None:
        answer.product_id = level.product.parent_id or level.product_id
        answer.variant_id = level.product_id if level.product.parent_id else UNSET
        answer.warehouse_id = level.warehouse.code
    return answer

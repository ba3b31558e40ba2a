"""The routes of low stock and its alerts: decode, one call, answer."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, Q
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.contract import Problem
from audit.errors import NotFound
from audit.http import (
    STOCKKEEPING,
    ApiView,
    after,
    after_share,
    answered,
    as_utc,
    cursor_of,
    cursor_of_share,
    decode,
    decode_query,
    rendered,
    respond,
)
from audit.idempotency import StoredAnswer
from audit.identifiers import ALERT, parse_public_id
from audit.schema import describe
from inventory.api import low_stock_contract as contract
from inventory.api.views import require_store
from inventory.models import LowStockAlert, Product, StockLevel
from inventory.planning import PARTS
from inventory.services import low_stock
from inventory.services.low_stock import Outlook


class LowStockView(ApiView):
    """What is to be ordered."""

    @describe(
        "listLowStock",
        "List what is low on stock, the worst first",
        query=contract.LowStockQuery,
        answers={200: contract.LowStockPageOut, 422: Problem},
    )
    def get(self, request: Request) -> HttpResponse:
        query = decode_query(request, contract.LowStockQuery)
        codes = self.asker(request).store_codes
        found: Any = StockLevel.objects.visible_to(codes).low(round(query.threshold * PARTS))
        if query.store_id is not None:
            require_store(query.store_id, codes)
            found = found.visible_to([query.store_id])
        if query.warehouse_id is not None:
            found = found.filter(warehouse__code=query.warehouse_id)
        if query.severity is not None:
            found = found.filter(is_critical=query.severity == "CRITICAL")
        total = found.aggregate(items=Count("pk"), critical=Count("pk", filter=Q(is_critical=True)))
        levels, following = _worst_first(found, query)
        outlooks = low_stock.outlooks(levels)
        return respond(
            contract.LowStockPageOut(
                items=[_low(level, outlooks[level.id]) for level in levels],
                total_items=total["items"],
                critical_items=total["critical"],
                low_items=total["items"] - total["critical"],
                next=following,
            )
        )


def _worst_first(found: Any, query: contract.LowStockQuery) -> tuple[list[Any], str | None]:
    """One page of low levels by their share of the full level, and the cursor of the next.

    Products and warehouses are read for the page alone: joined, they would be for all low levels.
    """
    if place := after_share(query):
        share, identifier = place
        found = found.filter(Q(share__gt=share) | Q(share=share, pk__gt=identifier))
    rows = list(found.prefetch_related("product", "warehouse").order_by("share", "pk")[: query.limit + 1])
    page = rows[: query.limit]
    return page, cursor_of_share(page[-1].share, page[-1].pk) if len(rows) > query.limit else None


def _names(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.parent_id or product.id,
        "variant_id": product.id if product.parent_id else UNSET,
        "product_sku": product.sku,
        "product_name": product.name,
    }


def _low(level: Any, outlook: Outlook) -> contract.LowStockItemOut:
    return contract.LowStockItemOut(
        **_names(level.product),
        warehouse_id=level.warehouse.code,
        current_stock=level.available,
        reorder_point=level.reorder_point,
        percentage_remaining=outlook.percentage_remaining,
        days_of_supply=outlook.days_of_supply,
        suggested_order_quantity=outlook.suggested_order,
        status="CRITICAL" if level.is_critical else "LOW",
    )


class AlertsView(ApiView):
    """The alerts of low stock."""

    @describe(
        "listAlerts",
        "List alerts of low stock, the newest first",
        query=contract.AlertsQuery,
        answers={200: contract.AlertPageOut, 422: Problem},
    )
    def get(self, request: Request) -> HttpResponse:
        query = decode_query(request, contract.AlertsQuery)
        codes = self.asker(request).store_codes
        found = LowStockAlert.objects.visible_to(codes).described()
        if query.state != "ALL":
            found = found.filter(resolved_at__isnull=query.state == "OPEN")
        if query.store_id is not None:
            require_store(query.store_id, codes)
            found = found.visible_to([query.store_id])
        if query.warehouse_id is not None:
            found = found.filter(level__warehouse__code=query.warehouse_id)
        if query.severity is not None:
            found = found.filter(severity=query.severity)
        if behind := after(query):
            found = found.filter(pk__lt=behind)
        rows = list(found.order_by("-pk")[: query.limit + 1])
        following = cursor_of(rows[query.limit - 1].pk) if len(rows) > query.limit else None
        return respond(contract.AlertPageOut(items=[_alert(row) for row in rows[: query.limit]], next=following))


def _alert(alert: LowStockAlert) -> contract.AlertOut:
    return contract.AlertOut(
        alert_id=alert.public_id,
        **_names(alert.level.product),
        warehouse_id=alert.level.warehouse.code,
        severity=alert.severity,  # type: ignore[arg-type]
        current_stock=alert.level.available,
        alerted_stock=alert.available,
        reorder_point=alert.reorder_point,
        opened_at=alert.opened_at,
        worsened_at=alert.worsened_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by or None,
        snoozed_until=alert.snoozed_until,
        resolved_at=alert.resolved_at,
    )


def _rendered(alert: LowStockAlert) -> StoredAnswer:
    return rendered(_alert(alert))


def _id(alert_id: str) -> UUID:
    identifier = parse_public_id(ALERT, alert_id)
    if identifier is None:
        raise NotFound("There is no such alert.")
    return identifier


class AcknowledgeAlertView(ApiView):
    """Somebody takes care of an alert."""

    allowed: ClassVar = {"POST": STOCKKEEPING}

    @describe(
        "acknowledgeAlert",
        "Acknowledge an alert",
        body=contract.AcknowledgeIn,
        answers={200: contract.AlertOut, 404: Problem, 409: Problem, 422: Problem},
        idempotent=True,
    )
    def post(self, request: Request, alert_id: str) -> HttpResponse:
        body = decode(request, contract.AcknowledgeIn)
        claim = self.claim(request, _rendered)
        return answered(
            low_stock.acknowledge(_id(alert_id), self.asker(request), note=body.note, claim=claim), _rendered
        )


class SnoozeAlertView(ApiView):
    """Nobody is to be reminded of an alert for a while."""

    allowed: ClassVar = {"POST": STOCKKEEPING}

    @describe(
        "snoozeAlert",
        "Snooze an alert",
        body=contract.SnoozeIn,
        answers={200: contract.AlertOut, 404: Problem, 409: Problem, 422: Problem},
        idempotent=True,
    )
    def post(self, request: Request, alert_id: str) -> HttpResponse:
        body = decode(request, contract.SnoozeIn)
        until = as_utc(body.until, "/until")
        claim = self.claim(request, _rendered)
        return answered(
            low_stock.snooze(_id(alert_id), until, self.asker(request), note=body.note, claim=claim), _rendered
        )

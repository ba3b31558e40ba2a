"""The routes of low stock and its alerts: decode, one call, answer."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, answered, decode, decode_query, id_in_path, rendered, respond
from audit.api.paging import BY_ID, BY_RANK, page_of
from audit.api.schema import describe
from audit.idempotency import StoredAnswer
from audit.identifiers import ALERT
from audit.roles import Capability
from inventory import planning
from inventory.api.filters import require_store, warehouse_id
from inventory.api.low_stock import contract
from inventory.api.stock.views import in_places
from inventory.errors import AlertResolved, UnknownStore, UnknownWarehouse
from inventory.models import LowStockAlert, Product, StockLevel
from inventory.models.catalogue_querysets import warehouses_of
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock.alerts import Outlook


class LowStockView(ApiView):
    """The list of low levels, with suggested orders."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listLowStock",
        "List what is low on stock, the worst first",
        query=contract.LowStockQuery,
        answers={200: contract.LowStockPageOut},
        refusals=(UnknownStore, UnknownWarehouse),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists the levels that are low, the worst first, with the units to order."""
        query = decode_query(request, contract.LowStockQuery)
        actor = self.actor(request)
        found: Any = StockLevel.objects.visible_to(actor).low(round(query.threshold * planning.PARTS))
        found = in_places(found, query, actor)
        if query.severity is not None:
            found = found.filter(is_critical=query.severity == "CRITICAL")
        low = low_stock.read_worst(found, behind=BY_RANK.after(query), limit=query.limit + 1)
        levels, following = BY_RANK.page(low.levels, query, lambda level: (level.rank, level.pk))
        outlooks = low_stock.outlooks(levels)
        return respond(
            contract.LowStockPageOut(
                items=[_low(level, outlooks[level.id]) for level in levels],
                total_items=low.items,
                critical_items=low.critical,
                low_items=low.items - low.critical,
                next=following,
            )
        )


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
        status="CRITICAL" if planning.severity(level, level.available) is planning.Severity.CRITICAL else "LOW",
    )


class AlertsView(ApiView):
    """The list of alerts."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listAlerts",
        "List alerts of low stock, the newest first",
        query=contract.AlertsQuery,
        answers={200: contract.AlertPageOut},
        refusals=(UnknownStore, UnknownWarehouse),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists the alerts of levels that are or were low, the newest first."""
        query = decode_query(request, contract.AlertsQuery)
        actor = self.actor(request)
        found = LowStockAlert.objects.visible_to(actor)
        if query.state != "ALL":
            found = found.filter(resolved_at__isnull=query.state == "OPEN")
        if query.severity is not None:
            found = found.filter(severity=query.severity)
        require_store(actor, query.store_id)
        if query.store_id is not None:
            found = found.filter(level_warehouse__in=warehouses_of([query.store_id]))
        if query.warehouse_id is not None:
            place = warehouse_id(actor, query.warehouse_id)
            newest = found.newest_in(place, behind=BY_ID.after(query), limit=query.limit + 1)
            found = LowStockAlert.objects.filter(pk__in=newest.values("pk"))
        alerts, following = page_of(found.described(), query, newest_first=True)
        return respond(contract.AlertPageOut(items=[_alert(row) for row in alerts], next=following))


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
    return id_in_path(ALERT, alert_id, "an alert")


class AcknowledgeAlertView(ApiView):
    """Acknowledge an alert."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "acknowledgeAlert",
        "Acknowledge an alert",
        body=contract.AcknowledgeIn,
        answers={200: contract.AlertOut},
        refusals=(AlertResolved,),
        idempotent=True,
    )
    def post(self, request: Request, alert_id: str) -> HttpResponse:
        """Records that somebody takes care of an alert."""
        body = decode(request, contract.AcknowledgeIn)
        claim = self.claim(request, _rendered)
        return answered(
            low_stock.acknowledge(_id(alert_id), self.actor(request), note=body.note, claim=claim), _rendered
        )


class SnoozeAlertView(ApiView):
    """Snooze an alert."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "snoozeAlert",
        "Snooze an alert",
        body=contract.SnoozeIn,
        answers={200: contract.AlertOut},
        refusals=(AlertResolved,),
        idempotent=True,
    )
    def post(self, request: Request, alert_id: str) -> HttpResponse:
        """Stops the reminders of an alert until a moment. With `until` null, it ends the snooze."""
        body = decode(request, contract.SnoozeIn)
        until = body.until
        claim = self.claim(request, _rendered)
        return answered(
            low_stock.snooze(_id(alert_id), until, self.actor(request), note=body.note, claim=claim), _rendered
        )

"""The route of explain: decodes the request, calls one service and encodes the answer."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, decode_query
from audit.api.schema import describe
from audit.api.versions import respond_unless_known
from audit.errors import Archived
from audit.identifiers import ALERT, RESERVATION, TRANSFER, public_id
from audit.roles import Capability
from inventory.api.filters import require_warehouse
from inventory.api.stock.movement_views import movement_out
from inventory.errors import UnknownWarehouse
from reservations.api.availability import explain_contract as contract
from reservations.services.availability import explanation
from reservations.services.availability.explanation import Explanation, HoldsOfKind, IncomingStock, StockThen


class ExplainView(ApiView):
    """Explain the sellable units of a product."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "explain",
        "Explain what is sellable of a product, or what was on hand",
        query=contract.ExplainQuery,
        answers={200: contract.ExplainOut},
        refusals=(Archived, UnknownWarehouse),
        tagged=True,
    )
    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        """Explains how many units of a product can be sold, with the reservations, transfers and movements behind the
        figures. With `at`, it answers what was on hand at a past moment."""
        query = decode_query(request, contract.ExplainQuery)
        actor = self.actor(request)
        require_warehouse(actor, query.warehouse_id)
        if at := query.at:
            then = explanation.on_hand_at(actor, product_id, query.warehouse_id, at)
            return respond_unless_known(request, _then(then))
        explained = explanation.explain(actor, product_id, query.warehouse_id)
        return respond_unless_known(
            request,
            contract.ExplainOut(
                product_id=explained.parent_id or explained.stock_id,
                variant_id=explained.stock_id if explained.parent_id else UNSET,
                as_of=explained.now,
                sellable=sum(level.sellable for level in explained.levels),
                warehouses=[_level(level, explained.now) for level in explained.levels],
            ),
        )


def _then(then: StockThen) -> contract.ExplainOut:
    return contract.ExplainOut(
        product_id=then.parent_id or then.stock_id,
        variant_id=then.stock_id if then.parent_id else UNSET,
        at=then.at,
        total_quantity=sum(level.on_hand for level in then.levels),
        warehouses=[
            contract.ExplainedLevelOut(
                warehouse_id=level.warehouse, warehouse_name=level.warehouse_name, quantity_on_hand=level.on_hand
            )
            for level in then.levels
        ],
    )


def _level(level: Explanation, now: datetime) -> contract.ExplainedLevelOut:
    alert = level.alert
    return contract.ExplainedLevelOut(
        warehouse_id=level.warehouse,
        warehouse_name=level.warehouse_name,
        sellable=level.sellable,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.on_hand - level.reserved,
        safety_stock=level.safety_stock,
        blocked_by=[
            contract.BlockOut(code=block.code, detail=block.detail, until=block.until or UNSET)
            for block in level.blocks
        ],
        holds=_holds(level.active, now),
        due_holds=_holds(level.due, now),
        incoming=_incoming(level.incoming),
        low_stock=contract.OpenAlertOut(
            alert_id=public_id(ALERT, alert.id), severity=alert.severity, opened_at=alert.opened_at
        )
        if alert
        else UNSET,
        last_movements=[movement_out(line) for line in level.movements],
    )


def _holds(held: HoldsOfKind, now: datetime) -> contract.LevelHoldsOut:
    items = [
        contract.LevelHoldOut(
            reservation_id=public_id(RESERVATION, hold.reservation_id),
            store_id=hold.store,
            cart_id=hold.cart_id,
            order_id=hold.order_id,
            customer_id=hold.customer_id,
            quantity=hold.quantity,
            expires_at=hold.held_until,
            expires_in_seconds=max(0, int((hold.held_until - now).total_seconds())),
        )
        for hold in held.shown
    ]
    return contract.LevelHoldsOut(count=held.holds, units=held.units, items=items)


def _incoming(incoming: IncomingStock) -> contract.IncomingOut:
    transfers = [
        contract.IncomingTransferOut(
            transfer_id=public_id(TRANSFER, line.transfer_id),
            from_warehouse_id=line.source,
            quantity=line.quantity,
            expected_delivery=line.expected_delivery,
        )
        for line in incoming.shown
    ]
    return contract.IncomingOut(units=incoming.units, transfers=transfers)

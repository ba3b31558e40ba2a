"""The route of adjustments: decode, one call, answer."""

from typing import ClassVar

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework import exceptions
from rest_framework.request import Request

from audit.api.http import ApiView, answered, caller_of, decode, note_rows, rendered
from audit.api.schema import describe
from audit.errors import VersionConflict
from audit.idempotency import StoredAnswer
from audit.identifiers import ADJUSTMENT, public_id
from audit.roles import Capability
from inventory.api.stock import contract as stock_contract
from inventory.errors import (
    InsufficientStock,
    MoreThanSold,
    QuantityLimit,
    UnknownProduct,
    UnknownWarehouse,
    WarehouseInactive,
)
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments


class AdjustView(ApiView):
    """Change on hand."""

    allowed: ClassVar = {"PUT": Capability.KEEP_STOCK}

    @describe(
        "adjust",
        "Adjust stock",
        body=stock_contract.AdjustIn,
        answers={200: stock_contract.AdjustedOut},
        refusals=(
            InsufficientStock,
            MoreThanSold,
            QuantityLimit,
            "reserved_unexplained",
            UnknownProduct,
            UnknownWarehouse,
            VersionConflict,
            WarehouseInactive,
        ),
        idempotent=True,
    )
    def put(self, request: Request) -> HttpResponse:
        """Changes what is on hand, all adjustments or none. On hand never falls below what is reserved, unless a
        manager forces it."""
        body = decode(request, stock_contract.AdjustIn)
        adjust = AdjustRequest(
            actor=self.actor(request),
            adjustments=tuple(map(_adjustment, body.adjustments)),
            claim=self.claim(request, _adjusted),
        )
        if any(line.force for line in body.adjustments) and not caller_of(request).may(Capability.MANAGE):
            raise exceptions.PermissionDenied("Only a manager forces an adjustment.")
        adjusted = apply_adjustments(adjust)
        if isinstance(adjusted, Adjusted):
            note_rows(request, sum(hold.rows for hold in adjusted.broken))
        return answered(adjusted, _adjusted)


def _adjustment(line: stock_contract.AdjustmentIn) -> Adjustment:
    return Adjustment(
        line.product_id,
        line.variant_id,
        line.warehouse_id,
        line.quantity,
        line.type,
        line.reason,
        line.reference,
        line.cost_per_unit,
        line.expected_version,
        line.force,
        line.order_id or "",
    )


def _adjusted(adjusted: Adjusted) -> StoredAnswer:
    lines = [
        stock_contract.AdjustedLineOut(
            product_id=line.product_id,
            variant_id=line.variant_id or UNSET,
            warehouse_id=line.adjustment.warehouse,
            previous_quantity=line.before,
            adjusted_quantity=line.adjustment.change,
            new_quantity=line.after,
            type=line.adjustment.type,  # type: ignore[arg-type]
        )
        for line in adjusted.lines
    ]
    return rendered(
        stock_contract.AdjustedOut(
            adjustment_id=public_id(ADJUSTMENT, adjusted.id),
            status="COMPLETED",
            adjustments=lines,
            adjusted_at=adjusted.now,
            adjusted_by=adjusted.actor,
        )
    )

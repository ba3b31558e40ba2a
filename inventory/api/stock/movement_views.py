"""The route of movements: decode, one read, answer."""

from typing import ClassVar

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, decode_query, respond
from audit.api.paging import BY_MOMENT
from audit.api.schema import describe
from audit.identifiers import ADJUSTMENT, MOVEMENT, public_id
from audit.roles import Capability
from inventory.api.filters import require_warehouse
from inventory.api.stock import movement_contract as contract
from inventory.errors import UnknownWarehouse
from inventory.services.stock import movements
from inventory.services.stock.movements import MovementFilter, MovementLine


class MovementsView(ApiView):
    """The list of movements."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listMovements",
        "List movements, the newest first",
        query=contract.MovementsQuery,
        answers={200: contract.MovementPageOut},
        refusals=(UnknownWarehouse,),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists the changes of on hand, the newest first."""
        query = decode_query(request, contract.MovementsQuery)
        wanted = MovementFilter(
            store_codes=self.actor(request).store_codes,
            product_id=query.product_id,
            variant_id=query.variant_id,
            warehouse=query.warehouse_id,
            type=query.type,
            since=query.since,
            until=query.until,
            reference=query.reference,
        )
        require_warehouse(self.actor(request), query.warehouse_id)
        found = movements.read_movements(wanted, behind=BY_MOMENT.after(query), limit=query.limit + 1)
        page, following = BY_MOMENT.page(found, query, lambda line: (line.created_at, line.id))
        return respond(contract.MovementPageOut(items=[movement_out(line) for line in page], next=following))


def movement_out(line: MovementLine) -> contract.MovementOut:
    """A movement for callers."""
    return contract.MovementOut(
        movement_id=public_id(MOVEMENT, line.id),
        product_id=line.parent_id or line.stock_id,
        variant_id=line.stock_id if line.parent_id else UNSET,
        warehouse_id=line.warehouse,
        type=line.type,
        quantity=line.quantity,
        quantity_before=line.quantity_before,
        quantity_after=line.quantity_after,
        reason=line.reason,
        reference_type=line.reference_type,
        reference=line.reference,
        cost_per_unit=UNSET if line.cost_per_unit is None else line.cost_per_unit,
        adjustment_id=public_id(ADJUSTMENT, line.adjustment_id) if line.adjustment_id else UNSET,
        actor=line.actor,
        created_at=line.created_at,
    )

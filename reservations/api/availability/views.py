"""The route of check-availability: decodes the request, calls one service and encodes the answer."""

from typing import ClassVar, Final

from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, Pending, decode, rendered
from audit.api.schema import describe
from audit.idempotency import StoredAnswer
from audit.roles import Capability
from inventory.combining import LongReading, Reading
from inventory.errors import UnknownStore
from reservations.api.availability import contract as availability_contract
from reservations.services.availability import availability

_COMBINED_LINES: Final = 50
"""The most lines of a request that shares a statement. A longer one would make the others of its batch wait, and saves
little by sharing: its lines take most of the time."""


class CheckAvailabilityView(ApiView):
    """Check the availability of products."""

    allowed: ClassVar = {"POST": Capability.READ}
    on_loop: ClassVar = frozenset({"POST"})

    @describe(
        "checkAvailability",
        "Check availability",
        body=availability_contract.CheckIn,
        answers={200: availability_contract.CheckOut},
        refusals=(UnknownStore,),
    )
    def post(self, request: Request) -> Pending:
        """Answers how many units of each line can be sold. It holds nothing."""
        body = decode(request, availability_contract.CheckIn)
        queries = [
            availability.Query(line.product_id, line.variant_id, line.quantity, line.warehouse_id)
            for line in body.items
        ]
        check = availability.CheckRequest(self.actor(request), body.store_id, tuple(queries), body.cart_id)
        reading = Reading if len(queries) <= _COMBINED_LINES else LongReading
        return Pending(reading(availability.check_all, check), _answered)


def _answered(answers: list[availability.Availability]) -> StoredAnswer:
    lines = [_checked(answer) for answer in answers]
    return rendered(
        availability_contract.CheckOut(available=all(line.status == "AVAILABLE" for line in lines), items=lines)
    )


def _checked(answer: availability.Availability) -> availability_contract.CheckedLineOut:
    query = answer.query
    warehouses = [
        availability_contract.WarehouseAvailabilityOut(warehouse_id=code, available_quantity=quantity)
        for code, quantity in answer.by_warehouse
    ]
    return availability_contract.CheckedLineOut(
        product_id=answer.product_id,
        variant_id=answer.variant_id or UNSET,
        requested_quantity=query.quantity,
        available_quantity=answer.available,
        warehouses=warehouses or UNSET,
        status=answer.status,
    )

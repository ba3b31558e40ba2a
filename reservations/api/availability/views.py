"""The route of check-availability: decodes the request, calls one service and encodes the answer."""

from typing import ClassVar

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, decode, respond
from audit.api.schema import describe
from audit.roles import Capability
from inventory.errors import UnknownStore
from reservations.api.availability import contract as availability_contract
from reservations.services.availability import availability


class CheckAvailabilityView(ApiView):
    """Check the availability of products."""

    allowed: ClassVar = {"POST": Capability.READ}

    @describe(
        "checkAvailability",
        "Check availability",
        body=availability_contract.CheckIn,
        answers={200: availability_contract.CheckOut},
        refusals=(UnknownStore,),
    )
    def post(self, request: Request) -> HttpResponse:
        """Answers how many units of each line can be sold. It holds nothing."""
        body = decode(request, availability_contract.CheckIn)
        queries = [
            availability.Query(line.product_id, line.variant_id, line.quantity, line.warehouse_id)
            for line in body.items
        ]
        answers = availability.check_availability(self.actor(request), body.store_id, queries, body.cart_id)
        lines = [_checked(answer) for answer in answers]
        return respond(
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

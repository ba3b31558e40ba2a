"""Sell a tent with the generated Python client: check, reserve, extend, consume."""

import os
from typing import Any, TypeVar
from uuid import UUID, uuid4

from inventory_client import AuthenticatedClient
from inventory_client.api.availability import check_availability
from inventory_client.api.reservations import consume, extend, reserve
from inventory_client.models import (
    Availability,
    AvailabilityRequest,
    AvailabilityRequestLine,
    ConsumeRequest,
    ConsumeResult,
    ExtendRequest,
    ExtendResult,
    HeldReservation,
    ReserveConflictProblem,
    ReserveConflictProblemCode,
    ReserveRequest,
    ReserveRequestLine,
)
from retrying import RetryingTransport

TENT = UUID("d4c3be38-2bb1-53da-ab83-5417b452563e")
Answer = TypeVar("Answer")

client = AuthenticatedClient(
    base_url=os.environ.get("ADDRESS", "http://127.0.0.1:8000"),
    token=os.environ["TOKEN"],
    httpx_args={"transport": RetryingTransport()},
)


def answered(answer: Any, kind: type[Answer]) -> Answer:
    """The answer to a request. Ends the program with the reason if it was refused."""
    if isinstance(answer, kind):
        return answer
    raise SystemExit(f"{answer.code}: {answer.detail} (request {answer.request_id})" if answer else "an unknown status")


def hold(cart_id: str, quantity: int) -> HeldReservation | None:
    """Hold tents for a cart. None if too few are left."""
    body = ReserveRequest(cart_id=cart_id, items=[ReserveRequestLine(product_id=TENT, quantity=quantity)])
    answer = reserve.sync(client=client, body=body, idempotency_key=f"{cart_id}-{quantity}")
    short = ReserveConflictProblemCode.INSUFFICIENT_STOCK
    if isinstance(answer, ReserveConflictProblem) and answer.code is short and answer.errors:
        line = answer.errors[0]
        print(f"Refused: {answer.code}, {line.requested} requested, {line.available} available")
        return None
    return answered(answer, HeldReservation)


cart_id = f"cart-{uuid4()}"
asked = AvailabilityRequest(items=[AvailabilityRequestLine(product_id=TENT, quantity=1)])
stock = answered(check_availability.sync(client=client, body=asked), Availability)
print(f"Available: {stock.items[0].available_quantity}")

hold(cart_id, 10_000)
held = hold(cart_id, 1)
if held is None:
    raise SystemExit("sold out")
print(f"Held: {held.status}, {held.expires_in_seconds} seconds left")

longer = ExtendRequest(reservation_id=held.reservation_id, minutes=10)
extended = answered(extend.sync(client=client, body=longer, idempotency_key=f"{cart_id}-extend"), ExtendResult)
print(f"Extended: {extended.status}")

sale = ConsumeRequest(reservation_id=held.reservation_id, order_id=f"order-of-{cart_id}")
sold = answered(consume.sync(client=client, body=sale, idempotency_key=f"{cart_id}-consume"), ConsumeResult)
print(f"Sold: {sold.status}")

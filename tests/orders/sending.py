"""Makes incoming events, and sends them to the service or to the route."""

import itertools
import json
from typing import Any
from uuid import UUID

from audit.roles import Capability
from inventory.models import Product, StockLevel
from reservations.services.orders import inbox
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Message, Sender
from tests.factories import ACTOR, lines

SENDER = Sender(ACTOR, UUID("01900000-0000-7000-8000-00000000000c"), frozenset(Capability))
INBOX = "/api/v1/inbox"
_numbers = itertools.count(1)


def event(kind: str, event_id: str = "", **data: Any) -> dict[str, Any]:
    """An event in the service's own envelope, with an id of its own."""
    return {"eventId": event_id or f"event-{next(_numbers)}", "type": kind, "data": data}


def cloud_event(kind: str, event_id: str = "", **data: Any) -> dict[str, Any]:
    """An event in the envelope of CloudEvents."""
    identifier = event_id or f"event-{next(_numbers)}"
    return {"specversion": "1.0", "id": identifier, "source": "/shop", "type": kind, "data": data}


def created(order: str, *wanted: tuple[StockLevel | Product, int], **data: Any) -> dict[str, Any]:
    """An order of units of these levels or products."""
    return event("OrderCreatedEvent", orderId=order, items=lines(*wanted), **data)


def cancelled(order: str, **data: Any) -> dict[str, Any]:
    """The cancellation of an order."""
    return event("OrderCancelledEvent", orderId=order, **data)


def completed(order: str, **data: Any) -> dict[str, Any]:
    """The completion of an order."""
    return event("OrderCompletedEvent", orderId=order, **data)


def payment_expired(order: str, **data: Any) -> dict[str, Any]:
    """The end of the time in which an order could be paid."""
    return event("PaymentExpiredEvent", orderId=order, **data)


def message(sent: Any, sender: Sender = SENDER, place: str = "http") -> Message:
    """A message with this event, or with these bytes."""
    return Message(sender, sent if isinstance(sent, bytes) else json.dumps(sent).encode(), place)


def receive(*events: Any, sender: Sender = SENDER) -> list[Outcome]:
    """Receive events together. Returns their outcomes."""
    return inbox.receive([message(each, sender) for each in events])


def results(*events: Any, sender: Sender = SENDER) -> list[str]:
    """Receive events together. Returns the result of each."""
    return [str(outcome.result) for outcome in receive(*events, sender=sender)]

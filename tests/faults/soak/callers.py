"""The load: shoppers, staff, and an order system which sends events by HTTP and by a Redis stream."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import redis
from django.conf import settings

from tests.faults.house import House, Load

# The events of an order in the order in which they are sent, and the status of its reservation in the end.
STORIES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("Created", "Completed"), "CONSUMED"),
    (("Completed", "Created"), "CONSUMED"),
    (("Created", "Cancelled"), "RELEASED"),
    (("Cancelled", "Created"), "RELEASED"),
    (("Created", "Created", "Completed"), "CONSUMED"),
    (("Created", "Expired"), "RELEASED"),
    (("Created",), "ACTIVE"),
)
NAMES: Final = {
    "Created": "OrderCreatedEvent",
    "Completed": "OrderCompletedEvent",
    "Cancelled": "OrderCancelledEvent",
    "Expired": "PaymentExpiredEvent",
}
UNITS: Final = 2
"""Of each of the two lines of an order."""


@dataclass
class Sent:
    """What was sent and acknowledged."""

    orders: dict[str, str] = field(default_factory=dict)
    """The expected status of each order."""
    events: set[str] = field(default_factory=set)
    """The ids of incoming events."""
    adjustments: set[str] = field(default_factory=set)
    transfers: set[str] = field(default_factory=set)
    """Both by their references."""


class Callers(Load):
    """Callers whose stories are drawn anew for each round. Leaving the block waits until each has its last answer."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(house, threads=4)
        self.sent = Sent()
        self._seed = seed
        self._round = 0
        self._orders = redis.Redis.from_url(settings.INBOX_STREAM_URL)

    def __enter__(self) -> "Callers":
        self._round += 1
        super().__enter__()
        return self

    def _shop(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {self._round} {number}")
        stories: tuple[Callable[[random.Random], None], ...] = (
            self._hold,
            self._order_by_http,
            self._order_by_stream,
            self._adjust,
            self._transfer,
        )
        try:
            while not self._stop.is_set() and not self.failures:
                chance.choices(stories, (8, 4, 4, 2, 1))[0](chance)
        except Exception as error:  # noqa: BLE001 - reported by the thread that waits
            self.failures.append(f"{type(error).__name__}: {error}")

    def _hold(self, chance: random.Random) -> None:
        cart, items = f"cart-{uuid4()}", self._items(chance)
        verb = chance.choice(["consume", "release", "extend", "nothing", "basket", "empty"])
        minutes = {"timeoutMinutes": 1} if verb == "nothing" else {}
        self._reserve(cart, items, **minutes)
        if verb == "empty":
            self._expect(200, "DELETE", f"carts/{cart}")
        else:
            self._go_on(verb, cart, items)

    def _reserve(self, cart: str, items: list[dict[str, Any]], **more: Any) -> None:
        body = self._expect(201, "POST", "reserve", {"cartId": cart, "items": items, **more})
        self.held[cart] = body["reservationId"]

    def _adjust(self, chance: random.Random) -> None:
        reference = f"count-{uuid4()}"
        line = {"productId": chance.choice(self.house.products), "warehouseId": "wh-001", "reference": reference}
        change = {"quantity": chance.choice([-2, -1, 1, 2]), "type": "ADJUSTMENT", "reason": "recount"}
        self._expect(200, "PUT", "adjust", {"adjustments": [line | change]})
        self.sent.adjustments.add(reference)

    def _transfer(self, chance: random.Random) -> None:
        reference = f"move-{uuid4()}"
        line = {"productId": chance.choice(self.house.products), "quantity": chance.randint(1, 3)}
        way = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
        body = self._expect(201, "POST", "transfer", {"items": [line | way], "reference": reference})
        self.sent.transfers.add(reference)
        self._expect(200, "POST", f"transfer/{body['transferId']}/receive", {})

    def _order_by_http(self, chance: random.Random) -> None:
        order, status, events = self._order(chance)
        together = chance.random() < 0.5
        for batch in [events] if together else [[event] for event in events]:
            answer = self._expect(202, "POST", "/api/v1/inbox", batch)
            assert not {each["outcome"] for each in answer["outcomes"]} & {"refused", "dead_letter"}, answer
        self._note(order, status, events)

    def _order_by_stream(self, chance: random.Random) -> None:
        order, status, events = self._order(chance)
        self._note(order, status, events)
        for event in events:
            self._orders.xadd(settings.INBOX_STREAM, {"data": json.dumps(event)})

    def _order(self, chance: random.Random) -> tuple[str, str, list[dict[str, Any]]]:
        """An order, the status that it gets, and its events: some have the same id as one before."""
        kinds, status = chance.choice(STORIES)
        order, items = f"order-{uuid4()}", self._items(chance, UNITS)
        details: dict[str, Any] = {"items": items}
        if chance.random() < 0.3:
            details["cartId"] = f"cart-{uuid4()}"
            self._reserve(details["cartId"], [*items[:1], {**items[1], "quantity": chance.randint(1, 3)}])
        events = []
        for n, kind in enumerate(kinds):
            data = {"orderId": order, **(details if kind == "Created" else {})}
            events.append({"eventId": f"{order}-{n}", "source": "shop", "type": NAMES[kind], "data": data})
        return order, status, events + events[: chance.randrange(3)]

    def _note(self, order: str, status: str, events: list[dict[str, Any]]) -> None:
        self.sent.orders[order] = status
        self.sent.events |= {event["eventId"] for event in events}

    def _items(self, chance: random.Random, quantity: int = 0) -> list[dict[str, Any]]:
        products = chance.sample(self.house.products, 2)
        return [{"productId": product, "quantity": quantity or chance.randint(1, 3)} for product in products]

    def _expect(self, expected: int, method: str, path: str, body: Any = None) -> Any:
        status, answer = self._insist(method, path, body)
        assert status == expected, f"{method} {path}: {status} {answer}"
        return answer

"""Kills consumers with kill -9 at random moments while orders come; run in a house by ``test_inbox.py``.

Arguments: how many consumers run at a time, how many are killed, and how often PostgreSQL is stopped at once meanwhile.
Prints what became of the orders, as JSON. Fails if an effect is missing, or happened twice.
"""

import json
import os
import random
import signal
import sys
import time
from typing import Any, Final

import django

django.setup()

import redis  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Sum  # noqa: E402

from inventory.models import Movement, StockLevel  # noqa: E402
from reservations.models import DeadLetter, ReceivedEvent, Reservation  # noqa: E402
from tests.books import assert_books_balance  # noqa: E402
from tests.faults.processes import end, fork, stop_postgres  # noqa: E402

PATIENCE_SECONDS: Final = 90
POISON: Final = (b"", b"{", b'{"eventId": "x", "type": "OrderShippedEvent", "data": {}}', b"\xff\x00")


def story(number: int, products: list[str], chance: random.Random) -> list[bytes]:
    """The events of one order: created, then completed, cancelled or neither; some come twice, with the same id."""
    order = f"order-{number}"
    items = [{"productId": product, "quantity": 2} for product in chance.sample(products, 2)]
    events = [("OrderCreatedEvent", {"items": items})]
    if number % 3 < 2:
        events.append(("OrderCompletedEvent" if number % 3 else "OrderCancelledEvent", {}))
    told = [
        json.dumps({"eventId": f"{order}-{n}", "type": kind, "data": {"orderId": order, **data}}).encode()
        for n, (kind, data) in enumerate(events)
    ]
    return told + told[: chance.randrange(3)]


def send(client: "redis.Redis", bodies: list[bytes]) -> None:
    for body in bodies:
        client.xadd(settings.INBOX_STREAM, {"data": body})


def consume() -> None:
    call_command("consume_events")


def kill_consumers(consumers: list[int], kills: int, stops: int, chance: random.Random, more: Any) -> int:
    """Kill one after the other, start another in its place, and send orders meanwhile. Returns how many orders."""
    stop_at = {kills * (n + 1) // (stops + 1) for n in range(stops)}
    orders = 0
    for n in range(kills):
        for _ in range(chance.randrange(1, 5)):
            more(orders)
            orders += 1
        time.sleep(chance.uniform(0, 0.12))
        dead = consumers.pop(chance.randrange(len(consumers)))
        os.kill(dead, signal.SIGKILL)
        assert os.waitpid(dead, 0)[1] == signal.SIGKILL
        consumers.append(fork(consume))
        if n in stop_at:
            stop_postgres()
    return orders


def all_is_acknowledged(client: "redis.Redis") -> bool:
    groups: Any = client.xinfo_groups(settings.INBOX_STREAM)
    read = [group for group in groups if group["name"] == settings.INBOX_GROUP.encode()]
    last = client.xinfo_stream(settings.INBOX_STREAM)["last-generated-id"]  # type: ignore[index]
    return bool(read) and read[0]["pending"] == 0 and read[0]["last-delivered-id"] == last


def checked(orders: int) -> dict[str, int]:
    """Check each order and all stock. Returns how many orders ended in which way."""
    statuses: dict[str, list[str]] = {}
    for order, status in Reservation.objects.values_list("order_id", "status"):
        statuses.setdefault(str(order), []).append(status)
    expected = {f"order-{n}": ("RELEASED", "CONSUMED", "ACTIVE")[n % 3] for n in range(orders)}
    for order, status in expected.items():
        # Cancelled before it was created: nothing was ever held.
        assert statuses.get(order, ["RELEASED"]) == [status], (order, statuses.get(order))
    sold = [order for order, status in expected.items() if status == "CONSUMED"]
    shipped = dict(
        Movement.objects.filter(type="SHIPMENT", reference_type="order")
        .values_list("reference")
        .annotate(units=Sum("quantity"))
    )
    assert shipped == dict.fromkeys(sold, -4)
    held = StockLevel.objects.aggregate(units=Sum("reserved"))["units"]
    assert held == 4 * sum(status == "ACTIVE" for status in expected.values())
    assert ReceivedEvent.objects.count() == sum(1 + (n % 3 < 2) for n in range(orders))
    assert_books_balance()
    return {"orders": orders, "sold": len(sold), "letters": DeadLetter.objects.count()}


def main() -> None:
    count, kills, stops = map(int, sys.argv[1:4])
    products, chance = sys.argv[4:], random.Random(count)
    with redis.Redis.from_url(settings.INBOX_STREAM_URL) as client:

        def more(number: int) -> None:
            send(client, story(number, products, chance))

        consumers = [fork(consume) for _ in range(count)]
        try:
            send(client, list(POISON))
            orders = kill_consumers(consumers, kills, stops, chance, more)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not all_is_acknowledged(client):
                assert time.monotonic() < deadline, client.xinfo_groups(settings.INBOX_STREAM)
                time.sleep(0.1)
        except BaseException:
            for pid in consumers:  # They would keep the output of this process open.
                os.kill(pid, signal.SIGKILL)
            raise
    time.sleep(1)  # The last one may just have been started: until it has begun, SIGTERM kills it.
    end(consumers)
    connection.close()
    print(json.dumps(checked(orders)))  # noqa: T201 - for the test


main()

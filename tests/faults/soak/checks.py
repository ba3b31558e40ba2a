"""What holds when all is quiet, whatever was killed before."""

import time
from collections import Counter
from typing import Any, Final

import redis
from django.conf import settings
from django.db import OperationalError, connection

from reservations.models import DeadLetter
from tests.books import assert_books_balance
from tests.faults.soak.callers import UNITS, Callers
from tests.faults.soak.copies import Copy, FeedCopy, StreamCopy
from tests.faults.soak.service import finish_command

QUIET_SECONDS: Final = 90
_COUNT: Final = "SELECT count(*) FROM audit_outboxevent"
_LOG: Final = "SELECT aggregateid, payload->>'eventId' FROM audit_outboxevent ORDER BY position"
_LEVELS: Final = "SELECT id::text, on_hand, reserved, available, version FROM inventory_stocklevel"
_HOLDS: Final = """
SELECT 'res-' || r.id, r.expires_at, level.product_id::text, warehouse.code, item.quantity
FROM reservations_reservation r JOIN reservations_reservationitem item ON item.reservation_id = r.id
JOIN inventory_stocklevel level ON level.id = item.level_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE r.status = 'ACTIVE' ORDER BY r.id, 3, 4
"""
_ORDERS: Final = "SELECT order_id, status FROM reservations_reservation WHERE order_id LIKE 'order-%'"
_SHIPPED: Final = """
SELECT reference, -sum(quantity)::int FROM inventory_movement
WHERE type = 'SHIPMENT' AND reference_type = 'order' GROUP BY reference
"""
_ADJUSTED: Final = "SELECT reference FROM inventory_movement WHERE type = 'ADJUSTMENT' AND reference LIKE 'count-%'"
_TRANSFERRED: Final = "SELECT reference, status FROM inventory_transfer"
_RECEIVED: Final = "SELECT event_id FROM reservations_receivedevent"


def rows(query: str) -> list[Any]:
    """The rows of a query. PostgreSQL may have been stopped since the last one."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    except OperationalError:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()


def column(query: str) -> list[Any]:
    """The first column of a query."""
    return [row[0] for row in rows(query)]


class Checks:
    """Two replicas, and what the callers sent."""

    def __init__(self, feed: FeedCopy, stream: StreamCopy, callers: Callers) -> None:
        self.feed, self.stream = feed, stream
        self._callers = callers
        self._orders = redis.Redis.from_url(settings.INBOX_STREAM_URL)

    def check(self) -> None:
        """Wait until all is quiet, and check everything."""
        self._wait_until_quiet()
        finish_command("reconcile")
        assert_books_balance()
        self._check_order()
        for copy in (self.feed, self.stream):
            assert_equals_the_tables(copy)
        self._check_orders()
        sent = self._callers.sent
        assert Counter(column(_RECEIVED)) == Counter(sent.events)
        assert Counter(column(_ADJUSTED)) == Counter(sent.adjustments)
        assert sorted(rows(_TRANSFERRED)) == sorted((reference, "RECEIVED") for reference in sent.transfers)
        assert not DeadLetter.objects.exists()

    def figures(self) -> dict[str, Any]:
        """How much was sent, answered and published."""
        sent = self._callers.sent
        return {
            "events": len(self.feed.order),
            "publishedAgain": self.stream.doubles,
            "carts": len(self._callers.held),
            "orders": len(sent.orders),
            "incomingEvents": len(sent.events),
            "adjustments": len(sent.adjustments),
            "transfers": len(sent.transfers),
            "answers": self._callers.answers,
        }

    def _wait_until_quiet(self) -> None:
        """Wait until all incoming events are applied, and both replicas have all events."""
        deadline = time.monotonic() + QUIET_SECONDS
        while True:
            applied = self._all_is_applied()
            (count,) = column(_COUNT)
            self.feed.follow()
            self.stream.follow()
            found = (count, len(self.feed.order), len(self.stream.order))
            if applied and len(set(found)) == 1:
                return
            assert time.monotonic() < deadline, f"not quiet: applied: {applied}; events in table, feed, stream: {found}"
            time.sleep(0.05)

    def _all_is_applied(self) -> bool:
        if not self._orders.exists(settings.INBOX_STREAM):
            return True
        last = self._orders.xinfo_stream(settings.INBOX_STREAM)["last-generated-id"]  # type: ignore[index]
        groups: Any = self._orders.xinfo_groups(settings.INBOX_STREAM)
        return [(group["pending"], group["last-delivered-id"]) for group in groups] == [(0, last)]

    def _check_order(self) -> None:
        """Both replicas got the same events in the same order, and those of a key in the order of their positions."""
        assert self.stream.order == self.feed.order
        place = {event: n for n, event in enumerate(self.feed.order)}
        log = rows(_LOG)
        assert {event for _, event in log} == place.keys()
        furthest: dict[str, int] = {}
        for key, event in log:
            assert place[event] > furthest.get(key, -1), f"{event} came before an earlier event of {key}"
            furthest[key] = place[event]

    def _check_orders(self) -> None:
        """Each order has one reservation, which ended as it had to, and was sold once if at all."""
        expected = self._callers.sent.orders
        found = rows(_ORDERS)
        assert len(found) == len({order for order, _ in found}), "an order has two reservations"
        statuses: dict[str, str] = dict(found)
        # Of an order that is cancelled before it comes, nothing is ever held.
        wrong = {
            order: (status, statuses.get(order))
            for order, status in expected.items()
            if statuses.get(order, "RELEASED") != status
        }
        assert not wrong, wrong
        sold = {order for order, status in expected.items() if status == "CONSUMED"}
        shipped = {order: units for order, units in rows(_SHIPPED) if order in expected}
        assert shipped == dict.fromkeys(sold, 2 * UNITS)
        for copy in (self.feed, self.stream):
            assert {order: n for order, n in copy.sold.items() if order in expected} == dict.fromkeys(sold, 1)


def assert_equals_the_tables(copy: Copy) -> None:
    """Check levels and open reservations of a replica."""
    levels = {
        key: (*(event["new"][name] for name in ("onHand", "reserved", "available")), event["version"])
        for key, event in copy.levels.items()
    }
    assert levels == {key: tuple(level) for key, *level in rows(_LEVELS)}, copy.name
    holds: dict[str, Any] = {}
    for reservation, expires_at, *item in rows(_HOLDS):
        holds.setdefault(reservation, (expires_at, []))[1].append(tuple(item))
    assert copy.holds == holds, copy.name

"""Replicas of stock levels and open reservations, made of events alone."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final

import redis
from django.conf import settings

from audit.feed import Cursor
from tests.faults.house import PATIENCE_SECONDS, House, call

LEVEL: Final = "InventoryLevelChangedEvent"
OPENING: Final = ("InventoryReservedEvent", "InventoryExtendedEvent")
ENDING: Final = ("InventoryReleasedEvent", "InventoryConsumedEvent")
NOTHING: Final = {"onHand": 0, "reserved": 0, "available": 0}
Items = list[tuple[str, str, int]]


@dataclass
class Copy:
    """Applies events in the order in which they come. Fails where one is missing, doubled or in the wrong order."""

    name: str
    levels: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last event of each level, by the level's id."""
    holds: dict[str, tuple[datetime, Items]] = field(default_factory=dict)
    """End and items of each open reservation."""
    ended: set[str] = field(default_factory=set)
    order: list[str] = field(default_factory=list)
    """The ids of the events, in the order in which they came first."""
    sold: Counter[str] = field(default_factory=Counter)
    """How many times each order was sold."""
    doubles: int = 0
    """Events that came again."""

    def __post_init__(self) -> None:
        self._seen: set[str] = set()

    def apply(self, kind: str, key: str, payload: dict[str, Any]) -> bool:
        """Apply an event. Returns whether it is the first time that it came."""
        event_id = payload["eventId"]
        if event_id in self._seen:
            self.doubles += 1
            return False
        self._seen.add(event_id)
        self.order.append(event_id)
        if kind == LEVEL:
            self._change_level(key, payload)
        elif kind in OPENING:
            assert key not in self.ended, f"{self.name}: {kind} of {key}, which has ended"
            assert kind == OPENING[0] or key in self.holds, f"{self.name}: {kind} of {key}, which is unknown"
            self.holds[key] = (datetime.fromisoformat(payload["expiresAt"]), _items(payload))
        elif kind in ENDING:
            self._end_hold(kind, key, payload)
        return True

    def _change_level(self, key: str, payload: dict[str, Any]) -> None:
        before = self.levels.get(key, {"version": 0, "new": NOTHING})
        assert payload["previousVersion"] == before["version"], (self.name, before, payload)
        assert payload["previous"] == before["new"], (self.name, before, payload)
        assert payload["version"] > payload["previousVersion"], (self.name, payload)
        self.levels[key] = payload

    def _end_hold(self, kind: str, key: str, payload: dict[str, Any]) -> None:
        assert key not in self.ended, f"{self.name}: {key} ends twice"
        assert self.holds.pop(key)[1] == _items(payload), (self.name, payload)
        self.ended.add(key)
        if kind == ENDING[1]:
            self.sold[payload["orderId"]] += 1


def _items(payload: dict[str, Any]) -> Items:
    return sorted((item["productId"], item["warehouseId"], item["quantity"]) for item in payload["items"])


class FeedCopy(Copy):
    """A copy made by ``GET /events`` and its cursor."""

    def __init__(self, house: House) -> None:
        super().__init__("the feed")
        self._house = house
        self._cursor = ""

    def follow(self) -> None:
        """Read until there is no more."""
        while True:
            page = self._page()
            for event in page["events"]:
                is_new = self.apply(event["type"], event["key"], event["payload"])
                assert is_new, f"the feed has an event twice: {event}"
            self._cursor = page["cursor"]
            if not page["hasMore"]:
                return

    def _page(self) -> dict[str, Any]:
        after = f"&after={self._cursor}" if self._cursor else ""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status, page, _ = call(self._house, "GET", f"/api/v1/events?limit=1000{after}")
            except (OSError, HTTPException):
                status, page = 0, {}
            if status == 200:
                return page  # type: ignore[no-any-return]
            assert status in {0, 503}, page
            assert time.monotonic() < deadline, f"the feed is not answered: {status} {page}"
            time.sleep(0.05)


class StreamCopy(Copy):
    """A copy made of the Redis stream of events, which may have an event several times."""

    def __init__(self) -> None:
        super().__init__("the stream")
        self._server = redis.Redis.from_url(settings.EVENT_STREAM_URL, decode_responses=True)
        self._last = "-"
        self._furthest: tuple[int, int, int] = (0, 0, 0)

    def follow(self) -> None:
        """Read until there is no more."""
        while True:
            entries: Any = self._server.xrange(settings.EVENT_STREAM, min=self._last, count=1000)
            for entry, fields in entries:
                if self.apply(fields["type"], fields["partitionkey"], json.loads(fields["data"])):
                    self._move_on(fields["feedcursor"])
                self._last = f"({entry}"
            if not entries:
                return

    def _move_on(self, text: str) -> None:
        cursor = Cursor.parse(text)
        place = (cursor.epoch, cursor.tick, cursor.position)
        assert place > self._furthest, f"the stream has {place} after {self._furthest}"
        self._furthest = place

"""A replica of the stock levels, made of their events alone."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from inventory.models import StockLevel
from inventory.selling import PRODUCT_MAY_BE_SOLD, STORE_MAY_SELL, WAREHOUSE_MAY_SELL

_EVENTS = """
SELECT position, xmin::text, aggregateid, payload FROM audit_outboxevent
WHERE type = 'InventoryLevelChangedEvent' AND position > %s ORDER BY position
"""
_OTHERS = """
SELECT payload->>'eventId' FROM audit_outboxevent
WHERE type NOT IN ('InventoryLevelChangedEvent', 'LowStockAlertEvent')
"""
_LEVELS = f"""
SELECT level.id::text, level.on_hand, level.reserved, level.available, level.version, level.min_stock_level,
    coalesce((SELECT jsonb_object_agg(store.code, CASE WHEN {PRODUCT_MAY_BE_SOLD} AND {WAREHOUSE_MAY_SELL}
        AND {STORE_MAY_SELL} THEN greatest(level.available - level.min_stock_level, 0) ELSE 0 END)
    FROM inventory_storewarehouse source JOIN inventory_store store ON store.id = source.store_id
    WHERE source.warehouse_id = warehouse.id), '{{}}')::text
FROM inventory_stocklevel level JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
JOIN inventory_product product ON product.id = level.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
"""


@dataclass
class Replica:
    """Applies the events in their order, and checks that each continues where the level's last one ended."""

    levels: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    position: int = 0

    def follow(self) -> None:
        """Apply the events since the last time."""
        with connection.cursor() as cursor:
            cursor.execute(_EVENTS, [self.position])
            for position, transaction, key, payload in cursor.fetchall():
                self._apply(transaction, key, _json(payload))
                self.position = position

    def _apply(self, transaction: str, key: str, event: dict[str, Any]) -> None:
        before = self.levels.get(key)
        assert (transaction, key) not in self.seen, f"two events of one transaction: {event}"
        self.seen.add((transaction, key))
        nothing = {"onHand": 0, "reserved": 0, "available": 0}
        assert event["previousVersion"] == (before["version"] if before else 0), (before, event)
        assert event["previous"] == (before["new"] if before else nothing), (before, event)
        assert event["version"] > event["previousVersion"]
        self.levels[key] = event

    def assert_equals_the_levels(self, *, sellable: bool = True) -> None:
        """Check counters, versions and settings; and ``sellable``, unless it was changed by other events."""
        self.follow()
        with connection.cursor() as cursor:
            cursor.execute(_LEVELS)
            rows = cursor.fetchall()
        assert {row[0] for row in rows} == self.levels.keys()
        for key, on_hand, reserved, available, version, safety_stock, by_store in rows:
            event = self.levels[key]
            assert event["new"] == {"onHand": on_hand, "reserved": reserved, "available": available}, event
            assert (event["version"], event["safetyStock"]) == (version, safety_stock), event
            if sellable:
                assert event["sellable"] == _json(by_store), event

    def assert_causes_exist(self) -> None:
        """Check that each cause of the last events is an event."""
        with connection.cursor() as cursor:
            cursor.execute(_OTHERS)
            known = {row[0] for row in cursor.fetchall()}
        assert {each for event in self.levels.values() for each in event["cause"]} <= known


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def last_event(level: StockLevel | UUID) -> dict[str, Any]:
    """The newest event of a level."""
    replica = Replica()
    replica.follow()
    return replica.levels[str(level.pk if isinstance(level, StockLevel) else level)]

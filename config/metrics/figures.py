"""Gauges that are read from the database: rarely, and with a short bound on the wait for it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillReading
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit import heartbeats
from audit.hidden import WAREHOUSE_ID
from audit.metrics import definitions
from audit.metrics.kinds import DatabaseGauge, Labels, all_metrics
from config.health import facts
from config.metrics.collecting import described
from inventory.codes import sku_key

logger = structlog.get_logger(__name__)
Figures = Mapping[DatabaseGauge, Mapping[Labels, float]]
_PATIENCE_SECONDS: Final = 3.0
"""The longest that an answer waits for the database."""
_STOCK_SECONDS: Final = 60
"""How often the units of each warehouse are summed, by one machine for all: over all levels, as no index may mention a
counter (rule 29). A million take about a second."""
_TIMEOUT: Final = "5s"
_CLAIM: Final = """
INSERT INTO audit_heartbeat (name, at, detail) VALUES (%s, clock_timestamp(), '{}')
ON CONFLICT (name) DO UPDATE SET at = excluded.at
WHERE audit_heartbeat.at <= excluded.at - make_interval(secs => %s) RETURNING 1
"""
_SUM: Final = f"""
SELECT coalesce(jsonb_object_agg(warehouse.code, units.on_hand), '{{}}')::text FROM (
    SELECT warehouse_id, sum(on_hand) AS on_hand FROM inventory_stocklevel
    WHERE warehouse_id <> '{WAREHOUSE_ID}' GROUP BY warehouse_id
) units JOIN inventory_warehouse warehouse ON warehouse.id = units.warehouse_id
"""  # noqa: S608 - constants only
_SHARE: Final = "UPDATE audit_heartbeat SET detail = %s::text::jsonb WHERE name = %s"
_SHARED: Final = "SELECT detail::text FROM audit_heartbeat WHERE name = %s"
_STOCK_OF_PRODUCTS: Final = """
SELECT warehouse.code, product.sku, level.on_hand FROM inventory_product product
JOIN inventory_stocklevel level ON level.product_id = product.id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE product.sku_key = ANY(%s)
"""


class Rarely:
    """Calls a function in a thread of its own, at most once in so many seconds, however often its result is wanted."""

    def __init__(self, read: Callable[[], Figures], every_seconds: Callable[[], float]) -> None:
        self._read = read
        self._every_seconds = every_seconds
        self._thread = ThreadPoolExecutor(1, "metrics-database")
        self._began_at = float("-inf")
        self._reading: Future[Figures | None] | None = None

    def latest(self, patience_seconds: float) -> Figures | None:
        """The last result; None if the last call failed, or takes longer than one may wait for it."""
        now = time.monotonic()
        is_idle = self._reading is None or self._reading.done()
        if is_idle and now >= self._began_at + self._every_seconds():
            self._began_at = now
            self._reading = self._thread.submit(self._read_or_log)
        assert self._reading is not None  # noqa: S101 - for the types: the first call begins one
        try:
            return self._reading.result(max(0.0, self._began_at + patience_seconds - now))
        except StillReading:
            return None

    def _read_or_log(self) -> Figures | None:
        """The result; None if the call failed, for whatever reason: what was counted must be served nevertheless."""
        try:
            return self._read()
        except Error as error:
            logger.info("metrics_not_read", error=str(error))
        except Exception:
            logger.exception("metrics_not_read")
        return None


class DatabaseCollector(Collector):
    """Collects the gauges of the database; while it doesn't answer, ``inventory_database_up`` alone, which is 0."""

    def __init__(self) -> None:
        self._now = Rarely(_alone(read_state), lambda: settings.METRICS_INTERVAL_SECONDS)
        self._stock = Rarely(_alone(read_stock), lambda: settings.METRICS_INTERVAL_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """The gauges that are known now."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        state = self._now.latest(_PATIENCE_SECONDS)
        found: dict[DatabaseGauge, Mapping[Labels, float]] = {
            definitions.DATABASE_UP: {(): 0.0 if state is None else 1.0}
        }
        if state is not None:
            found |= state
            found |= self._stock.latest(deadline - time.monotonic()) or {}
        for gauge in all_metrics(definitions):
            if isinstance(gauge, DatabaseGauge) and found.get(gauge):
                family = GaugeMetricFamily(gauge.name, described(gauge), labels=gauge.labels)
                for labels, value in found[gauge].items():
                    family.add_metric(labels, value)
                yield family


def read_state() -> Figures:
    """Read everything but the stock. Raises django.db.Error."""
    found = facts.read()
    beats = dict(found.heartbeats)
    backup = beats.pop(heartbeats.BACKUP, None)
    ages: dict[Labels, float] = {(name,): beat.age.total_seconds() for name, beat in beats.items()}
    figures: dict[DatabaseGauge, Mapping[Labels, float]] = {
        definitions.ACTIVE_RESERVATIONS: {(): found.active},
        definitions.STUCK_RESERVATIONS: {(): found.stuck},
        definitions.OLDEST_DUE_HOLD: {(): found.oldest_due.total_seconds()},
        definitions.CRITICAL_STOCK_ITEMS: {(): found.critical},
        definitions.FEED_LAG: {(): found.feed_lag.total_seconds()},
        definitions.STREAM_LAG: {(name,): lag.total_seconds() for name, lag in found.stream_lags.items()},
        definitions.WEBHOOK_LAG: {(): found.webhook_lag.total_seconds()},
        definitions.DEAD_LETTERS: {(kind,): number for kind, number in found.dead_letters.items()},
        definitions.BACKUP_AGE: {(): backup.age.total_seconds()} if backup else {},
    }
    if found.reconciled is not None:
        ages[(definitions.RECONCILE,)] = found.reconciled.age.total_seconds()
        figures[definitions.RECONCILIATION_DIFFERENCES] = {(): found.reconciled.differences}
    return {**figures, definitions.HEARTBEAT_AGE: ages}


def read_stock() -> Figures:
    """Read the units on hand of each warehouse, and of the listed products. Raises django.db.Error."""
    by_warehouse: dict[Labels, float] = {(code,): units for code, units in _units_by_warehouse().items()}
    by_product: dict[Labels, float] = {}
    if settings.METRICS_PRODUCTS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT}'")
            cursor.execute(_STOCK_OF_PRODUCTS, [[sku_key(sku) for sku in settings.METRICS_PRODUCTS]])
            by_product = {(code, sku): float(units) for code, sku, units in cursor.fetchall()}
    return {definitions.STOCK_LEVEL: by_warehouse, definitions.PRODUCT_STOCK_LEVEL: by_product}


def _units_by_warehouse() -> dict[str, float]:
    """The units on hand by warehouse: a sum that any machine has shared lately, else one that is made and shared here.

    A sum that fails leaves none behind, so that no old one is served for ever. Raises django.db.Error.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [heartbeats.STOCK, _STOCK_SECONDS])
        if cursor.fetchone() is None:
            cursor.execute(_SHARED, [heartbeats.STOCK])
            shared = cursor.fetchone()[0]
        else:
            try:
                shared = _summed()
            except Error:
                cursor.execute(_SHARE, ["{}", heartbeats.STOCK])
                raise
            cursor.execute(_SHARE, [shared, heartbeats.STOCK])
    units: dict[str, float] = json.loads(shared)
    return units


def _summed() -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT}'")
        # One core is enough: the other ones are for calls about stock.
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(_SUM)
        summed: str = cursor.fetchone()[0]
        return summed


def _alone(read: Callable[[], Figures]) -> Callable[[], Figures]:
    """The function with a connection of its own, which is closed afterwards.

    A connection of the pool would be missing for calls about stock, and waiting for one would look as if the database
    were away.
    """

    def read_alone() -> Figures:
        shared = connections.settings[DEFAULT_DB_ALIAS]
        options = {name: value for name, value in shared["OPTIONS"].items() if name != "pool"}
        own: Any = type(connections[DEFAULT_DB_ALIAS])({**shared, "OPTIONS": options}, DEFAULT_DB_ALIAS)
        connections[DEFAULT_DB_ALIAS] = own  # Of this thread.
        try:
            return read()
        finally:
            own.close()

    return read_alone

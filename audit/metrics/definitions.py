"""Every metric of the service. docs/reference/metrics.md is generated from it."""

from typing import Final

from audit.metrics.kinds import OTHER, Counter, DatabaseGauge, Histogram, ProcessGauge

_LATENCIES: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REFUSALS: Final = (
    "busy",
    "hold_limit_exceeded",
    "idempotency_in_progress",
    "idempotency_key_reused",
    "insufficient_stock",
    "invalid",
    "listing_expired",
    "order_already_held",
    "permission_denied",
    "product_frozen",
    "product_inactive",
    "reservation_not_found",
    "store_frozen",
    "timeout_too_long",
    "unknown_product",
    "unknown_store",
    "unknown_warehouse",
    "warehouse_frozen",
    "warehouse_inactive",
    "warehouse_not_in_store",
    OTHER,
)

# --- holds ------------------------------------------------------------------------------------------------------------

RESERVATION_CREATED: Final = Counter(
    "inventory_reservation_created_total", "Reservations that were made, those of late payments included."
)
RESERVATION_RELEASED: Final = Counter(
    "inventory_reservation_released_total",
    "Reservations that ended without a sale before they expired. `requested`: by a call, by a person or by an order"
    " that was cancelled; `cart_emptied`; `cart_merged`: merged into the cart's oldest one; `payment_expired`: by an"
    " event of the order; `shortage`: broken because units were missing.",
    ("reason",),
    values={"reason": ("requested", "cart_emptied", "cart_merged", "payment_expired", "shortage")},
)
RESERVATION_FAILED: Final = Counter(
    "inventory_reservation_failed_total",
    "Requests to hold stock that were refused: a reserve, a change of a cart, a late payment, an order that came as an"
    " event. By the code of the [error](errors.md); `other` is every other error.",
    ("reason",),
    values={"reason": _REFUSALS},
)
RESERVATION_CONSUMED: Final = Counter("inventory_reservation_consumed_total", "Reservations that became a sale.")
RESERVATION_EXPIRED: Final = Counter(
    "inventory_reservation_expired_total",
    "Reservations that were recorded EXPIRED, by the sweeper or by a request that met them.",
)
RESERVATION_EXTENDED: Final = Counter("inventory_reservation_extended_total", "Reservations that were extended.")
EXPIRY_DELAY: Final = Histogram(
    "inventory_expiry_delay_seconds",
    "Time from a reservation's `expiresAt` until it was recorded EXPIRED and its units were given back. The share of"
    " delays up to 60 seconds is the accuracy of the sweep.",
    buckets=(1, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 900, 3600),
)

# --- stock ------------------------------------------------------------------------------------------------------------

MOVEMENT_PROCESSED: Final = Counter(
    "inventory_movement_processed_total",
    "Movements of stock that were written, by type.",
    ("type",),
    values={"type": ("RECEIPT", "SHIPMENT", "ADJUSTMENT", "TRANSFER", "RETURN")},
)
LOW_STOCK_ALERTS: Final = Counter(
    "inventory_low_stock_alerts_total",
    "Alerts of low stock that were opened or became worse; each is published as a `LowStockAlertEvent`.",
)

# --- transactions -----------------------------------------------------------------------------------------------------

IDEMPOTENT_REPLAYS: Final = Counter(
    "inventory_idempotent_replays_total", "Requests that were answered with the stored answer of their key."
)
LOCK_RETRIES: Final = Counter(
    "inventory_lock_retries_total",
    "Attempts at a transaction that were rolled back, by cause. Each was tried again, or answered with `busy`.",
    ("reason",),
    values={
        "reason": (
            "deadlock",
            "serialization",
            "lock_timeout",
            "statement_timeout",
            "locked_elsewhere",
            "connection_lost",
        )
    },
)
LOCK_WAIT: Final = Histogram(
    "inventory_lock_wait_seconds",
    "Time until the stock levels of a transaction were locked and read, including the round trip to the database.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BATCH_SIZE: Final = Histogram(
    "inventory_batch_size",
    "Requests that were decided together in one transaction (group commit).",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)

# --- calls and processes ----------------------------------------------------------------------------------------------

HTTP_REQUEST_DURATION: Final = Histogram(
    "inventory_http_request_duration_seconds",
    "Time from the headers of a request until its answer was passed to the web server, or until its first piece was if"
    " it is sent in pieces. `route` is the pattern of the address, `(none)` where no view answers: unknown addresses,"
    " static files, and requests that are refused earlier. Long polls and streams of events, which wait on purpose, are"
    " left out.",
    ("method", "route", "status"),
    values={"method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")},
    buckets=_LATENCIES,
)
TASK_DURATION: Final = Histogram(
    "inventory_task_duration_seconds",
    "Duration of a background task, whether or not it failed.",
    ("task",),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
TASK_FAILURES: Final = Counter("inventory_task_failures_total", "Background tasks that ended with an error.", ("task",))
CANARY_RUNS: Final = Counter(
    "inventory_canary_runs_total",
    "Runs of the canary, which reserves, consumes and returns a unit of a hidden product every minute.",
    ("outcome",),
    values={"outcome": ("ok", "failed")},
)
CANARY_DURATION: Final = Histogram(
    "inventory_canary_duration_seconds",
    "Duration of a run of the canary that succeeded, all steps together.",
    buckets=_LATENCIES,
)
LOG_LINES_DROPPED: Final = Counter(
    "inventory_log_lines_dropped_total", "Log lines that were left out because their cause was logged too often."
)
DATABASE_CONNECTIONS: Final = ProcessGauge(
    "inventory_database_connections",
    "Connections of the pools of the web processes: `used`, `idle`; and `waiting`, requests that wait for one.",
    ("state",),
    values={"state": ("used", "idle", "waiting")},
)
FEED_LISTENERS: Final = ProcessGauge(
    "inventory_feed_listeners", "Callers that wait for events, by long polls and streams."
)

# --- read from the database -------------------------------------------------------------------------------------------

DATABASE_UP: Final = DatabaseGauge(
    "inventory_database_up",
    "1 if the database answered when it was last read, else 0: the other gauges that are read from it are then absent.",
)
STOCK_LEVEL: Final = DatabaseGauge("inventory_stock_level", "Units on hand in a warehouse.", ("warehouse",))
PRODUCT_STOCK_LEVEL: Final = DatabaseGauge(
    "inventory_product_stock_level",
    "Units on hand of the products that `METRICS_PRODUCTS` lists, by SKU and warehouse.",
    ("warehouse", "product"),
)
CRITICAL_STOCK_ITEMS: Final = DatabaseGauge(
    "inventory_critical_stock_items",
    "Open alerts of CRITICAL stock levels: sold out, or at most a tenth of a full level; counted up to 10,000.",
)
ACTIVE_RESERVATIONS: Final = DatabaseGauge(
    "inventory_active_reservations", "Reservations that hold stock and haven't expired, counted up to 100,000."
)
STUCK_RESERVATIONS: Final = DatabaseGauge(
    "inventory_stuck_reservations",
    "Reservations that aren't recorded EXPIRED although they expired a minute ago, or four sweeps ago if that is"
    " longer; counted up to 10,000.",
)
OLDEST_DUE_HOLD: Final = DatabaseGauge(
    "inventory_oldest_due_hold_seconds",
    "Time since the expiry of the oldest reservation that isn't recorded EXPIRED yet; 0 if there is none.",
)
FEED_LAG: Final = DatabaseGauge(
    "inventory_feed_lag_seconds", "Age of the oldest event that no reader of the feed can see yet; 0 if there is none."
)
STREAM_LAG: Final = DatabaseGauge(
    "inventory_stream_lag_seconds",
    "Age of the oldest event that the relay has not yet published to a stream, by the stream's cursor; 0 if there is"
    " none.",
    ("cursor",),
)
WEBHOOK_LAG: Final = DatabaseGauge(
    "inventory_webhook_lag_seconds",
    "The longest time that an event or a delivery has waited for a webhook that is neither paused nor off; 0 if none"
    " waits.",
)
DEAD_LETTERS: Final = DatabaseGauge(
    "inventory_dead_letters",
    "Deliveries of webhooks, and incoming events, that were given up and wait for a person; each counted up to 10,000.",
    ("kind",),
    values={"kind": ("webhook", "inbox")},
)
RECONCILIATION_DIFFERENCES: Final = DatabaseGauge(
    "inventory_reconciliation_differences",
    "Differences that the last finished reconciliation found and that are not repaired; absent before the first one.",
)
RECONCILE: Final = "reconcile"
HEARTBEAT_AGE: Final = DatabaseGauge(
    "inventory_heartbeat_age_seconds",
    "Time since each of `beat`, `sweeper`, `worker`, `relay` and `canary` last reported, and since the last finished"
    " reconciliation (`reconcile`); absent for one that never has.",
    ("name",),
)
BACKUP_AGE: Final = DatabaseGauge(
    "inventory_backup_age_seconds",
    "Time since the last backup that `manage.py record_backup` has recorded; absent before the first one.",
)

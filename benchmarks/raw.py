"""The limit: pgbench writes the rows of a one-line reserve with raw SQL, on the service's own tables.

There are three ways to do it in one round trip with prepared statements; the fastest of them is the limit:

- ``statement``: one statement; the UPDATE locks the level, and the inserts use the rows that it returns;
- ``function``: a PL/pgSQL function that locks the level FOR NO KEY UPDATE, checks, updates and inserts;
- ``level-last``: a function that inserts first and locks the level last, to hold the lock as briefly as possible.

``batch`` puts sixteen requests in each transaction, on one connection.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.client import Load
from benchmarks.cluster import BenchmarkFailed, Cluster
from benchmarks.service import CLIENT_ID, LEVEL, STORE_ID, Service, numbered
from benchmarks.subject import SKUS

BATCH: Final = 16
WAYS: Final = ("statement", "function", "level-last")
_GRACE_SECONDS: Final = 30.0

_RESERVATION: Final = """
INSERT INTO reservations_reservation (id, store_id, status, cart_id, created_at, expires_at, reason, client_id)
"""
_ITEM: Final = """
INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned, held_until)
"""
_ENTRY: Final = """
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
"""
_EVENT: Final = "INSERT INTO audit_outboxevent (id, aggregatetype, type, aggregateid, payload, created_at)"


def _changes(hold: str, product: str, at: str) -> str:
    return f"""jsonb_build_object('cartId', 'cart-' || {hold}, 'orderId', null, 'expiresAt',
        {at} + interval '15 minutes', 'items', jsonb_build_array(jsonb_build_object('productId', {product},
        'quantity', 1, 'warehouseId', 'wh-001')))"""


def _payload(hold: str, product: str, at: str) -> str:
    return f"""jsonb_build_object('eventId', 'ev-' || uuidv7(), 'reservationId', 'res-' || {hold}, 'storeId', 'main',
        'cartId', 'cart-' || {hold}, 'orderId', null, 'items', jsonb_build_array(jsonb_build_object('productId',
        {product}, 'quantity', 1, 'warehouseId', 'wh-001')), 'expiresAt', {at} + interval '15 minutes',
        'timestamp', {at})"""


def _rows_of(made: str) -> str:
    """The inserts of a statement. The relation ``made`` yields hold, level_id, product_id and at."""
    return f"""
{made}, reservation AS ({_RESERVATION}
    SELECT hold, '{STORE_ID}', 'ACTIVE', 'cart-' || hold, at, at + interval '15 minutes', '', '{CLIENT_ID}' FROM made
), item AS ({_ITEM}
    SELECT uuidv7(), hold, level_id, 1, false, at + interval '15 minutes' FROM made
), entry AS ({_ENTRY}
    SELECT uuidv7(), at, 'inventory_reservation_created', 'benchmark', '{CLIENT_ID}', 'api', uuidv7()::text, 'main',
        hold, {_changes("hold", "product_id", "at")} FROM made
)
{_EVENT} SELECT uuidv7(), 'reservation', 'InventoryReservedEvent', 'res-' || hold,
    {_payload("hold", "product_id", "at")}, at FROM made
"""


_TAKE: Final = "reserved = reserved + 1, version = version + 1, updated_at = clock_timestamp()"
_ENOUGH: Final = "on_hand - reserved - min_stock_level >= 1"

_STATEMENT: Final = _rows_of(f"""WITH level AS (
    UPDATE inventory_stocklevel SET {_TAKE} WHERE id = {numbered(LEVEL, ":n::bigint")} AND {_ENOUGH}
    RETURNING id, product_id, updated_at
), made AS MATERIALIZED (SELECT uuidv7() AS hold, id AS level_id, product_id, updated_at AS at FROM level)""")

_BATCH: Final = _rows_of(f"""WITH asked AS MATERIALIZED (
    SELECT {numbered(LEVEL, "CASE WHEN :skus = 0 THEN 0 ELSE 1 + floor(random() * :skus)::bigint END")} AS id
    FROM generate_series(1, {BATCH})
), locked AS MATERIALIZED (
    SELECT id, product_id, clock_timestamp() AS at FROM inventory_stocklevel WHERE id IN (SELECT id FROM asked)
    ORDER BY id FOR NO KEY UPDATE
), level AS (
    UPDATE inventory_stocklevel level SET reserved = reserved + t.quantity, version = version + t.quantity,
        updated_at = clock_timestamp()
    FROM (SELECT id, count(*)::int AS quantity FROM asked GROUP BY id) t WHERE level.id = t.id
), made AS MATERIALIZED (
    SELECT uuidv7() AS hold, id AS level_id, product_id, at FROM asked JOIN locked USING (id)
)""")

_HEAD: Final = "DECLARE hold uuid := uuidv7(); product uuid; at timestamptz;"
_LOCK: Final = f"""
    SELECT product_id, clock_timestamp() INTO product, at FROM inventory_stocklevel WHERE id = level AND {_ENOUGH}
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN RAISE 'short'; END IF;
    UPDATE inventory_stocklevel SET {_TAKE} WHERE id = level;
"""
_RESERVATION_ROW: Final = f"""{_RESERVATION}
    VALUES (hold, '{STORE_ID}', 'ACTIVE', 'cart-' || hold, at, at + interval '15 minutes', '', '{CLIENT_ID}');
"""
_ITEM_ROW: Final = f"{_ITEM} VALUES (uuidv7(), hold, level, 1, false, at + interval '15 minutes');"
_TOLD_ROWS: Final = f"""{_ENTRY}
    VALUES (uuidv7(), at, 'inventory_reservation_created', 'benchmark', '{CLIENT_ID}', 'api', uuidv7()::text, 'main',
        hold, {_changes("hold", "product", "at")});
    {_EVENT} VALUES (uuidv7(), 'reservation', 'InventoryReservedEvent', 'res-' || hold,
        {_payload("hold", "product", "at")}, at);
"""
_READ: Final = """
    SELECT product_id, clock_timestamp() INTO product, at FROM inventory_stocklevel WHERE id = level;
"""
_FUNCTIONS: Final = {
    "function": _LOCK + _RESERVATION_ROW + _ITEM_ROW + _TOLD_ROWS,
    "level-last": _READ
    + _RESERVATION_ROW
    + _TOLD_ROWS
    + f"UPDATE inventory_stocklevel SET {_TAKE} WHERE id = level AND {_ENOUGH};"
    + "IF NOT FOUND THEN RAISE 'short'; END IF;"
    + _ITEM_ROW,
}


def create_functions(service: Service) -> None:
    """Create the PL/pgSQL functions in the service's database."""
    with service.cluster.connect(service.database) as connection:
        for way, code in _FUNCTIONS.items():
            connection.execute(
                f"""
                CREATE OR REPLACE FUNCTION "benchmark-{way}"(level uuid) RETURNS uuid LANGUAGE plpgsql AS
                $$ #variable_conflict use_variable
                {_HEAD} BEGIN {code} RETURN hold; END $$
                """.encode()
            )


def script(way: str, *, hot: bool) -> str:
    """The script that each client of pgbench repeats."""
    if way == "batch":
        return f"\\set skus {0 if hot else SKUS}\n{_BATCH};\n"
    number = "\\set n 0\n" if hot else f"\\set n random(1, {SKUS})\n"
    if way == "statement":
        return f"{number}{_STATEMENT};\n"
    return f"""{number}SELECT "benchmark-{way}"({numbered(LEVEL, ":n::bigint")});\n"""


def run(cluster: Cluster, database: str, way: str, *, hot: bool, connections: int, seconds: float) -> Load:
    """Run pgbench with one way of reserving. Raises BenchmarkFailed if a transaction fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.sql"
        file.write_text(script(way, hot=hot))
        command = [os.fspath(cluster.pgbench()), "-h", os.fspath(cluster.sockets), "-U", "inventory", "-n"]
        command += ["-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(max(1, round(seconds)))]
        command += ["-f", os.fspath(file), "-l", "--log-prefix", os.fspath(Path(folder) / "log"), database]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False)  # noqa: S603 - its own program, fixed arguments
        latencies = sorted(
            int(line.split()[2]) / 1000 for log in Path(folder).glob("log.*") for line in log.read_text().splitlines()
        )
    if done.returncode != 0 or not latencies:
        raise BenchmarkFailed(f"pgbench failed:\n{done.stderr[-2000:]}")
    return load_of(done.stdout, latencies, BATCH if way == "batch" else 1)


def load_of(printed: str, latencies: list[float], requests_each: int) -> Load:
    """Parse the output of pgbench. ``latencies`` are those of its transactions, ascending, in milliseconds."""
    done = re.search(r"number of transactions actually processed: (\d+)", printed)
    rate = re.search(r"tps = ([\d.]+)", printed)
    failed = re.search(r"number of failed transactions: (\d+)", printed)
    if not (done and rate):
        raise BenchmarkFailed(f"pgbench said something else:\n{printed}")
    transactions, per_second = int(done.group(1)), float(rate.group(1))
    at = [latencies[max(0, -(-len(latencies) * percent // 100) - 1)] for percent in (50, 95, 99)]
    failures = int(failed.group(1)) if failed else 0
    return Load(transactions * requests_each, transactions / per_second, failures, *at)

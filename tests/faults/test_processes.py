"""Processes are killed, Redis is down, PostgreSQL is restarted: no acknowledged change is lost or doubled."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.books import assert_books_balance
from tests.faults.house import REPOSITORY, House, Load, Web, call, eventually

SWEEPER = """
import django
django.setup()
from django.core.management import call_command
print("sweeping", flush=True)
while True:
    call_command("expire_due_holds")
"""


@pytest.fixture
def web(house: House) -> Iterator[Web]:
    web = Web(house)
    yield web
    web.kill()


def assert_nothing_is_lost_or_doubled(house: House, load: Load) -> None:
    assert not load.failures, load.failures
    assert len(load.held) > 10
    with house.database() as database:
        assert_books_balance(database)
        rows = database.execute(
            "SELECT cart_id, array_agg('res-' || id), array_agg(status) FROM reservations_reservation GROUP BY cart_id"
        ).fetchall()
    kept = {cart: (ids, statuses) for cart, ids, statuses in rows}
    for cart, id_ in load.held.items():
        ids, statuses = kept[cart]
        if cart in load.ended:
            assert (ids, statuses) == ([id_], [load.ended[cart]])
        else:
            assert id_ in ids


def test_killed_web_server_loses_and_doubles_nothing(house: House, web: Web) -> None:
    with Load(house) as load:
        for _ in range(2):
            load.run(0.3)
            web.kill()
            web.start()
        load.run(0.1)
    assert load.answers["lost"]
    assert_nothing_is_lost_or_doubled(house, load)


def test_killed_sweeper_loses_and_doubles_nothing(house: House, web: Web) -> None:
    chance = random.Random(1)
    with Load(house, threads=4) as load:
        for _ in range(4):
            sweeper = subprocess.Popen(
                [sys.executable, "-c", SWEEPER],
                cwd=REPOSITORY,
                env=house.environment(SWEEP_BATCH_SIZE="3"),
                stdout=subprocess.PIPE,
            )
            with sweeper:
                assert sweeper.stdout is not None
                assert sweeper.stdout.readline() == b"sweeping\n"
                for _ in range(10):
                    let_time_pass_for_some(house)
                    time.sleep(0.02)
                time.sleep(chance.uniform(0, 0.05))
                sweeper.kill()
    with house.database() as database:
        assert number_of(database, "EXPIRED") > 0
    house.python("manage.py", "expire_due_holds")
    with house.database() as database:
        due = database.execute(
            "SELECT count(*) FROM reservations_reservation WHERE status = 'ACTIVE' AND expires_at <= now()"
        ).fetchone()
    assert due == (0,)
    assert_nothing_is_lost_or_doubled(house, load)


def number_of(database: "psycopg.Connection[Any]", status: str) -> int:
    row = database.execute("SELECT count(*) FROM reservations_reservation WHERE status = %s", [status]).fetchone()
    assert row
    return int(row[0])


def let_time_pass_for_some(house: House) -> None:
    """Make some active holds due by moving their times."""
    with house.database() as database, database.transaction():
        ids = database.execute(
            "SELECT id FROM reservations_reservation WHERE status = 'ACTIVE' AND expires_at > now() + interval '1 min' "
            "ORDER BY random() LIMIT 5 FOR NO KEY UPDATE SKIP LOCKED"
        ).fetchall()
        chosen = [row[0] for row in ids]
        database.execute(
            "UPDATE reservations_reservation SET expires_at = now() - interval '1 s' WHERE id = ANY(%s)", [chosen]
        )
        database.execute(
            "UPDATE reservations_reservationitem i SET held_until = r.expires_at FROM reservations_reservation r "
            "WHERE r.id = i.reservation_id AND r.id = ANY(%s)",
            [chosen],
        )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
def test_postgresql_that_ends_under_load_loses_and_doubles_nothing(house: House, web: Web, how: signal.Signals) -> None:
    with Load(house) as load:
        load.run(0.3)
        before = house.status()["postgres_pid"]
        os.kill(before, how)
        eventually(lambda: house.status()["postgres_pid"] != before, "PostgreSQL to be there again")
        load.run(0.3)
    assert set(load.answers) <= {"200", "201", "503 busy", "409 idempotency_in_progress"}, load.answers
    assert_nothing_is_lost_or_doubled(house, load)


@pytest.mark.parametrize("is_deaf", [False, True], ids=["gone", "deaf"])
def test_every_stock_call_works_without_redis(house: House, is_deaf: bool) -> None:
    address = f"/tmp/faults-{os.getpid()}-{is_deaf}"
    with socket.socket(socket.AF_UNIX) as listener:
        if is_deaf:
            listener.bind(address)
            listener.listen(64)
        web = Web(house, REDIS_URL=f"unix://{address}")
        try:
            started = time.monotonic()
            statuses = [call(house, *request)[0] for request in every_stock_call(house)]
            seconds = time.monotonic() - started
        finally:
            web.kill()
            Path(address).unlink(missing_ok=True)
    assert statuses == [200, 201, 200, 200, 201, 200, 201, 200, 200, 200, 200]
    assert seconds < 20  # No call waits long for Redis; the margin is for slow machines.
    with house.database() as database:
        assert_books_balance(database)


def every_stock_call(house: House) -> Iterator[tuple[str, str, Any]]:
    base = "/api/v1/inventory"
    cart = f"cart-{time.time()}"
    items = [{"productId": house.products[0], "quantity": 1}]
    yield "POST", f"{base}/check-availability", {"items": items}
    yield "POST", f"{base}/reserve", {"cartId": cart, "items": items}
    mine = call(house, "GET", f"{base}/reservations?cartId={cart}")[1]["items"][0]["reservationId"]
    yield "POST", f"{base}/extend", {"reservationId": mine}
    yield "POST", f"{base}/consume", {"reservationId": mine, "orderId": f"order-of-{cart}"}
    yield "POST", f"{base}/reserve", {"orderId": cart, "items": items}
    yield "POST", f"{base}/release", {"orderId": cart}
    yield "PUT", f"{base}/carts/{cart}-2", {"items": items}
    yield "DELETE", f"{base}/carts/{cart}-2", None
    line = {
        "productId": items[0]["productId"],
        "warehouseId": "wh-001",
        "quantity": 1,
        "type": "RECEIPT",
        "reason": "in",
    }
    yield "PUT", f"{base}/adjust", {"adjustments": [line]}
    yield "GET", f"{base}/{house.products[0]}", None
    yield "GET", f"{base}/reservations/{mine}", None

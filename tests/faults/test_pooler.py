"""Every process works behind a real PgBouncer in transaction mode, whether or not it follows prepared statements."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.books import assert_books_balance
from tests.faults.house import PATIENCE_SECONDS, REPOSITORY, House, Load, Web, call, eventually
from tests.faults.test_inbox import CLIENT
from tests.faults.test_proxies import free_port

FOLLOWS_FROM = (1, 21)
WARNING = "prepared_statements_switched_off"
CONFIGURATION = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
"""
TASKS = """
import django
django.setup()
from django.core.management import call_command
from audit import tasks
from inventory import tasks as stock
from reservations import tasks as holds
holds.expire_due_holds()
holds.reconcile()
tasks.tend_event_log()
tasks.tend_webhooks()
stock.check_low_stock()
call_command("relay_events", "--once")
call_command("consume_events", "--once")
"""
LOCKS = """
SELECT count(*) FROM pg_locks JOIN audit_webhooksubscription s
    ON (classid::bigint << 32) | objid::bigint = hashtextextended('audit.webhooks ' || s.id, 0)
WHERE locktype = 'advisory'
"""
ADVISORY_LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
WEBHOOK = """
import django
django.setup()
from tests.audit.webhooks.sender import subscribe
subscribe("http://127.0.0.1:9/")
"""


def version() -> tuple[int, ...]:
    """The version of the PgBouncer that is installed."""
    if shutil.which("pgbouncer") is None:
        without = pytest.fail if "CI_RUN" in os.environ else pytest.skip
        without("pgbouncer is not installed: the service is not tested behind it")
    said = subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


class Pooler:
    """A PgBouncer in front of a house's PostgreSQL. ``most_prepared`` is its ``max_prepared_statements``."""

    def __init__(self, house: House, most_prepared: int) -> None:
        parts = urlsplit(house.urls["DATABASE_URL"])
        with house.database() as database:
            host = database.info.host
        self.port = free_port()
        folder = house.folder / f"pooler-{self.port}"
        folder.mkdir(mode=0o755)
        (folder / "users").write_text(f'"{parts.username}" ""\n')
        text = CONFIGURATION.format(host=f"'{host}'", user=parts.username, port=self.port, folder=folder)
        if version() >= FOLLOWS_FROM:
            text += f"max_prepared_statements = {most_prepared}\n"
        (folder / "pgbouncer.ini").write_text(text)
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["pgbouncer", *as_nobody, str(folder / "pgbouncer.ini")], stdout=log, stderr=log
            )
        self.house = copy.copy(house)
        self.house.port = free_port()
        name = parts.path.rsplit("/", 1)[1]
        self.house.urls = {**house.urls, "DATABASE_URL": f"postgres://{parts.username}@127.0.0.1:{self.port}/{name}"}
        eventually(self._answers, "PgBouncer", seconds=15)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.house.urls["DATABASE_URL"]).close()
        except psycopg.OperationalError:
            return False
        return True

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)


def most_prepared() -> list[int]:
    """The values of ``max_prepared_statements`` to test. Older versions work as with 0, and have no such setting."""
    return [0, 100] if shutil.which("pgbouncer") and version() >= FOLLOWS_FROM else [0]


@pytest.fixture(params=most_prepared())
def pooler(house: House, request: pytest.FixtureRequest) -> Iterator[Pooler]:
    pooler = Pooler(house, request.param)
    yield pooler
    pooler.close()


def test_every_process_works_behind_a_pooler(house: House, pooler: Pooler, request: pytest.FixtureRequest) -> None:
    follows = request.node.callspec.params["pooler"] > 0
    far = pooler.house
    far.urls |= {"INBOX_STREAM": "shop:orders", "INBOX_CLIENT": "order-system"}
    if not follows:
        house.python("-c", CLIENT)
        house.python("-c", WEBHOOK)
    with ExitStack() as stack:
        web = Web(far, LOG_LEVEL="WARNING")
        stack.callback(web.kill)
        with Load(far, threads=8) as load:
            load.run(2)
        assert not load.failures
        assert set(load.answers) <= {"200", "201", "409 idempotency_in_progress", "409 reservation_expired"}
        assert web.output.read_text().count(WARNING) == (not follows)
        status, page, _ = call(far, "GET", "/api/v1/events?limit=1000")
        assert status == 200
        assert page["events"]
    with redis.Redis.from_url(house.urls["REDIS_URL"]) as server:
        order = {"items": [{"productId": far.products[0], "quantity": 1}], "orderId": f"order-{follows}"}
        event = {"eventId": f"event-{follows}", "type": "OrderCreatedEvent", "data": order}
        server.xadd("shop:orders", {"data": json.dumps(event)})
        far.python("-c", TASKS, seconds=4 * PATIENCE_SECONDS)
        with house.database() as database:
            assert_books_balance(database)
            counted = database.execute(
                "SELECT (SELECT count(*) FROM audit_outboxevent), (SELECT count(*) FROM reservations_receivedevent)"
            ).fetchone()
        assert counted is not None
        # The last events are those of the consumer, which ran after the relay.
        assert counted[0] - 10 < server.xlen("inventory:events") <= counted[0]
        assert counted[1] >= 1 + follows


def test_the_sender_of_webhooks_says_what_it_needs(house: House, pooler: Pooler) -> None:
    log = house.folder / f"relay-{pooler.port}.log"
    with log.open("wb") as output:
        relay = subprocess.Popen(
            [sys.executable, "manage.py", "relay_events"],
            cwd=REPOSITORY,
            env=pooler.house.environment(LOG_LEVEL="WARNING"),
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "leads straight to PostgreSQL" in log.read_text(), "the relay's warning")
        time.sleep(0.5)
        with house.database() as database:
            # Those of transactions come and go; one of a session would stay.
            eventually(lambda: not database.execute(ADVISORY_LOCKS).fetchall(), "no lock to be left")
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.wait(PATIENCE_SECONDS)
    assert Path(log).read_text().count("Traceback") == 0

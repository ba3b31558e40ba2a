"""What a process remembers as sold out, beside threads and processes that change the stock."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, Final
from unittest import mock
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import Settings

from audit.errors import Busy, DomainError, IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.errors import InsufficientStock
from inventory.models import StockLevel, Store
from inventory.services.stock import known_levels
from reservations import group_commit
from reservations.services.holds import limits, repetitions, sold_out
from reservations.services.holds.placing import PlacedHold
from reservations.services.holds.resolution import ReleaseRequest
from reservations.services.holds.selecting import Selector
from tests.concurrency.threads import LEVEL_LOCK, PATIENCE_SECONDS, Crew, await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level, receive
from tests.loops import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store", "_long_memory")]
ROUNDS: Final = 40
FIRST_ENDS: Final = "held_until - statement_timestamp()"
"""In the statement that a refused buyer sends between reading a level and remembering it."""


@pytest.fixture
def _long_memory(settings: Settings) -> None:
    """Remember for longer than any of these tests takes."""
    settings.SOLD_OUT_CACHE_SECONDS = 60


def reserve(level: StockLevel, units: int, **fields: Any) -> Any:
    try:
        return group_commit.place_hold(hold_request((level, units), **fields)).outcome()
    except DomainError as refusal:
        return refusal


def make_claim(key: str) -> Claim:
    return Claim(UUID(int=1), key, fingerprint("POST", "/reserve", b""), lambda _: StoredAnswer(201, key.encode()))


def sold_out_level() -> StockLevel:
    level = make_level(1)
    hold((level, 1))
    assert isinstance(reserve(level, 1), InsufficientStock)
    return level


def test_units_that_came_back_are_held_at_once_whoever_asks_beside() -> None:
    level = make_level(1)
    hold((level, 1))
    rounds, at_once = count(), count()

    def restock_and_buy() -> list[type]:
        outcomes = []
        for _ in range(ROUNDS):
            outcomes.append(type(reserve(level, 1)))
            receive(level.product_id, 1)
            bought = reserve(level, 1)
            outcomes.append(type(bought))
            group_commit.release_hold(ReleaseRequest(ACTOR, Selector(bought.hold.id))).outcome()
            outcomes.append(type(reserve(level, 1)))
            next(rounds)
        return outcomes

    def ask_for_too_many() -> None:
        while next(rounds) < ROUNDS * 20:
            if sold_out.known_shortage(hold_request((level, 1000))):
                next(at_once)
            assert isinstance(reserve(level, 1000), InsufficientStock)

    bought, *_ = together(restock_and_buy, ask_for_too_many, ask_for_too_many)
    assert bought == [InsufficientStock, PlacedHold, PlacedHold] * ROUNDS
    assert next(at_once) > 0
    assert counters(level) == (ROUNDS + 1, ROUNDS + 1)


def test_buyers_get_exactly_what_is_there_and_the_rest_is_refused_at_once() -> None:
    level = make_level(30)

    def buy() -> list[type]:
        return [type(reserve(level, 1)) for _ in range(20)]

    outcomes = [kind for kinds in together(*(buy for _ in range(8))) for kind in kinds]
    assert (outcomes.count(PlacedHold), outcomes.count(InsufficientStock)) == (30, 130)
    assert counters(level) == (30, 30)
    assert sold_out.known_shortage(hold_request((level, 1)))


def bought_after_stock_came_during_a_refusal(level: StockLevel, *, is_sabotage: bool) -> Any:
    """Units come in after a refused buyer has read the level, and before it is remembered; then they are asked for."""
    receipts: list[Crew] = []

    def execute(statement: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if LEVEL_LOCK.search(sql) and is_sabotage:
            sql = sql.replace("FOR NO KEY UPDATE", "")
        if FIRST_ENDS in sql:
            receipts.append(Crew(partial(receive, level.product_id, 5)))
            if is_sabotage:
                receipts[0].join()
            else:
                time.sleep(0.2)
                assert not receipts[0].are_done(0)
        return statement(sql, *arguments)

    with connection.execute_wrapper(execute):
        assert isinstance(reserve(level, 2), InsufficientStock)
    receipts[0].join()
    return reserve(level, 2)


def test_without_the_lock_a_level_is_remembered_as_it_was() -> None:
    level = make_level(1)
    assert isinstance(bought_after_stock_came_during_a_refusal(level, is_sabotage=True), InsufficientStock)
    known_levels.forget_all()
    assert isinstance(reserve(level, 2), PlacedHold)


def test_with_the_lock_stock_that_comes_is_never_forgotten() -> None:
    level = make_level(1)
    assert isinstance(bought_after_stock_came_during_a_refusal(level, is_sabotage=False), PlacedHold)


def test_a_key_that_another_process_is_deciding_is_in_progress() -> None:
    level = sold_out_level()
    claim = make_claim("k")
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [claim.lock])
        assert isinstance(reserve(level, 1, claim=claim), IdempotencyInProgress)
    assert isinstance(reserve(level, 1, claim=claim), InsufficientStock)


def test_a_request_waits_for_one_of_its_order_in_another_process() -> None:
    level = sold_out_level()
    order_lock = limits.order_lock(Store.objects.get().id, "o")
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [order_lock])
        waiting = Crew(partial(reserve, level, 1, order_id="o"))
        await_waiting()
        assert not waiting.are_done(0)
    assert isinstance(waiting.join()[0], InsufficientStock)


@pytest.mark.parametrize("table", ["audit_idempotencykey", "reservations_reservation"])
def test_a_request_waits_no_longer_for_a_locked_table_than_for_other_locks(table: str, settings: Settings) -> None:
    """As while the table is rewritten."""
    settings.LOCK_TIMEOUT = 0.2
    level = sold_out_level()
    with stranger() as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        assert isinstance(Crew(partial(reserve, level, 1, claim=make_claim("k"), order_id="o")).join(5)[0], Busy)


def test_an_answer_that_is_stored_while_its_key_is_looked_up_is_found() -> None:
    """The first request is committed between the two statements of the lookup."""
    level = sold_out_level()
    claim = make_claim("k")
    looked: list[str] = []

    def execute(statement: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "audit_idempotencykey" in sql or "pg_try_advisory" in sql:
            if len(looked) == 1:
                connection.connection._pipeline.sync()  # The statement before was only sent.
                other.commit()
            looked.append(sql)
        return statement(sql, *arguments)

    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [claim.lock])
        other.execute(
            "INSERT INTO audit_idempotencykey (id, client_id, key, fingerprint, status, body) "
            "VALUES (gen_random_uuid(), %s, %s, %s, 201, %s)",
            [claim.client_id, claim.key, claim.fingerprint, b"first"],
        )
        with connection.execute_wrapper(execute):
            assert reserve(level, 1, claim=claim) == StoredAnswer(201, b"first")
    assert len(looked) > 2, "it was decided under its lock"


@pytest.mark.parametrize("fields", [{"claim": make_claim("k")}, {"order_id": "o"}])
def test_stock_that_comes_while_a_key_or_an_order_is_looked_up_is_held_at_once(fields: dict[str, Any]) -> None:
    level = sold_out_level()
    receipts: list[Crew] = []

    def execute(statement: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "pg_try_advisory_xact_lock_shared" in sql:
            receipts.append(Crew(partial(receive, level.product_id, 1)))
            receipts[0].join()
        return statement(sql, *arguments)

    with connection.execute_wrapper(execute):
        assert isinstance(reserve(level, 1, **fields), PlacedHold)
    assert len(receipts) == 1


def test_on_an_event_loop_many_keys_are_looked_up_together() -> None:
    level = sold_out_level()
    stored = make_claim("stored")
    receive(level.product_id, 1)
    assert isinstance(reserve(level, 1, claim=stored), PlacedHold)
    assert isinstance(reserve(level, 1), InsufficientStock)
    looked = count()

    async def reserve_all() -> list[Any]:
        claims = [stored, *(make_claim(str(number)) for number in range(40))]
        requests = [hold_request((level, 1), claim=claim) for claim in claims]
        submissions = [group_commit.place_hold(request).outcome_on_loop() for request in requests]
        return await asyncio.gather(*submissions, return_exceptions=True)

    def work(origins: Any) -> list[bool]:
        next(looked)
        return repetitions.may_be_repeated(origins)

    with mock.patch.object(group_commit, "may_be_repeated", work):
        first, *others = run(reserve_all())
    assert first == StoredAnswer(201, b"stored")
    assert [type(outcome) for outcome in others] == [InsufficientStock] * 40
    assert next(looked) < 10


BUYERS: Final = """
import json, random, sys, time
import django
django.setup()
from inventory.models import StockLevel
from tests.concurrency.test_sold_out import make_claim, reserve

level, chance, bought = StockLevel.objects.get(pk=sys.argv[1]), random.Random(int(sys.argv[2])), []
print("ready", flush=True)
sys.stdin.readline()
for _ in range(250):
    key, began = str(chance.randrange(60)), time.monotonic()
    kind = type(reserve(level, 1, claim=make_claim(key), order_id=chance.choice([None, "order-" + key]))).__name__
    bought.append((key, kind, began, time.monotonic()))
print(json.dumps(bought))
"""


def test_a_key_that_was_held_in_one_process_is_never_refused_in_another() -> None:
    """Units come back all the time. Each process gets requests with keys that the other one may have used."""
    level = make_level(2)
    database = connection.settings_dict
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{database['USER']}@/{database['HOST']}/{database['NAME']}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEBUG": "true",
        "SOLD_OUT_CACHE_SECONDS": "0.02",
    }
    buyers = [
        subprocess.Popen(
            [sys.executable, "-c", BUYERS, str(level.pk), str(seed)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(2)
    ]
    for buyer in buyers:
        assert buyer.stdout
        assert buyer.stdin
        assert buyer.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(2) as threads:
        printed = [threads.submit(buyer.communicate, "go\n", timeout=PATIENCE_SECONDS) for buyer in buyers]
        for _ in range(30):
            receive(level.product_id, 1)
    bought = [tuple(each) for found in printed for each in json.loads(found.result()[0])]
    held = {key: ended for key, kind, _, ended in bought if kind == "PlacedHold"}
    assert len(held) == sum(kind == "PlacedHold" for _, kind, *_ in bought) == counters(level)[1] > 2
    later = [kind for key, kind, began, _ in bought if began > held.get(key, began)]
    assert set(later) <= {"StoredAnswer", "IdempotencyInProgress"}
    assert later.count("StoredAnswer") > 5
    assert sum(kind == "InsufficientStock" for _, kind, *_ in bought) > 5

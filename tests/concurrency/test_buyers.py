"""Many buyers of the same stock: no unit is sold twice, and no available unit is refused."""

from collections.abc import Callable
from functools import partial
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from audit.actors import Actor
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.models import AuditEntry, IdempotencyKey
from inventory.errors import InsufficientStock
from inventory.models import Movement, StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import PlacedHold, place_hold, place_holds
from tests.concurrency.threads import Crew, await_waiting, count_of, stranger, together
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    make_due,
    make_level,
    make_product,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
THREADS = 16


def in_a_pool(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Do all jobs on a few threads. Returns their outcomes as ``Crew`` does."""
    shares = [jobs[index::THREADS] for index in range(THREADS)]

    def do(share: list[Callable[[], Any]]) -> list[Any]:
        outcomes: list[Any] = []
        for job in share:
            try:
                outcomes.append(job())
            except DomainError as error:
                outcomes.append(error)
        return outcomes

    return [outcome for part in together(*(partial(do, share) for share in shares)) for outcome in part]


def test_ten_buyers_of_15_get_exactly_6_times_15_of_100() -> None:
    level = make_level(100)
    outcomes = together(*(partial(place_hold, hold_request((level, 15))) for _ in range(10)))
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, InsufficientStock)) == (6, 4)
    assert counters(level) == (100, 90)


def test_300_buyers_of_1_get_exactly_100_of_100() -> None:
    level = make_level(100)
    outcomes = in_a_pool([partial(place_hold, hold_request((level, 1))) for _ in range(300)])
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, InsufficientStock)) == (100, 200)
    assert counters(level) == (100, 100)


def test_sourced_buyers_get_all_of_both_warehouses() -> None:
    level = make_level(30)
    receive(level.product_id, 30, "wh-002")
    outcomes = in_a_pool([partial(place_hold, hold_request((level, 7))) for _ in range(12)])
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, InsufficientStock)) == (8, 4)


def test_baskets_in_opposite_order_never_fail() -> None:
    levels = [make_level(1000) for _ in range(4)]
    jobs = []
    for number in range(60):
        ordered = levels if number % 2 else levels[::-1]
        jobs.append(partial(place_hold, hold_request(*((level, 1) for level in ordered))))
    outcomes = in_a_pool(jobs)
    assert count_of(outcomes, PlacedHold) == 60
    assert [counters(level) for level in levels] == [(1000, 60)] * 4


def test_two_receipts_of_the_same_new_levels_in_opposite_order_both_count() -> None:
    make_warehouse("wh-001")
    for _ in range(8):
        products = [make_product() for _ in range(6)]
        lines = [Adjustment(product.id, None, "wh-001", 2, "RECEIPT", "first receipt") for product in products]
        orders = (tuple(lines), tuple(reversed(lines)))
        outcomes = together(
            *(partial(apply_adjustments, AdjustRequest(actor=ACTOR, adjustments=order)) for order in orders)
        )
        assert [type(outcome) for outcome in outcomes] == [Adjusted, Adjusted]
        on_hand = StockLevel.objects.filter(product__in=products).values_list("on_hand", flat=True)
        assert list(on_hand) == [4] * 6


def test_shipment_and_holds_share_what_is_there() -> None:
    level = make_level(50)
    line = Adjustment(level.product_id, None, "wh-001", 1, "SHIPMENT", "sold elsewhere")
    ship = [partial(apply_adjustments, AdjustRequest(actor=ACTOR, adjustments=(line,))) for _ in range(40)]
    buy = [partial(place_hold, hold_request((level, 1))) for _ in range(40)]
    outcomes = in_a_pool([job for pair in zip(ship, buy, strict=True) for job in pair])
    shipped, held = count_of(outcomes, Adjusted), count_of(outcomes, PlacedHold)
    assert shipped + held == 50
    assert count_of(outcomes, InsufficientStock) == 30
    assert counters(level) == (50 - shipped, held)
    assert Movement.objects.filter(type="SHIPMENT").count() == shipped


def test_due_holds_never_keep_a_buyer_from_the_stock_while_sweepers_run() -> None:
    for _ in range(5):
        level = make_level(40)
        make_due(*(hold((level, 4)).id for _ in range(10)))
        everything = partial(place_hold, hold_request((level, 40)))
        bought, *_ = together(everything, expire_due_holds, expire_due_holds)
        assert isinstance(bought, PlacedHold), bought
        assert counters(level) == (40, 40)


def test_buyers_of_what_due_holds_sit_on_get_all_of_it() -> None:
    level = make_level(30)
    make_due(*(hold((level, 3)).id for _ in range(10)))
    outcomes = in_a_pool([partial(place_hold, hold_request((level, 2))) for _ in range(20)])
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, InsufficientStock)) == (15, 5)
    assert counters(level) == (30, 30)
    assert Reservation.objects.filter(status="EXPIRED").count() == 10


def test_buyer_waits_for_a_due_hold_that_another_is_ending_and_gets_its_units() -> None:
    level = make_level(5)
    due = hold((level, 5))
    make_due(due.id)
    with stranger() as other:
        other.execute("SELECT FROM reservations_reservation WHERE id = %s FOR NO KEY UPDATE", [due.id])
        crew = Crew(lambda: place_hold(hold_request((level, 5))))
        await_waiting()
        other.commit()
        (bought,) = crew.join()
    assert isinstance(bought, PlacedHold)
    assert counters(level) == (5, 5)


def test_sweeper_that_comes_between_a_shortage_and_the_look_for_due_holds_costs_no_buyer_the_stock() -> None:
    level = make_level(5)
    make_due(hold((level, 5)).id)
    sweepers: list[Crew] = []

    def sweep_before_the_look(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "held_until <=" in sql and not sweepers:
            sweepers.append(Crew(expire_due_holds))
            sleep(0.3)
        return execute(sql, *arguments)

    with connection.execute_wrapper(sweep_before_the_look):
        bought = place_hold(hold_request((level, 5)))
    assert isinstance(bought, PlacedHold)
    assert sweepers.pop().join() in ([0], [1])
    assert counters(level) == (5, 5)


def stored(outcome: PlacedHold) -> StoredAnswer:
    return StoredAnswer(201, str(outcome.hold.id).encode())


def test_each_client_of_a_batch_leaves_its_own_name_in_the_audit() -> None:
    levels = [make_level(100) for _ in range(3)]
    actors = [Actor(f"client-{n}", uuid4(), f"request-{n}", "api") for n in range(24)]
    batch = [
        hold_request(
            (levels[n % 3], 1),
            actor=actor,
            claim=Claim(actor.client_id or uuid4(), f"key-{n}", fingerprint("POST", "/reserve", b"%d" % n), stored),
        )
        for n, actor in enumerate(actors)
    ]
    batches = [batch[:8], batch[8:16], batch[16:]]
    outcomes = [outcome for part in together(*(partial(place_holds, b) for b in batches)) for outcome in part]
    assert count_of(outcomes, PlacedHold) == 24
    entries = AuditEntry.objects.filter(action="inventory_reservation_created")
    recorded = set(entries.values_list("actor", "client_id", "request_id", "subject_id"))
    assert recorded == {(r.actor.name, r.actor.client_id, r.actor.request_id, r.id) for r in batch}
    keys = {(key.client_id, key.key, bytes(key.body)) for key in IdempotencyKey.objects.all()}
    assert keys == {(a.client_id, f"key-{n}", str(batch[n].id).encode()) for n, a in enumerate(actors)}

"""Counts and the holds that they break, beside concurrent commands on the same levels and holds."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from inventory.errors import AlreadyInCount, CountBelowZero, CountClosed, InsufficientStock, NothingToCount
from inventory.models import Movement, StockCount, StockCountLine, StockLevel
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import (
    CancelCountRequest,
    Counted,
    EnteredCount,
    EnterRequest,
    cancel_count,
    enter_counts,
)
from inventory.services.counts.opening import Opened, OpenRequest, open_count
from inventory.services.counts.posting import Posted, PostRequest, post_count
from reservations.errors import IncidentResolved, ReservationReleased
from reservations.models import ShortageIncident
from reservations.services.holds.documents import Hold
from reservations.services.holds.placing import PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, Resolved, consume_hold
from reservations.services.holds.selecting import Selector
from reservations.services.shortages.incidents import IncidentDetails, ResolveRequest, resolve_incident
from tests.concurrency.threads import LEVEL_LOCK, Crew, await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level, status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
ROUNDS = 8


def counting(*levels: StockLevel) -> StockCount:
    refs = tuple(ProductRef(level.product_id) for level in levels)
    opened = open_count(OpenRequest(ACTOR, "wh-001", "PRODUCTS", products=refs))
    assert isinstance(opened, Opened)
    return opened.count


def entering(count: StockCount, *entries: tuple[StockLevel, int]) -> Callable[[], Any]:
    lines = tuple(EnteredCount(ProductRef(level.product_id), units) for level, units in entries)
    return partial(enter_counts, EnterRequest(ACTOR, count.id, lines))


def counted(*entries: tuple[StockLevel, int]) -> StockCount:
    count = counting(*(level for level, _ in entries))
    entering(count, *entries)()
    return count


def posting(count: StockCount) -> Callable[[], Any]:
    return partial(post_count, PostRequest(ACTOR, count.id))


def consuming(held: Hold) -> Callable[[], Any]:
    return partial(consume_hold, ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=held.id)))


def test_one_count_is_posted_once() -> None:
    level = make_level(10)
    hold((level, 8))
    count = counted((level, 6))
    outcomes = together(*(posting(count) for _ in range(6)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CountClosed"] * 5 + ["Posted"]
    assert Movement.objects.filter(reference_type="count").count() == 1
    assert counters(level) == (6, 0)


def test_of_two_counts_of_one_level_one_is_opened() -> None:
    levels = [make_level(10) for _ in range(4)]
    refs = [ProductRef(level.product_id) for level in levels]
    for one, other in ((refs, refs[::-1]), (refs[:3], refs[1:])):
        requests = [OpenRequest(ACTOR, "wh-001", "PRODUCTS", products=tuple(named)) for named in (one, other)]
        outcomes = together(*(partial(open_count, request) for request in requests))
        assert {type(outcome) for outcome in outcomes} == {Opened, AlreadyInCount}
        assert StockCount.objects.filter(status="OPEN").count() == 1
        StockCountLine.objects.all().delete()
        StockCount.objects.all().delete()


def test_two_counts_of_a_warehouse_share_its_levels() -> None:
    levels = [make_level(10) for _ in range(6)]
    outcomes = together(*(partial(open_count, OpenRequest(ACTOR, "wh-001", "ALL")) for _ in range(3)))
    assert {type(outcome) for outcome in outcomes} <= {Opened, NothingToCount}
    assert sum(o.progress.lines for o in outcomes if isinstance(o, Opened)) == len(levels)
    assert StockCountLine.objects.values("level").distinct().count() == len(levels)


def test_what_is_expected_is_what_was_there_when_it_was_entered() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        sold = hold((level, 3), order_id="order-1")
        count = counting(level)
        together(consuming(sold), entering(count, (level, 10)))
        expected = StockCountLine.objects.get(count=count).expected
        assert expected in {7, 10}
        posting(count)()
        assert counters(level) == ((10, 0) if expected == 7 else (7, 0))


def test_a_hold_is_sold_or_gives_way() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        older, newest = hold((level, 3)), hold((level, 3))
        count = counted((level, 5))
        sale, posted = together(consuming(newest), posting(count))
        assert isinstance(posted, Posted)
        if status(newest) == "CONSUMED":
            assert isinstance(sale, Resolved)
            assert (status(older), counters(level)) == ("RELEASED", (2, 0))
        else:
            assert isinstance(sale, ReservationReleased)
            assert (status(newest), status(older), counters(level)) == ("RELEASED", "ACTIVE", (5, 3))


def test_a_sale_that_leaves_too_little_refuses_the_count() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        only = hold((level, 6))
        count = counted((level, 5))
        sale, posted = together(consuming(only), posting(count))
        if isinstance(sale, Resolved):
            assert isinstance(posted, CountBelowZero)
            assert counters(level) == (4, 0)
        else:
            assert isinstance(posted, Posted)
            assert counters(level) == (5, 0)


def test_counts_and_holds_of_many_levels_never_lock_each_other_out() -> None:
    levels = [make_level(40) for _ in range(4)]
    for level in levels:
        for _ in range(4):
            hold((level, 8))
    for _ in range(ROUNDS):
        counts = [counted((level, 30)) for level in levels]
        buyers = [
            partial(place_hold, hold_request((one, 2), (other, 2)))
            for one, other in zip(levels, [*levels[1:], levels[0]], strict=True)
        ]
        outcomes = together(*map(posting, counts), *buyers)
        assert all(isinstance(outcome, Posted) for outcome in outcomes[:4]), outcomes
        assert all(isinstance(outcome, PlacedHold | InsufficientStock) for outcome in outcomes[4:]), outcomes
        for level in levels:
            refill = counted((level, 40))
            posting(refill)()


class Interruption:
    """An action that runs once, right before the levels are locked: too late for the first choice of holds."""

    def __init__(self, happen: Callable[[], None]) -> None:
        self._happen: Callable[[], None] | None = happen

    def attend(self, work: Callable[[], Any]) -> Callable[[], Any]:
        def attended() -> Any:
            with connection.execute_wrapper(self._execute):
                return work()

        return attended

    def _execute(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if self._happen and LEVEL_LOCK.search(sql):
            happen, self._happen = self._happen, None
            happen()
        return execute(sql, *arguments)


def lock_hold(other: "psycopg.Connection[Any]", id_: UUID) -> None:
    other.execute("SELECT FROM reservations_reservation WHERE id = %s FOR NO KEY UPDATE", [id_])


def test_a_hold_that_came_after_the_first_choice_gives_way_with_all_it_holds() -> None:
    level, other = make_level(10), make_level(10)
    older = hold((level, 4))
    count = counted((level, 4))
    made: list[PlacedHold] = []
    request = hold_request((level, 4), (other, 2))
    late = Interruption(lambda: made.extend(Crew(partial(place_hold, request)).join()))
    (posted,) = Crew(late.attend(posting(count))).join()
    assert [broken.id for broken in posted.broken] == [made[0].hold.id]
    assert (status(older), counters(level), counters(other)) == ("ACTIVE", (4, 4), (10, 0))


def test_a_hold_that_somebody_is_ending_is_passed_over() -> None:
    level = make_level(10)
    older = hold((level, 4))
    count = counted((level, 4))
    made: list[PlacedHold] = []
    with stranger() as other:

        def happen() -> None:
            made.extend(Crew(partial(place_hold, hold_request((level, 4)))).join())
            lock_hold(other, made[0].hold.id)

        (posted,) = Crew(Interruption(happen).attend(posting(count))).join()
    assert [broken.id for broken in posted.broken] == [older.id]
    assert (status(made[0].hold), counters(level)) == ("ACTIVE", (4, 4))


def test_where_the_unlocked_holds_do_not_suffice_the_posting_is_tried_again_and_waits() -> None:
    level = make_level(10)
    count = counted((level, 3))
    made: list[PlacedHold] = []
    with stranger() as other:

        def happen() -> None:
            made.extend(Crew(partial(place_hold, hold_request((level, 4)))).join())
            lock_hold(other, made[0].hold.id)

        crew = Crew(Interruption(happen).attend(posting(count)))
        await_waiting()
        assert not crew.are_done(0)
        other.rollback()
        (posted,) = crew.join()
    assert [broken.id for broken in posted.broken] == [made[0].hold.id]
    assert counters(level) == (3, 0)


def test_where_a_further_level_is_locked_the_posting_is_tried_again_and_waits() -> None:
    level, other_level = make_level(10), make_level(10)
    count = counted((level, 3))
    with stranger() as other:

        def happen() -> None:
            Crew(partial(place_hold, hold_request((level, 4), (other_level, 1)))).join()
            other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [other_level.id])

        crew = Crew(Interruption(happen).attend(posting(count)))
        await_waiting()
        other.rollback()
        (posted,) = crew.join()
    assert len(posted.broken) == 1
    assert (counters(level), counters(other_level)) == ((3, 0), (10, 0))


def test_a_count_that_is_being_entered_is_posted_with_it() -> None:
    level = make_level(10)
    count = counted((level, 3))
    entered, posted = together(entering(count, (level, 6)), posting(count))
    assert isinstance(posted, Posted)
    assert counters(level) == ((3, 0) if isinstance(entered, CountClosed) else (6, 0))


def test_an_incident_is_resolved_once() -> None:
    level = make_level(10)
    hold((level, 8))
    posting(counted((level, 5)))()
    incident = ShortageIncident.objects.get()
    requests = [ResolveRequest(ACTOR, incident.id, f"by {number}") for number in range(4)]
    outcomes = together(*(partial(resolve_incident, request) for request in requests))
    assert Counter(type(outcome) for outcome in outcomes) == {IncidentDetails: 1, IncidentResolved: 3}


def test_a_count_is_posted_or_called_off() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        count = counted((level, 6))
        posted, cancelled = together(posting(count), partial(cancel_count, CancelCountRequest(ACTOR, count.id)))
        assert {type(posted), type(cancelled)} in ({Posted, CountClosed}, {CountClosed, Counted})
        assert counters(level) == ((6, 0) if isinstance(posted, Posted) else (10, 0))

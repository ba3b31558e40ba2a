"""The negative control: without locks each race must appear, or the other tests here prove nothing.

Each scenario runs with and without the lock. Threads meet between reading and writing; without it they all do.
"""

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection

from inventory.errors import InsufficientStock
from inventory.models import Movement, StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.errors import ReservationReleased
from reservations.services.holds.documents import Hold
from reservations.services.holds.placing import PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance, broken_rules
from tests.concurrency.threads import HOLD_LOCK, LEVEL_LOCK, Meeting, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
CONSTRAINT = "level_reserved_within_on_hand"


@pytest.fixture
def _constraint_dropped() -> Iterator[None]:
    """Drop the constraint for one test."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [CONSTRAINT])
        definition = cursor.fetchone()[0]
        cursor.execute(f"ALTER TABLE inventory_stocklevel DROP CONSTRAINT {CONSTRAINT}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET reserved = 0")
        cursor.execute(f"ALTER TABLE inventory_stocklevel ADD CONSTRAINT {CONSTRAINT} {definition}")


def two_buyers_of_15(level: StockLevel, *, is_sabotage: bool) -> tuple[list[object], bool]:
    meeting = Meeting(LEVEL_LOCK, 2, is_sabotage=is_sabotage)
    buyers = [meeting.attend(lambda: place_hold(hold_request((level, 15)))) for _ in range(2)]
    return together(*buyers), meeting.have_met


@pytest.mark.usefixtures("_constraint_dropped", "breaks_the_books")
def test_without_the_lock_two_buyers_of_15_get_30_of_20() -> None:
    level = make_level(20)
    outcomes, have_met = two_buyers_of_15(level, is_sabotage=True)
    assert have_met
    assert [type(outcome) for outcome in outcomes] == [PlacedHold, PlacedHold]
    assert counters(level) == (20, 30)
    assert "0 <= reserved <= on hand" in broken_rules()


def test_without_the_lock_the_database_still_says_no() -> None:
    level = make_level(20)
    with pytest.raises(ExceptionGroup) as failed:
        two_buyers_of_15(level, is_sabotage=True)
    assert [type(error) for error in failed.value.exceptions] == [IntegrityError]
    assert CONSTRAINT in str(failed.value.exceptions[0])
    assert counters(level) == (20, 15)


def test_with_the_lock_two_buyers_of_15_get_15_of_20() -> None:
    level = make_level(20)
    outcomes, have_met = two_buyers_of_15(level, is_sabotage=False)
    assert not have_met
    assert {type(outcome) for outcome in outcomes} == {PlacedHold, InsufficientStock}
    assert counters(level) == (20, 15)


def two_receipts(level: StockLevel, *, is_sabotage: bool) -> None:
    meeting = Meeting(LEVEL_LOCK, 2, is_sabotage=is_sabotage)
    line = Adjustment(level.product_id, None, "wh-001", 5, "RECEIPT", "both at once")
    receipts = [
        meeting.attend(lambda: apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))) for _ in range(2)
    ]
    outcomes = together(*receipts)
    assert [type(outcome) for outcome in outcomes] == [Adjusted, Adjusted]
    assert meeting.have_met is is_sabotage


@pytest.mark.usefixtures("breaks_the_books")
def test_without_the_lock_two_receipts_record_the_same_quantity_before() -> None:
    two_receipts(make_level(10), is_sabotage=True)
    assert list(broken_rules()) == ["each movement starts where the one before ended, the first at the opening"]
    with pytest.raises(AssertionError, match="each movement starts"):
        assert_books_balance()


def test_with_the_lock_two_receipts_follow_each_other() -> None:
    level = make_level(10)
    two_receipts(level, is_sabotage=False)
    assert counters(level) == (20, 0)


def sale_against_release(sold: Hold, *, is_sabotage: bool) -> list[object]:
    meeting = Meeting(HOLD_LOCK, 2, is_sabotage=is_sabotage)
    selector = Selector(reservation_id=sold.id)
    outcomes = together(
        meeting.attend(lambda: consume_hold(ConsumeRequest(ACTOR, "order-1", selector))),
        meeting.attend(lambda: release_hold(ReleaseRequest(ACTOR, selector))),
    )
    assert meeting.have_met is is_sabotage
    return outcomes


@pytest.mark.usefixtures("breaks_the_books")
def test_without_the_lock_a_hold_is_sold_and_given_back() -> None:
    level = make_level(10)
    hold((level, 4))
    outcomes = sale_against_release(hold((level, 3)), is_sabotage=True)
    assert [type(outcome) for outcome in outcomes] == [Resolved, Resolved]
    assert counters(level) == (7, 1)
    assert "reserved is what the items of ACTIVE reservations hold" in broken_rules()


def test_with_the_lock_a_hold_is_sold_or_given_back() -> None:
    level = make_level(10)
    hold((level, 4))
    sale, release = sale_against_release(hold((level, 3)), is_sabotage=False)
    is_sold = isinstance(sale, Resolved)
    assert is_sold is not isinstance(release, Resolved)
    assert is_sold or isinstance(sale, ReservationReleased)
    assert counters(level) == ((7, 4) if is_sold else (10, 4))
    assert Movement.objects.filter(type="SHIPMENT").count() == int(is_sold)

"""Holds give way to counts if fewer units are on hand than are held."""

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.errors import (
    CountBelowZero,
)
from inventory.models import StockLevel
from inventory.services.counts.entering import (
    CancelCountRequest,
    cancel_count,
)
from inventory.services.counts.posting import PostRequest, post_count, preview_count
from reservations.errors import HoldNotInTheWay, ReservationNotFound, ReservedUnexplained
from reservations.models import BrokenHold, ShortageIncident
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.counts import counted, post
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_due,
    make_level,
    published,
    recorded,
)
from tests.reservations.shortages import status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# --- holds that give way ---------------------------------------------------------------------------------------------


def test_the_newest_holds_give_way_as_far_as_needed() -> None:
    level = make_level(10)
    oldest, older, newest = (hold((level, 3)) for _ in range(3))
    posted = post(counted((level, 5)))
    assert [held.id for held in posted.broken] == [newest.id, older.id]
    assert status(oldest) == ("ACTIVE", "")
    assert status(older) == status(newest) == ("RELEASED", "shortage")
    assert counters(level) == (5, 3)


def test_a_count_that_leaves_enough_breaks_nothing() -> None:
    level = make_level(10)
    made = hold((level, 5))
    assert post(counted((level, 5))).broken == ()
    assert (status(made), counters(level)) == (("ACTIVE", ""), (5, 5))
    assert not ShortageIncident.objects.exists()


def test_what_is_missing_counts_at_posting_not_at_counting() -> None:
    level = make_level(10)
    count = counted((level, 5))
    hold((level, 5))
    later = hold((level, 1))
    assert [held.id for held in post(count).broken] == [later.id]


def test_due_holds_are_dead_and_go_first() -> None:
    level = make_level(10)
    due, alive = hold((level, 4)), hold((level, 4))
    make_due(due.id)
    assert post(counted((level, 5))).broken == ()
    assert (status(due), status(alive)) == (("EXPIRED", "expired"), ("ACTIVE", ""))
    assert not ShortageIncident.objects.exists()


def test_what_due_holds_held_is_not_missing() -> None:
    level = make_level(10)
    due, alive = hold((level, 4)), hold((level, 4))
    make_due(due.id)
    post(counted((level, 1)))
    assert status(alive) == ("RELEASED", "shortage")
    assert ShortageIncident.objects.get().missing_units == 3


def test_staff_may_choose_who_gives_way() -> None:
    level = make_level(10)
    oldest, older, newest = (hold((level, 3)) for _ in range(3))
    assert [held.id for held in post(counted((level, 6)), oldest.id).broken] == [oldest.id]
    assert status(older) == status(newest) == ("ACTIVE", "")


def test_chosen_holds_give_way_as_far_as_needed_and_the_newest_after() -> None:
    level = make_level(12)
    holds = [hold((level, 3)) for _ in range(4)]
    posted = post(counted((level, 3)), holds[1].id, holds[0].id)
    assert [held.id for held in posted.broken] == [holds[1].id, holds[0].id, holds[3].id]
    assert [held.id for held in post(counted((level, 0)), holds[2].id).broken] == [holds[2].id]


@pytest.mark.parametrize("case", ["not held there", "due", "nothing missing"])
def test_a_chosen_hold_that_is_not_in_the_way_is_refused(case: str) -> None:
    level, other = make_level(10), make_level(10)
    elsewhere, mine = hold((other, 3)), hold((level, 3))
    if case == "due":
        hold((level, 3))
        make_due(mine.id)
    chosen = elsewhere if case == "not held there" else mine
    with pytest.raises(HoldNotInTheWay) as refused:
        post(counted((level, 5 if case == "nothing missing" else 2)), chosen.id)
    assert [fault.pointer for fault in refused.value.faults] == ["/breakReservations/0"]
    assert counters(level)[0] == 10


def test_a_chosen_hold_that_is_none_is_not_found() -> None:
    level = make_level(10)
    hold((level, 9))
    with pytest.raises(ReservationNotFound):
        post(counted((level, 2)), level.id)


def test_a_hold_gives_way_as_a_whole_and_frees_its_other_levels() -> None:
    level, other = make_level(10), make_level(10)
    hold((other, 4))
    both = hold((level, 6), (other, 3))
    posted = post(counted((level, 2)))
    assert [held.id for held in posted.broken] == [both.id]
    assert (counters(level), counters(other)) == ((2, 0), (10, 4))
    (incident,) = ShortageIncident.objects.all()
    assert (incident.level_id, incident.missing_units) == (level.id, 4)
    assert list(BrokenHold.objects.values_list("reservation_id", "quantity")) == [(both.id, 6)]


def test_a_hold_that_gives_way_on_one_level_counts_on_the_others() -> None:
    level, other = make_level(10), make_level(10)
    first = hold((level, 5))
    both = hold((level, 5), (other, 10))
    posted = post(counted((level, 5), (other, 0)))
    assert [held.id for held in posted.broken] == [both.id]
    assert status(first) == ("ACTIVE", "")
    assert {(i.level_id, i.missing_units) for i in ShortageIncident.objects.all()} == {(level.id, 5), (other.id, 10)}
    assert BrokenHold.objects.count() == 2


def test_a_broken_hold_is_audited_and_published() -> None:
    level = make_level(10)
    made = hold((level, 6), order_id="order-7", cart_id="cart-7", customer_id="ada")
    count = counted((level, 5))
    post(count, actor=msgspec.structs.replace(ACTOR, request_id="request-9"))
    incident = ShortageIncident.objects.get()
    (entry,) = recorded("inventory_reservation_released")
    assert (entry.subject_id, entry.changes["reason"], entry.store) == (made.id, "shortage", "main")
    (found,) = recorded("inventory_shortage_found")
    assert found.subject_id == incident.id
    assert found.changes == {
        "productId": str(level.product_id),
        "warehouseId": "wh-001",
        "missingUnits": 1,
        "cause": count.public_id,
        "reservations": [made.public_id],
    }
    (released,) = published("InventoryReleasedEvent")
    assert (released["reservationId"], released["reason"]) == (made.public_id, "shortage")
    (broken,) = published("InventoryReservationBrokenEvent")
    assert broken["reservationId"] == made.public_id
    assert (broken["orderId"], broken["cartId"], broken["customerId"]) == ("order-7", "cart-7", "ada")
    assert (broken["cause"], broken["incidents"]) == (count.public_id, [incident.public_id])
    assert incident.request_id == "request-9"
    row = BrokenHold.objects.get()
    assert (row.order_id, row.cart_id, row.customer_id, row.quantity) == ("order-7", "cart-7", "ada", 6)


def test_a_refused_posting_breaks_nothing() -> None:
    level, other = make_level(10), make_level(10)
    made = hold((level, 9))
    count = counted((level, 1), (other, 0))
    sold = hold((other, 5), order_id="order-1")
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=sold.id)))
    with pytest.raises(CountBelowZero):
        post(count)
    assert (status(made), counters(level)) == (("ACTIVE", ""), (10, 9))
    assert not ShortageIncident.objects.exists()


def test_counters_that_no_hold_explains_refuse_the_posting() -> None:
    level = make_level(10)
    count = counted((level, 2))
    StockLevel.objects.filter(pk=level.pk).update(reserved=5)
    with pytest.raises(ReservedUnexplained):
        post_count(PostRequest(ACTOR, count.id))


# --- the preview -----------------------------------------------------------------------------------------------------


def test_the_preview_says_what_posting_would_break_and_writes_nothing() -> None:
    level, other = make_level(10), make_level(10)
    hold((level, 4))
    newest = hold((level, 4))
    count = counted((level, 5), (other, 12))
    preview = preview_count(count.id, ACTOR)
    assert [held.id for held in preview.broken] == [newest.id]
    (short,) = preview.short
    assert (short.on_hand, short.on_hand_after, short.reserved, short.missing) == (10, 5, 8, 3)
    assert (preview.differences, preview.units_added, preview.units_removed) == (2, 2, 5)
    assert (status(newest), counters(level)) == (("ACTIVE", ""), (10, 8))
    assert [held.id for held in post(count).broken] == [held.id for held in preview.broken]


def test_the_preview_leaves_due_holds_out() -> None:
    level = make_level(10)
    due, newest = hold((level, 4)), hold((level, 4))
    make_due(due.id)
    count = counted((level, 5))
    assert preview_count(count.id, ACTOR).broken == ()
    cancel_count(CancelCountRequest(ACTOR, count.id))
    preview = preview_count(counted((level, 1)).id, ACTOR)
    assert ([held.id for held in preview.broken], preview.short[0].missing) == ([newest.id], 3)


def test_the_number_of_statements_does_not_grow_with_the_count() -> None:
    made = []
    for size in (2, 12):
        levels = [make_level(10) for _ in range(size)]
        for level in levels:
            hold((level, 9))
        count = counted(*((level, 3) for level in levels))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(post_count(PostRequest(ACTOR, count.id)).broken) == size  # type: ignore[union-attr]
        made.append(len(queries))
    assert made[0] == made[1]

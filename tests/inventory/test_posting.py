"""Posting of counts that break no holds."""

from decimal import Decimal

import pytest

from inventory.errors import (
    CountBelowZero,
    CountClosed,
    CountIncomplete,
    QuantityLimit,
)
from inventory.models import Movement, StockCountLine
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import (
    CancelCountRequest,
    EnteredCount,
    EnterRequest,
    cancel_count,
    enter_counts,
)
from inventory.services.counts.opening import OpenRequest, open_count
from inventory.services.counts.posting import preview_count
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.counts import counted, post
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_level,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def test_posting_writes_a_movement_a_difference() -> None:
    less, more, same = make_level(10), make_level(10), make_level(10)
    count = counted((less, 8), (more, 13), (same, 10), note="aisle 4")
    posted = post(count)
    assert (counters(less), counters(more), counters(same)) == ((8, 0), (13, 0), (10, 0))
    moved = Movement.objects.filter(reference_type="count")
    assert {(m.level_id, m.type, m.quantity, m.reference, m.reason, m.adjustment_id) for m in moved} == {
        (less.id, "ADJUSTMENT", -2, count.public_id, "aisle 4", posted.id),
        (more.id, "ADJUSTMENT", 3, count.public_id, "aisle 4", posted.id),
    }
    lines = StockCountLine.objects.filter(count=count)
    assert sorted(lines.values_list("posted_difference", "is_open")) == [(-2, False), (0, False), (3, False)]


def test_every_counted_level_knows_when_it_was_counted() -> None:
    level, same = make_level(10), make_level(10)
    count = counted((level, 8), (same, 10))
    post(count)
    for line in StockCountLine.objects.filter(count=count).select_related("level"):
        assert line.level.last_counted_at == line.counted_at


def test_what_moved_after_the_counting_is_allowed_for() -> None:
    level = make_level(10)
    count = counted((level, 9))
    sold = hold((level, 4), order_id="order-1")
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=sold.id)))
    receive(level.product_id, 20)
    post(count)
    assert counters(level) == (25, 0)


def test_the_second_count_is_posted() -> None:
    level = make_level(100)
    count = counted((level, 50), recount_share=Decimal("0.1"))
    receive(level.product_id, 10)
    enter_counts(EnterRequest(ACTOR, count.id, (EnteredCount(ProductRef(level.product_id), 108, True),)))
    post(count)
    assert counters(level) == (108, 0)
    line = StockCountLine.objects.get(count=count)
    level.refresh_from_db()
    assert (line.posted_difference, level.last_counted_at) == (-2, line.recounted_at)


def test_lines_without_a_count_refuse_the_posting_or_are_skipped() -> None:
    level, missed = make_level(10), make_level(10)
    count = open_count(OpenRequest(ACTOR, "wh-001", "ALL")).count  # type: ignore[union-attr]
    with pytest.raises(CountIncomplete) as refused:
        post(count)
    assert len(refused.value.faults) == 2
    with pytest.raises(CountIncomplete, match="Nothing was counted"):
        post(count, skip_uncounted=True)
    enter_counts(EnterRequest(ACTOR, count.id, (EnteredCount(ProductRef(level.product_id), 9),)))
    with pytest.raises(CountIncomplete) as refused:
        post(count)
    assert [fault.facts for fault in refused.value.faults] == [{"productId": str(missed.product_id)}]
    posted = post(count, skip_uncounted=True)
    assert (posted.counted, posted.skipped, counters(level), counters(missed)) == (1, 1, (9, 0), (10, 0))
    missed.refresh_from_db()
    assert missed.last_counted_at is None
    assert StockCountLine.objects.get(level=missed).posted_difference is None


def test_lines_that_need_a_second_count_refuse_the_posting_whatever_is_skipped() -> None:
    count = counted((make_level(100), 50), recount_share=Decimal("0.1"))
    with pytest.raises(CountIncomplete) as refused:
        post(count, skip_uncounted=True)
    assert [fault.code for fault in refused.value.faults] == ["needs_recount"]


def test_on_hand_never_falls_below_zero() -> None:
    level = make_level(10)
    count = counted((level, 2))
    sold = hold((level, 9), order_id="order-1")
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=sold.id)))
    with pytest.raises(CountBelowZero) as refused:
        post(count)
    assert refused.value.faults[0].detail.endswith("1 on hand; posting would change that by -8.")
    assert counters(level) == (1, 0)


def test_no_more_is_posted_than_a_level_may_have() -> None:
    level = make_level(1)
    count = counted((level, 2_000_000_000))
    receive(level.product_id, 1)
    with pytest.raises(QuantityLimit):
        post(count)


@pytest.mark.parametrize("end", ["posted", "cancelled"])
def test_a_count_is_posted_once(end: str) -> None:
    level = make_level(10)
    count = counted((level, 8))
    post(count) if end == "posted" else cancel_count(CancelCountRequest(ACTOR, count.id))
    with pytest.raises(CountClosed):
        post(count)
    assert counters(level) == (8 if end == "posted" else 10, 0)


def test_posting_is_audited_and_published() -> None:
    level = make_level(10)
    count = counted((level, 8))
    posted = post(count)
    (entry,) = recorded("inventory_count_posted")
    assert (entry.subject_id, entry.changes["differences"]) == (count.id, 1)
    adjusted = recorded("inventory_stock_adjusted")[-1]
    assert (adjusted.subject_id, adjusted.changes["onHand"]) == (level.id, [10, 8])
    event = published("StockAdjustedEvent")[-1]
    assert (event["adjustmentId"], event["quantity"], event["newStock"]) == (f"adj-{posted.id}", -2, 8)


# --- the preview -----------------------------------------------------------------------------------------------------


def test_the_preview_shows_what_would_fall_below_zero() -> None:
    level = make_level(10)
    count = counted((level, 2))
    sold = hold((level, 9), order_id="order-1")
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=sold.id)))
    (short,) = preview_count(count.id, ACTOR).short
    assert (short.on_hand, short.on_hand_after) == (1, -7)


def test_a_closed_count_would_do_nothing() -> None:
    level = make_level(10)
    count = counted((level, 2))
    post(count)
    preview = preview_count(count.id, ACTOR)
    assert (preview.differences, preview.short, preview.broken) == (0, (), ())

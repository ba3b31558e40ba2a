"""Cycle counts without holds: open, enter blind, recount, cancel."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from audit.errors import Invalid, NotFound
from inventory.errors import (
    AlreadyInCount,
    CountClosed,
    CountTooLarge,
    NothingToCount,
    ProductNotInCount,
    QuantityLimit,
    UnknownProduct,
    UnknownWarehouse,
)
from inventory.models import QUANTITY_LIMIT, Movement, StockCount, StockCountLine, StockLevel
from inventory.services.counts.documents import CountLine, ProductRef, read_lines
from inventory.services.counts.entering import (
    CancelCountRequest,
    Counted,
    EnteredCount,
    EnterRequest,
    cancel_count,
    enter_counts,
)
from inventory.services.counts.opening import Opened, OpenRequest, open_count
from tests.factories import ACTOR, make_level, make_product, make_variant, make_warehouse, receive, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def opened(scope: str = "ALL", warehouse: str = "wh-001", **fields: Any) -> Opened:
    made = open_count(OpenRequest(ACTOR, warehouse, scope, **fields))
    assert isinstance(made, Opened)
    return made


def counting(*levels: StockLevel, **fields: Any) -> StockCount:
    refs = tuple(ProductRef(level.product_id) for level in levels)
    return opened("PRODUCTS", products=refs, **fields).count


def enter(count: StockCount, *entries: tuple[StockLevel, int], again: bool = False) -> Counted:
    asked = tuple(EnteredCount(ProductRef(level.product_id), units, again) for level, units in entries)
    counted = enter_counts(EnterRequest(ACTOR, count.id, asked))
    assert isinstance(counted, Counted)
    return counted


def line_of(count: StockCount, level: StockLevel) -> CountLine:
    (line,) = [line for line in read_lines(count.id) if line.level_id == level.id]
    return line


def levels_in(count: StockCount) -> set[Any]:
    return {line.level_id for line in read_lines(count.id)}


# --- open ------------------------------------------------------------------------------------------------------------


def test_all_is_every_level_of_the_warehouse() -> None:
    mine, also = make_level(1), make_level(2)
    make_level(3, "wh-002")
    made = opened()
    assert levels_in(made.count) == {mine.id, also.id}
    assert (made.progress.lines, made.progress.counted, made.elsewhere) == (2, 0, {})


def test_a_zone_is_its_levels_alone() -> None:
    mine = make_level(1, zone="A")
    make_level(1, zone="B")
    assert levels_in(opened("ZONE", zone="A").count) == {mine.id}


def test_stale_is_what_was_never_counted_or_not_for_so_many_days() -> None:
    never = make_level(1)
    lately = make_level(1, last_counted_at=timezone.now() - timedelta(days=2))
    long_ago = make_level(1, last_counted_at=timezone.now() - timedelta(days=40))
    assert levels_in(opened("STALE", stale_days=30).count) == {never.id, long_ago.id}
    StockCountLine.objects.update(is_open=False)
    assert levels_in(opened("STALE").count) == {never.id}
    StockCountLine.objects.update(is_open=False)
    assert levels_in(opened("STALE", stale_days=1).count) == {never.id, long_ago.id, lately.id}


def test_chosen_products_are_counted_and_nothing_else() -> None:
    mine = make_level(1)
    make_level(1)
    assert levels_in(counting(mine, mine)) == {mine.id}


def test_a_variant_is_named_with_its_parent_or_alone() -> None:
    parent = make_product()
    level = receive(make_variant(parent), 3)
    named = ProductRef(parent.id, level.product_id)
    assert levels_in(opened("PRODUCTS", products=(named,)).count) == {level.id}
    with pytest.raises(UnknownProduct) as refused:
        opened("PRODUCTS", products=(named, ProductRef(make_product().id, level.product_id)))
    assert [fault.pointer for fault in refused.value.faults] == ["/products/1/productId"]


def test_a_product_without_a_level_there_is_refused_in_its_place() -> None:
    level, elsewhere = make_level(1), make_level(1, "wh-002")
    with pytest.raises(UnknownProduct) as refused:
        counting(level, elsewhere)
    assert [fault.pointer for fault in refused.value.faults] == ["/products/1/productId"]
    assert not StockCount.objects.exists()


def test_a_chosen_product_that_another_open_count_has_is_refused_and_the_count_named() -> None:
    level, free = make_level(1), make_level(1)
    first = counting(level)
    with pytest.raises(AlreadyInCount) as refused:
        counting(free, level)
    (fault,) = refused.value.faults
    assert (fault.pointer, fault.facts) == ("/products/1/productId", {"countId": first.public_id})
    assert StockCount.objects.count() == 1
    assert not StockCountLine.objects.filter(level=free).exists()


def test_a_wider_scope_skips_and_reports_what_another_open_count_has() -> None:
    level, free = make_level(1), make_level(1)
    first = counting(level)
    made = opened()
    assert levels_in(made.count) == {free.id}
    assert made.elsewhere == {first.id: 1}


def test_a_count_of_nothing_is_refused() -> None:
    make_warehouse("wh-001")
    with pytest.raises(NothingToCount):
        opened()
    level = make_level(1)
    counting(level)
    with pytest.raises(NothingToCount, match="another open count"):
        opened()


def test_a_level_is_free_again_once_its_count_is_called_off() -> None:
    level = make_level(1)
    first = counting(level)
    cancel_count(CancelCountRequest(ACTOR, first.id, "not today"))
    assert levels_in(counting(level)) == {level.id}
    assert recorded("inventory_count_cancelled")[0].changes == {"reason": "not today"}


def test_a_count_has_a_limit_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    make_level(1)
    make_level(1)
    monkeypatch.setattr("inventory.services.counts.opening.MOST_LINES", 1)
    with pytest.raises(CountTooLarge, match="zone by zone"):
        opened()


def test_an_unknown_warehouse_is_refused() -> None:
    with pytest.raises(UnknownWarehouse):
        opened(warehouse="nowhere")


def test_opening_is_audited() -> None:
    make_level(1)
    count = opened(recount_share=Decimal("0.1"), note="spring").count
    (entry,) = recorded("inventory_count_opened")
    assert (entry.subject_id, entry.changes["lines"], entry.changes["recountShare"]) == (count.id, 1, "0.1")


# --- enter -----------------------------------------------------------------------------------------------------------


def test_what_is_expected_is_on_hand_at_the_moment_of_counting() -> None:
    level = make_level(10)
    count = counting(level)
    assert line_of(count, level).expected is None
    receive(level.product_id, 5)
    enter(count, (level, 14))
    receive(level.product_id, 7)
    line = line_of(count, level)
    assert (line.counted, line.expected, line.difference) == (14, 15, -1)


def test_entering_moves_nothing() -> None:
    level = make_level(10)
    count = counting(level)
    enter(count, (level, 3))
    level.refresh_from_db()
    assert (level.on_hand, level.last_counted_at) == (10, None)
    assert Movement.objects.count() == 1


def test_an_entry_may_be_corrected() -> None:
    level = make_level(10)
    count = counting(level)
    enter(count, (level, 3))
    receive(level.product_id, 1)
    counted = enter(count, (level, 9))
    assert (counted.lines[0].counted, counted.lines[0].expected) == (9, 11)
    assert (counted.progress.lines, counted.progress.counted, counted.progress.to_recount) == (1, 1, 0)


def test_entries_of_one_product_are_summed() -> None:
    level = make_level(10)
    count = counting(level)
    assert enter(count, (level, 3), (level, 6)).lines[0].difference == -1


def test_many_lines_are_entered_at_once_or_none() -> None:
    level, also, stranger = make_level(10), make_level(10), make_level(10)
    count = counting(level, also)
    with pytest.raises(ProductNotInCount) as refused:
        enter(count, (level, 1), (stranger, 2), (also, 3))
    assert [fault.pointer for fault in refused.value.faults] == ["/lines/1/productId"]
    assert line_of(count, level).counted is None
    assert enter(count, (level, 1), (also, 3)).progress.counted == 2


@pytest.mark.parametrize(
    ("on_hand", "counted", "needs"),
    [(100, 90, False), (100, 110, False), (100, 89, True), (100, 111, True), (1, 1, False), (1, 2, True)],
)
def test_a_difference_above_the_share_needs_a_second_count(on_hand: int, counted: int, needs: bool) -> None:
    level = make_level(on_hand)
    count = counting(level, recount_share=Decimal("0.1"))
    entered = enter(count, (level, counted))
    assert (entered.lines[0].needs_recount, entered.progress.to_recount) == (needs, int(needs))


def test_without_a_share_no_difference_needs_a_second_count() -> None:
    level = make_level(100)
    assert not enter(counting(level), (level, 0)).lines[0].needs_recount


def test_the_first_count_entered_again_is_no_second_count() -> None:
    level = make_level(100)
    count = counting(level, recount_share=Decimal("0.1"))
    enter(count, (level, 50))
    assert enter(count, (level, 50)).lines[0].needs_recount
    assert not enter(count, (level, 99)).lines[0].needs_recount


def test_the_second_count_decides() -> None:
    level = make_level(100)
    count = counting(level, recount_share=Decimal("0.1"))
    enter(count, (level, 50))
    receive(level.product_id, 10)
    line = enter(count, (level, 57), again=True).lines[0]
    assert (line.needs_recount, line.counted, line.recounted, line.difference) == (False, 50, 57, -53)
    assert enter(count, (level, 108), again=True).lines[0].difference == -2
    line = enter(count, (level, 51)).lines[0]
    assert (line.needs_recount, line.counted, line.difference) == (False, 51, -2)


def test_a_second_count_needs_a_first_one() -> None:
    level = make_level(100)
    with pytest.raises(Invalid) as refused:
        enter(counting(level), (level, 5), again=True)
    assert [fault.pointer for fault in refused.value.faults] == ["/lines/0/recount"]


def test_first_and_second_counts_of_a_product_come_in_requests_of_their_own() -> None:
    level = make_level(100)
    count = counting(level)
    enter(count, (level, 5))
    product = ProductRef(level.product_id)
    with pytest.raises(Invalid):
        enter_counts(EnterRequest(ACTOR, count.id, (EnteredCount(product, 1), EnteredCount(product, 2, True))))


def test_no_more_is_counted_than_a_level_may_have() -> None:
    level = make_level(1)
    count = counting(level)
    with pytest.raises(QuantityLimit):
        enter(count, (level, QUANTITY_LIMIT), (level, 1))


def test_entering_is_audited_with_what_was_expected() -> None:
    level = make_level(10)
    count = counting(level)
    enter(count, (level, 4))
    (entry,) = recorded("inventory_count_entered")
    assert entry.subject_id == count.id
    line = {"productId": str(level.product_id), "counted": 4, "expected": 10, "recount": False}
    assert entry.changes == {"lines": [line]}


@pytest.mark.parametrize("verb", ["enter", "cancel"])
def test_a_closed_count_stays_as_it_is(verb: str) -> None:
    level = make_level(10)
    count = counting(level)
    cancel_count(CancelCountRequest(ACTOR, count.id))
    with pytest.raises(CountClosed):
        enter(count, (level, 4)) if verb == "enter" else cancel_count(CancelCountRequest(ACTOR, count.id))


def test_an_unknown_count_is_not_found() -> None:
    level = make_level(10)
    with pytest.raises(NotFound):
        cancel_count(CancelCountRequest(ACTOR, level.id))
    with pytest.raises(NotFound):
        enter_counts(EnterRequest(ACTOR, level.id, (EnteredCount(ProductRef(level.product_id), 1),)))

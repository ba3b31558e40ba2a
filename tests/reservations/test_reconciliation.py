"""Reconciliation of levels with their movements and holds."""

import pytest
from uuid_utils.compat import uuid7

from inventory.models import (
    LedgerOpening,
    Movement,
    ReconciliationFinding,
    ReconciliationRun,
    StockLevel,
)
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping.reconciliation import reconcile
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_due,
    make_level,
    make_product,
    make_variant,
    published,
    receive,
    recorded,
)
from tests.reservations.reconciling import LATER, assert_clean, found, repair, sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def test_books_that_balance_have_no_findings() -> None:
    level = make_level(10)
    hold((level, 3))
    make_due(hold((level, 2)).id)
    run = reconcile(ACTOR)
    assert (found(run), run.levels_checked) == ([], 1)
    kept = ReconciliationRun.objects.get(pk=run.id)
    assert (kept.levels_checked, kept.finding_count, kept.actor, kept.scope) == (1, 0, "tests", "everything")
    assert kept.finished_at is not None


# ------------------------------------------------------------------------------------------------------------ on hand


def test_on_hand_changed_from_outside_is_found_and_set_to_the_ledger() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 17 WHERE id = %s", level.id)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 10, 17)]
    assert counters(level) == (17, 0)
    run = repair()
    assert (counters(level), run.unrepaired, Movement.objects.count()) == ((10, 0), 0, 1)
    (entry,) = recorded("inventory_stock_reconciled")
    assert (entry.subject_id, entry.actor, entry.changes["reason"]) == (level.id, "tests", "drill")
    assert (entry.changes["onHand"], entry.changes["ledger"]) == ([17, 10], [10, 10])
    (event,) = published("StockReconciledEvent")
    assert (event["previousStock"], event["newStock"], event["reason"]) == (17, 10, "drill")
    assert (event["productId"], event["warehouseId"]) == (str(level.product_id), "wh-001")
    finding = ReconciliationFinding.objects.get(run_id=run.id)
    assert (finding.repaired_by, finding.repair_reason, finding.repaired_at is not None) == ("tests", "drill", True)
    assert_clean()


def test_a_lost_movement_is_found_and_supplied() -> None:
    level = make_level(10)
    receive(level.product_id, 5)
    sql("DELETE FROM inventory_movement WHERE level_id = %s AND quantity = 10", level.id)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 5, 15)]
    run = repair()
    assert counters(level) == (15, 0)
    supplied = Movement.objects.get(level=level, reference_type="reconciliation")
    assert (supplied.type, supplied.quantity) == ("ADJUSTMENT", 10)
    assert (supplied.quantity_before, supplied.quantity_after) == (5, 15)
    assert (supplied.reason, supplied.actor, supplied.reference) == ("drill", "tests", str(run.id))
    assert recorded("inventory_stock_reconciled")[0].changes["ledger"] == [5, 15]
    assert found(reconcile(ACTOR)) == []


def test_all_movements_lost_are_taken_for_the_truth_unless_holds_need_the_stock() -> None:
    free, promised = make_level(10), make_level(10)
    hold((promised, 4))
    sql("DELETE FROM inventory_movement")
    repair()
    assert (counters(free), counters(promised)) == ((0, 0), (10, 4))
    assert Movement.objects.get().quantity == 10
    assert found(reconcile(ACTOR)) == []


def forge(level: StockLevel, quantity: int) -> None:
    sql(
        "INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,"
        " reference_type, reference, actor, created_at)"
        " VALUES (%s, %s, 'ADJUSTMENT', %s, 0, %s, '', '', '', 'x', clock_timestamp())",
        uuid7(),
        level.id,
        quantity,
        quantity,
    )


@pytest.mark.parametrize("quantity", [-15, 2_000_000_000])
def test_an_impossible_ledger_gets_the_missing_movement(quantity: int) -> None:
    level = make_level(10)
    forge(level, quantity)
    repair()
    assert counters(level) == (10, 0)
    assert sum(Movement.objects.values_list("quantity", flat=True)) == 10
    assert found(reconcile(ACTOR)) == []


def test_a_ledger_out_of_all_range_is_reported_and_left() -> None:
    level = make_level(10)
    forge(level, 2_000_000_000)
    forge(level, 2_000_000_000)
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 0))
    assert "no movement can be so large" in ReconciliationFinding.objects.get().detail


def test_the_opening_replaces_archived_movements() -> None:
    level = make_level(10)
    receive(level.product_id, 5)
    first = Movement.objects.order_by("created_at").first()
    assert first is not None
    LedgerOpening.objects.create(level=level, as_of=first.created_at, on_hand=10)
    assert found(reconcile(ACTOR)) == []
    sql("DELETE FROM inventory_movement WHERE id = %s", first.id)
    assert found(reconcile(ACTOR)) == []
    LedgerOpening.objects.update(on_hand=9)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 14, 15)]


# ----------------------------------------------------------------------------------------------------------- reserved


def test_reserved_changed_from_outside_is_found_and_recomputed() -> None:
    level, variant = make_level(10), receive(make_variant(make_product()), 10)
    hold((level, 3))
    hold((variant, 3))
    sql("UPDATE inventory_stocklevel SET reserved = CASE id WHEN %s THEN 5 ELSE 0 END", level.id)
    assert set(found(reconcile(ACTOR))) == {("RESERVED", level.id, 3, 5), ("RESERVED", variant.id, 3, 0)}
    version = StockLevel.objects.get(pk=level.pk).version
    run = repair()
    assert (counters(level), counters(variant), run.unrepaired) == ((10, 3), (10, 3), 0)
    assert StockLevel.objects.get(pk=level.pk).version == version + 1
    assert {tuple(entry.changes["reserved"]) for entry in recorded("inventory_stock_reconciled")} == {(5, 3), (0, 3)}
    assert {(e["previousReserved"], e["newReserved"]) for e in published("StockReconciledEvent")} == {(5, 3), (0, 3)}
    assert_clean()


def test_both_counters_of_a_level_are_put_right_together() -> None:
    level = make_level(10)
    hold((level, 8))
    sql("UPDATE inventory_stocklevel SET on_hand = 3, reserved = 1")
    assert [kind for kind, *_ in found(reconcile(ACTOR))] == ["ON_HAND", "RESERVED"]
    repair()
    assert counters(level) == (10, 8)
    assert len(recorded("inventory_stock_reconciled")) == len(published("StockReconciledEvent")) == 1
    assert_clean()


def test_more_held_than_on_hand_is_left_to_a_count() -> None:
    level = make_level(10)
    held = hold((level, 8))
    sql("UPDATE reservations_reservationitem SET quantity = 50 WHERE reservation_id = %s", held.id)
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 8))
    assert "count the stock" in ReconciliationFinding.objects.get().detail
    assert not recorded("inventory_stock_reconciled")


# ------------------------------------------------------------------------------------------------------ items and holds


def test_an_active_hold_whose_item_is_not_held_is_found_and_still_counts() -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("UPDATE reservations_reservationitem SET held_until = NULL")
    assert found(reconcile(ACTOR)) == [("ORPHAN", item.id, None, None)]
    repair()
    (entry,) = recorded("inventory_reservation_reconciled")
    assert (entry.subject_id, entry.changes["reason"]) == (item.reservation_id, "drill")
    assert_clean()


def test_an_item_held_until_another_moment_is_found() -> None:
    level = make_level(10)
    hold((level, 3))
    sql("UPDATE reservations_reservationitem SET held_until = held_until + interval '1 day'")
    repair()
    assert_clean()


@pytest.mark.parametrize("status", ["RELEASED", "EXPIRED"])
def test_an_item_of_a_closed_hold_that_is_still_held_is_found_and_let_go(status: str) -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("UPDATE reservations_reservation SET status = %s, released_at = now()", status)
    findings = found(reconcile(ACTOR))
    assert findings == [("ORPHAN", item.id, None, None), ("RESERVED", level.id, 0, 3)]
    run = repair()
    assert (run.unrepaired, counters(level)) == (0, (10, 0))
    assert found(reconcile(ACTOR)) == []


@pytest.mark.django_db(transaction=True)
def test_an_item_whose_hold_is_gone_is_found_and_let_go() -> None:
    level = make_level(10)
    held = hold((level, 3))
    sql("DELETE FROM reservations_reservation WHERE id = %s", held.id)
    assert [kind for kind, *_ in found(reconcile(ACTOR))] == ["ORPHAN", "RESERVED"]
    repair()
    assert (counters(level), found(reconcile(ACTOR))) == ((10, 0), [])


def test_an_active_hold_without_items_is_reported() -> None:
    level = make_level(10)
    held = hold((level, 3))
    sql("DELETE FROM reservations_reservationitem")
    assert ("ORPHAN", held.id, None, None) in found(reconcile(ACTOR))
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 0))


@pytest.mark.django_db(transaction=True)
def test_a_held_item_of_a_level_that_is_gone_is_reported() -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("DELETE FROM inventory_movement")
    sql("DELETE FROM inventory_stocklevel")
    assert found(reconcile(ACTOR)) == [("ORPHAN", item.id, None, None)]
    assert ReconciliationFinding.objects.get().level_id is None


# ----------------------------------------------------------------------------------------------------------- long due


def test_a_hold_long_past_its_end_is_reported() -> None:
    level = make_level(10)
    dead, just = hold((level, 3)), hold((level, 2))
    make_due(dead.id, ago=LATER)
    make_due(just.id)
    assert found(reconcile(ACTOR)) == [("LONG_DUE", dead.id, None, None)]
    run = repair()
    assert (run.unrepaired, counters(level)) == (0, (10, 2))
    assert Reservation.objects.get(pk=dead.id).status == "EXPIRED"
    assert_clean()


def test_a_wrong_counter_that_stops_the_sweeper_is_mended_before_it_sweeps() -> None:
    level = make_level(10)
    make_due(hold((level, 3)).id, ago=LATER)
    sql("UPDATE inventory_stocklevel SET reserved = 1")
    run = repair()
    assert (run.counts, run.unrepaired, counters(level)) == ({"RESERVED": 1, "LONG_DUE": 1}, 0, (10, 0))
    assert_clean()

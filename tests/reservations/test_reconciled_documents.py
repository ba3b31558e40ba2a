"""Reconciliation of transfers, counts and alerts, in chunks and within a scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from inventory.models import (
    LedgerOpening,
    LowStockAlert,
    Movement,
    ReconciliationFinding,
    ReconciliationRun,
    StockCount,
    StockCountLine,
    StockLevel,
    Transfer,
    TransferLine,
)
from inventory.services.bookkeeping import reconciliation as stock
from inventory.services.bookkeeping.reconciliation import ReconciliationScope
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    receive_transfer,
    start_transfer,
)
from reservations.models import ReservationItem
from reservations.services.bookkeeping.reconciliation import reconcile
from tests.factories import (
    ACTOR,
    hold,
    make_due,
    make_level,
    make_product,
    make_variant,
    receive,
    recorded,
)
from tests.reservations.reconciling import LATER, assert_clean, command, found, repair, sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@contextmanager
def in_chunks_of(monkeypatch: pytest.MonkeyPatch, size: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(stock, "CHUNK", size)
        patch.setattr(stock, "LOCKED_AT_ONCE", size)
        patch.setattr("reservations.services.bookkeeping.reconciliation.CHUNK", size)
        patch.setattr("inventory.services.bookkeeping.orphans.CHUNK", size)
        yield


# ------------------------------------------------------------------------------------------- transfers and other owners


def ship(level: StockLevel, quantity: int, *, received: int = 0, close: bool = False) -> Transfer:
    """Send a transfer to wh-002, and receive a part of it."""
    request = TransferRequest(ACTOR, (MoveLine(level.product_id, None, quantity, "wh-001", "wh-002"),))
    start_transfer(request)
    if received:
        arrived = (Arrived(level.product_id, None, received),)
        receive_transfer(ReceiveRequest(ACTOR, request.id, arrived, close))
    return Transfer.objects.get(pk=request.id)


def test_transfers_that_agree_with_their_movements_are_no_finding() -> None:
    level = make_level(10)
    ship(level, 4)
    ship(make_level(10), 4, received=3)
    ship(make_level(10), 4, received=4)
    ship(make_level(10), 4, received=3, close=True)
    assert_clean()


def test_units_in_transit_that_no_movement_explains_are_reported_and_left() -> None:
    transfer = ship(make_level(10), 4)
    sql("UPDATE inventory_transferline SET quantity = 6, quantity_shipped = 6")
    assert found(reconcile(ACTOR)) == [("IN_TRANSIT", transfer.id, 4, 6)]
    assert repair().unrepaired == 1
    assert TransferLine.objects.get().in_transit == 6


def test_a_closed_transfer_has_nothing_in_transit() -> None:
    transfer = ship(make_level(10), 4)
    sql("UPDATE inventory_transfer SET status = 'CANCELLED', closed_at = now()")
    assert found(reconcile(ACTOR)) == [("IN_TRANSIT", transfer.id, 0, 4)]


def test_a_transfer_whose_movements_are_archived_is_not_compared() -> None:
    level = make_level(10)
    ship(level, 4)
    LedgerOpening.objects.create(level=level, as_of=timezone.now(), on_hand=6)
    sql("DELETE FROM inventory_movement WHERE level_id = %s", level.id)
    assert found(reconcile(ACTOR)) == []


@pytest.mark.django_db(transaction=True)
def test_movements_of_a_transfer_or_level_that_is_gone_are_reported() -> None:
    transfer, lone = ship(make_level(10), 4), make_level(10)
    sql("DELETE FROM inventory_transferline")
    sql("DELETE FROM inventory_transfer")
    sql("DELETE FROM inventory_stocklevel WHERE id = %s", lone.id)
    movement = Movement.objects.get(reference=transfer.public_id)
    assert set(found(reconcile(ACTOR))) == {("ORPHAN", movement.id, None, None), ("ORPHAN", lone.id, None, None)}


def test_an_open_line_of_a_closed_count_is_found_and_closed() -> None:
    level = make_level(10)
    now = timezone.now()
    count = StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="t", opened_at=now)
    line = StockCountLine.objects.create(count=count, level=level)
    assert_clean()
    StockCount.objects.update(status="CANCELLED", cancelled_at=now)
    assert found(reconcile(ACTOR)) == [("ORPHAN", line.id, None, None)]
    assert repair().unrepaired == 0
    (entry,) = recorded("inventory_count_line_closed")
    assert (entry.subject_id, entry.changes["reason"]) == (count.id, "drill")
    assert_clean()


def test_an_alert_of_an_unwatched_level_is_reported_after_an_hour() -> None:
    level = make_level(1)
    alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
    assert_clean()
    StockLevel.objects.update(updated_at=timezone.now() - timedelta(hours=2))
    assert found(reconcile(ACTOR)) == [("ORPHAN", alert.id, None, None)]
    StockLevel.objects.update(reorder_point=5)
    assert_clean()


# -------------------------------------------------------------------------------------------------------- many and some


def break_everything() -> set[tuple[str, UUID]]:
    broken = set()
    for _ in range(5):
        level = make_level(10)
        held = hold((level, 2))
        sql("UPDATE inventory_stocklevel SET on_hand = 12, reserved = 5 WHERE id = %s", level.id)
        sql("UPDATE reservations_reservationitem SET held_until = NULL WHERE reservation_id = %s", held.id)
        broken |= {("ON_HAND", level.id), ("RESERVED", level.id)}
        broken.add(("ORPHAN", ReservationItem.objects.get(reservation=held.id).id))
        late = hold((make_level(3), 1))
        make_due(late.id, ago=LATER)
        broken.add(("LONG_DUE", late.id))
        transfer = ship(make_level(10), 4)
        sql("UPDATE inventory_transferline SET quantity_lost = 1 WHERE transfer_id = %s", transfer.id)
        broken.add(("IN_TRANSIT", transfer.id))
    return broken


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_chunks_leave_nothing_out_and_find_nothing_twice(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    broken = break_everything()
    with in_chunks_of(monkeypatch, size):
        rows = [(kind, subject) for kind, subject, _, _ in found(reconcile(ACTOR))]
        assert (len(rows), set(rows)) == (len(broken), broken)
        assert repair().counts["ON_HAND"] == 5
        assert {kind for kind, *_ in found(reconcile(ACTOR))} == {"IN_TRANSIT"}


def test_findings_past_the_limit_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "_KEPT_OF_A_KIND", 3)
    break_everything()
    run = reconcile(ACTOR)
    assert run.finding_count == ReconciliationRun.objects.get(pk=run.id).finding_count == 25
    assert ReconciliationFinding.objects.filter(run_id=run.id).count() == 15
    assert "… and 10 more." in command()[1]


def test_a_scope_is_a_warehouse_or_a_product_with_its_variants() -> None:
    parent = make_product()
    one, other = receive(make_variant(parent), 10), make_level(10, "wh-002")
    held = hold((one, 1))
    make_due(held.id, ago=LATER)
    make_due(hold((make_level(10), 1)).id, ago=LATER)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    of_parent = reconcile(ACTOR, ReconciliationScope(product_id=parent.id))
    assert found(of_parent) == [("LONG_DUE", held.id, None, None), ("ON_HAND", one.id, 10, 11)]
    assert of_parent.levels_checked == stock.count_levels(of_parent.scope) == 1
    of_warehouse = reconcile(ACTOR, ReconciliationScope(warehouse_id=other.warehouse_id))
    assert found(of_warehouse) == [("ON_HAND", other.id, 10, 11)]

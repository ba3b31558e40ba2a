"""Each level that a transaction changes has one event, which says what the level is like and why it changed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from audit.models import OutboxEvent
from inventory.locking import LevelChange, lock_levels
from inventory.models import Product, StockLevel, Store, Warehouse
from inventory.services.stock import import_places, imports
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.level_events import MOST_CAUSES, changed_event
from inventory.services.stock.level_settings import set_level
from reservations.services.bookkeeping.reconciliation import Repair, reconcile
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.factories import (
    ACTOR,
    hold,
    hold_request,
    make_due,
    make_level,
    make_product,
    make_store,
    make_variant,
    published,
    receive,
)
from tests.replica import Replica, last_event

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
EVENT = "InventoryLevelChangedEvent"


def release(held: Any) -> None:
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=held.id)))


def sweep(held: Any) -> None:
    make_due(held.id)
    expire_due_holds()


ENDS = pytest.mark.parametrize("end", [release, sweep])
"""By Python, which has locked and read the level, and by a statement that reads no rows."""


def test_a_new_level_begins_the_chain_and_what_changes_it_continues_it() -> None:
    level = make_level(10)
    held = hold((level, 3))
    sold = hold((level, 2))
    consume_hold(ConsumeRequest(ACTOR, "o", Selector(reservation_id=sold.id)))
    release(held)
    events = published(EVENT)
    assert [(e["previousVersion"], e["previous"]["onHand"], e["new"]["onHand"]) for e in events[:2]] == [
        (0, 0, 0),
        (1, 0, 10),
    ]
    assert [(e["new"]["onHand"], e["new"]["reserved"], e["new"]["available"]) for e in events[2:]] == [
        (10, 3, 7),
        (10, 5, 5),
        (8, 3, 5),
        (8, 0, 8),
    ]
    replica = Replica()
    replica.assert_equals_the_levels()
    replica.assert_causes_exist()
    assert {e["warehouseId"] for e in events} == {"wh-001"}
    assert {e["productId"] for e in events} == {str(level.product_id)}
    assert set(OutboxEvent.objects.filter(type=EVENT).values_list("key", flat=True)) == {str(level.pk)}


def test_a_batch_on_one_level_is_one_event_with_all_causes() -> None:
    level, other = make_level(10), make_level(10)
    place_holds([hold_request((level, 1)), hold_request((level, 2), (other, 1)), hold_request((level, 1))])
    reserved = [event["eventId"] for event in published("InventoryReservedEvent")]
    assert last_event(level)["cause"] == reserved
    assert last_event(other)["cause"] == [reserved[1]]
    assert (last_event(level)["previous"]["reserved"], last_event(level)["new"]["reserved"]) == (0, 4)


@ENDS
def test_the_end_of_a_hold_is_the_cause(end: Callable[[Any], None]) -> None:
    level = make_level(10)
    end(hold((level, 4)))
    (released,) = published("InventoryReleasedEvent")
    event = last_event(level)
    assert event["cause"] == [released["eventId"]]
    assert released["reason"] == ("expired" if end is sweep else "")
    assert event["previous"] == {"onHand": 10, "reserved": 4, "available": 6}
    assert event["new"] == {"onHand": 10, "reserved": 0, "available": 10}
    assert event["timestamp"] == released["timestamp"]


@ENDS
def test_a_variant_has_both_ids(end: Callable[[Any], None]) -> None:
    parent = make_product()
    level = receive(make_variant(parent), 5)
    end(hold((level, 1)))
    assert (last_event(level)["productId"], last_event(level)["variantId"]) == (str(parent.id), str(level.product_id))


def test_a_sweep_names_the_events_of_each_level() -> None:
    levels = [make_level(10) for _ in range(3)]
    held = [hold((levels[0], 1), (levels[1], 2)), hold((levels[1], 1)), hold((levels[2], 1))]
    make_due(*(each.id for each in held))
    expire_due_holds()
    by_hold = {event["reservationId"]: event["eventId"] for event in published("InventoryReleasedEvent")}
    ids = [by_hold[each.public_id] for each in held]
    causes = [set(last_event(level)["cause"]) for level in levels]
    assert causes == [{ids[0]}, {ids[0], ids[1]}, {ids[2]}]
    Replica().assert_equals_the_levels()


CLOSED: dict[str, Callable[[StockLevel], object]] = {
    "product": lambda level: Product.objects.filter(pk=level.product_id).update(is_active=False),
    "parent": lambda level: Product.objects.filter(variants=level.product_id).update(is_active=False),
    "listing": lambda level: Product.objects.filter(pk=level.product_id).update(listing_expires_at=Now()),
    "listing of the parent": lambda level: Product.objects.filter(variants=level.product_id).update(
        listing_expires_at=Now()
    ),
    "warehouse": lambda level: Warehouse.objects.filter(code="wh-001").update(is_active=False),
    "frozen product": lambda level: Product.objects.filter(pk=level.product_id).update(frozen_at=Now()),
    "frozen parent": lambda level: Product.objects.filter(variants=level.product_id).update(frozen_at=Now()),
    "frozen warehouse": lambda level: Warehouse.objects.filter(code="wh-001").update(frozen_at=Now()),
    "frozen stores": lambda level: Store.objects.update(frozen_at=Now()),
}


@ENDS
@pytest.mark.parametrize("closed", CLOSED)
def test_nothing_is_sellable_where_nothing_may_be_sold(closed: str, end: Callable[[Any], None]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = receive(make_variant(make_product()), 10)
    held, again = hold((level, 4)), hold((level, 1))
    end(again)
    assert last_event(level)["sellable"] == {"main": 6, "outlet": 6}
    CLOSED[closed](level)
    end(held)
    assert last_event(level)["sellable"] == {"main": 0, "outlet": 0}
    assert last_event(level)["new"]["available"] == 10
    Replica().assert_equals_the_levels()


@ENDS
def test_each_store_of_the_warehouse_has_its_units_less_the_safety_stock(
    end: Callable[[Any], None],
) -> None:
    make_store("outlet", "wh-001", is_default=False)
    make_store("abroad", "wh-002", is_default=False)
    Store.objects.filter(code="outlet").update(frozen_at=Now())
    level = make_level(10)
    set_level(ACTOR, level.product_id, "wh-001", changes={"min_stock_level": 3}, claim=None)
    first, second = hold((level, 2)), hold((level, 5))
    assert last_event(level)["sellable"] == {"main": 0, "outlet": 0}
    end(second)
    assert last_event(level)["sellable"] == {"main": 5, "outlet": 0}
    assert last_event(level)["safetyStock"] == 3
    end(first)
    Replica().assert_equals_the_levels()


@ENDS
def test_a_warehouse_without_stores_is_sellable_in_none(end: Callable[[Any], None]) -> None:
    level = make_level(10)
    held = hold((level, 2))
    Store.objects.get(code="main").sources.all().delete()
    end(held)
    assert last_event(level)["sellable"] == {}


def test_changed_settings_continue_the_chain_and_have_no_cause() -> None:
    level = make_level(10)
    set_level(ACTOR, level.product_id, "wh-001", changes={"min_stock_level": 4, "zone": "A"}, claim=None)
    event = last_event(level)
    assert (event["cause"], event["safetyStock"], event["sellable"]) == ([], 4, {"main": 6})
    assert event["previous"] == event["new"]
    receive(level.product_id, 1)
    Replica().assert_equals_the_levels()


def test_what_changes_no_counter_of_a_level_changes_no_level() -> None:
    level = make_level(10)
    before = len(published(EVENT))
    hold((level, 5))
    assert len(published(EVENT)) == before + 1
    version = last_event(level)["version"]
    make_store("other", "wh-001", is_default=False)
    assert last_event(level)["version"] == version


def test_a_file_in_pieces_is_one_event_for_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (imports, import_places):
        monkeypatch.setattr(module, "BATCH", 2)
    levels = [make_level(10) for _ in range(3)]
    skus = [level.product.sku for level in levels]
    given = {"warehouse": "wh-001", "type": "RECEIPT", "reason": "delivery"}
    lines = [given | {"sku": sku, "quantity": str(units)} for units in (1, 2, 3) for sku in skus]
    rows = [",".join(COLUMNS), *(",".join(line.get(name, "") for name in COLUMNS) for line in lines)]
    before = len(published(EVENT))
    imports.import_stock(ACTOR, read_file("stock.csv", "\n".join(rows).encode()))
    assert len(published(EVENT)) == before + len(levels)
    for level in levels:
        event = last_event(level)
        assert event["new"]["onHand"] - event["previous"]["onHand"] == 6
        assert len(event["cause"]) == 3
    replica = Replica()
    replica.assert_equals_the_levels()
    replica.assert_causes_exist()


def test_a_forced_correction_names_the_broken_holds_and_the_adjustment() -> None:
    level, other = make_level(10), make_level(10)
    hold((level, 8), (other, 1))
    apply_adjustments(
        AdjustRequest(ACTOR, (Adjustment(level.product_id, None, "wh-001", -5, "ADJUSTMENT", "lost", force=True),))
    )
    (released,), (broken,) = published("InventoryReleasedEvent"), published("InventoryReservationBrokenEvent")
    assert released["reason"] == "shortage"
    adjusted = published("StockAdjustedEvent")[-1]
    assert last_event(level)["cause"] == [each["eventId"] for each in (released, broken, adjusted)]
    assert last_event(other)["cause"] == [each["eventId"] for each in (released, broken)]
    Replica().assert_equals_the_levels()


def test_a_repair_continues_the_chain_from_what_it_found() -> None:
    level, other = make_level(10), make_level(10)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = 7 WHERE id = %s", [level.pk])
        cursor.execute("SET LOCAL inventory.archiving = 'on'")
        cursor.execute("DELETE FROM inventory_movement WHERE level_id = %s", [other.pk])
    receive(other.product_id, 2)
    reconcile(ACTOR, repair=Repair("restored"))
    events = {event["productId"]: event for event in published("StockReconciledEvent")}
    mended, supplemented = published(EVENT)[-2:]
    if mended["productId"] != str(level.product_id):
        mended, supplemented = supplemented, mended
    assert (mended["previous"]["onHand"], mended["new"]["onHand"]) == (7, 10)
    assert mended["cause"] == [events[str(level.product_id)]["eventId"]]
    supplied = published("StockAdjustedEvent")[-1]
    assert (supplied["productId"], supplied["quantity"], supplied["reason"]) == (str(other.product_id), 10, "restored")
    assert (supplied["previousStock"], supplied["newStock"]) == (2, 12)
    assert supplemented["cause"] == [events[str(other.product_id)]["eventId"], supplied["eventId"]]
    assert [(each["version"] - each["previousVersion"]) for each in (mended, supplemented)] == [1, 1]


def test_an_event_names_at_most_so_many_causes() -> None:
    level = make_level(10)
    counters = lock_levels([level.pk]).by_id[level.pk]
    assert counters.facts
    ids = [f"ev-{number}" for number in range(MOST_CAUSES + 1)]
    row = changed_event(level.pk, counters.facts, counters, LevelChange(bumps=1, causes=ids))
    assert row.event.cause == ids[:MOST_CAUSES]  # type: ignore[attr-defined]


def test_switched_off_nothing_is_written_and_no_statement_knows_of_it(settings: Any) -> None:
    settings.LEVEL_EVENTS = False
    level = make_level(10)
    with CaptureQueriesContext(connection) as queries:
        release(hold((level, 1)))
        sweep(hold((level, 1)))
        receive(level.product_id, 1)
        receive(make_product(), 1)
        set_level(ACTOR, level.product_id, "wh-001", changes={"min_stock_level": 1}, claim=None)
    assert not OutboxEvent.objects.filter(type=EVENT).exists()
    for query in queries.captured_queries:
        assert "InventoryLevelChangedEvent" not in query["sql"]
        assert "sellable" not in query["sql"]
        locks = "FOR NO KEY UPDATE" in query["sql"] and "inventory_stocklevel" in query["sql"]
        assert not (locks and "inventory_storewarehouse" in query["sql"])


def test_after_it_was_off_the_chain_shows_the_gap(settings: Any) -> None:
    level = make_level(10)
    known = last_event(level)["version"]
    settings.LEVEL_EVENTS = False
    hold((level, 1))
    settings.LEVEL_EVENTS = True
    hold((level, 1))
    assert published(EVENT)[-1]["previousVersion"] > known

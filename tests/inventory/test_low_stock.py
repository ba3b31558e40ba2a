"""Low-stock alerts: at most one open per level, published once, resolved when the level has recovered."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.actors import Actor
from audit.errors import Invalid, NotFound
from inventory import planning
from inventory.errors import AlertResolved
from inventory.models import LowStockAlert, Product, StockLevel
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import EnteredCount, EnterRequest, enter_counts
from inventory.services.counts.opening import Opened, OpenRequest, open_count
from inventory.services.counts.posting import PostRequest, post_count
from inventory.services.low_stock import alerts as low_stock
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.transfers.commands import MoveLine, TransferRequest, start_transfer
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.factories import (
    ACTOR,
    hold,
    hold_request,
    make_due,
    make_level,
    make_store,
    make_variant,
    make_warehouse,
    published,
    receive,
    recorded,
    severities,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def watched(quantity: int = 100, **fields: Any) -> StockLevel:
    """A level that is low at 20 and critical at 5."""
    return make_level(quantity, **{"reorder_point": 20, "reorder_quantity": 30, **fields})


def adjust(level: StockLevel, quantity: int) -> None:
    line = Adjustment(level.product_id, None, level.warehouse.code, quantity, "ADJUSTMENT", "counted")
    apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))


def count_to(level: StockLevel, units: int) -> None:
    ref = ProductRef(level.product_id)
    opened = open_count(OpenRequest(ACTOR, "wh-001", "PRODUCTS", products=(ref,)))
    assert isinstance(opened, Opened)
    enter_counts(EnterRequest(ACTOR, opened.count.id, (EnteredCount(ref, units),)))
    post_count(PostRequest(ACTOR, opened.count.id))


def alerts() -> list[tuple[str, int, bool]]:
    """(severity, available, whether it is open) of all alerts, the oldest first."""
    found = LowStockAlert.objects.order_by("opened_at", "id")
    return [(alert.severity, alert.available, alert.resolved_at is None) for alert in found]


# --- crossing ------------------------------------------------------------------------------------------------------


def test_a_hold_that_crosses_the_line_opens_and_publishes_an_alert() -> None:
    level = watched()
    hold((level, 79))
    assert alerts() == []
    hold((level, 2))
    assert alerts() == [("LOW", 19, True)]
    (event,) = published("LowStockAlertEvent")
    assert event.keys() == {
        "eventId",
        "productId",
        "warehouseId",
        "currentStock",
        "reorderPoint",
        "severity",
        "timestamp",
    }
    assert event["eventId"].startswith("ev-")
    assert (event["productId"], event["warehouseId"]) == (str(level.product_id), "wh-001")
    assert (event["currentStock"], event["reorderPoint"], event["severity"]) == (19, 20, "LOW")
    assert datetime.fromisoformat(event["timestamp"]) == LowStockAlert.objects.get().opened_at


def test_a_variants_event_names_its_parent_too() -> None:
    level = watched()
    variant = make_variant(level.product)
    there = receive(variant, 50)
    StockLevel.objects.filter(pk=there.pk).update(max_stock_level=100)
    hold((there, 40))
    (event,) = published("LowStockAlertEvent")
    assert (event["productId"], event["variantId"]) == (str(level.product_id), str(variant.id))
    assert (event["reorderPoint"], event["severity"]) == (None, "CRITICAL")


@pytest.mark.parametrize("path", ["reserve", "basket", "adjust", "force", "count", "transfer", "reacquire"])
def test_every_path_that_lowers_available_crosses(path: str) -> None:
    level = watched()
    if path == "reserve":
        hold((level, 85))
    elif path == "basket":
        put_basket(hold_request((level, 85), cart_id="c"))
    elif path == "adjust":
        adjust(level, -85)
    elif path == "force":
        line = Adjustment(level.product_id, None, "wh-001", -85, "ADJUSTMENT", "stolen", force=True)
        apply_adjustments(AdjustRequest(ACTOR, (line,)))
    elif path == "count":
        count_to(level, 15)
    elif path == "transfer":
        start_transfer(TransferRequest(ACTOR, (MoveLine(level.product_id, None, 85, "wh-001", "wh-002"),)))
    else:
        dead = hold((level, 85), order_id="o")
        make_due(dead.id)
        expire_due_holds()
        LowStockAlert.objects.all().delete()
        consume_hold(ConsumeRequest(ACTOR, "o", Selector(reservation_id=dead.id), reacquire=True))
    assert alerts() == [("LOW", 15, True)]


def test_a_full_cycle_of_a_level_is_two_alerts_and_the_books_balance() -> None:
    level = watched()
    for _ in range(2):
        made = hold((level, 95), order_id="o")
        release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
        assert low_stock.resolve_recovered() == 1
    assert alerts() == [("CRITICAL", 5, False)] * 2
    assert severities() == ["CRITICAL"] * 2
    assert_books_balance()


def test_what_is_reserved_is_left_out_and_a_sale_of_it_changes_nothing() -> None:
    level = watched()
    made = hold((level, 85), order_id="o")
    consume_hold(ConsumeRequest(ACTOR, "o", Selector(reservation_id=made.id)))
    level.refresh_from_db()
    assert (level.on_hand, level.reserved, level.available) == (15, 0, 15)
    assert (alerts(), severities()) == ([("LOW", 15, True)], ["LOW"])


def test_what_a_count_takes_from_holds_as_well_does_not_cross() -> None:
    level = watched()
    hold((level, 70))
    count_to(level, 30)
    level.refresh_from_db()
    assert (level.on_hand, level.available, alerts()) == (30, 30, [])


def test_getting_worse_worsens_the_alert_and_publishes_again() -> None:
    level = watched()
    hold((level, 85))
    hold((level, 5))
    assert severities() == ["LOW"]
    hold((level, 6))
    assert alerts() == [("CRITICAL", 4, True)]
    assert severities() == ["LOW", "CRITICAL"]
    alert = LowStockAlert.objects.get()
    assert alert.worsened_at is not None
    assert alert.worsened_at > alert.opened_at


def test_what_is_critical_at_once_has_never_worsened() -> None:
    hold((watched(), 98))
    alert = LowStockAlert.objects.get()
    assert (alert.severity, alert.worsened_at) == ("CRITICAL", None)
    assert severities() == ["CRITICAL"]


def test_a_level_that_goes_up_and_down_at_its_line_is_published_once() -> None:
    level = watched()
    hold((level, 79))
    for _ in range(5):
        made = hold((level, 1))
        release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
        assert low_stock.resolve_recovered() == 0
    assert alerts() == [("LOW", 20, True)]
    assert severities() == ["LOW"]


def test_a_batch_counts_as_one_change() -> None:
    level = watched()
    place_holds([hold_request((level, 40)), hold_request((level, 41)), hold_request((level, 15))])
    assert (alerts(), severities()) == ([("CRITICAL", 4, True)], ["CRITICAL"])


def test_a_level_without_settings_is_not_watched() -> None:
    hold((make_level(10), 10))
    assert (alerts(), published("LowStockAlertEvent")) == ([], [])


def test_a_refused_hold_opens_nothing() -> None:
    level = watched()
    place_holds([hold_request((level, 101))])
    assert alerts() == []


# --- statements ----------------------------------------------------------------------------------------------------


def sent(work: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        work()
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


def test_crossing_adds_no_statement_however_many_levels_cross() -> None:
    make_warehouse()
    products = Product.objects.bulk_create(Product(sku=f"S{number}", name="n") for number in range(200))
    received = tuple(Adjustment(product.id, None, "wh-001", 100, "RECEIPT", "r") for product in products)
    apply_adjustments(AdjustRequest(ACTOR, received))
    levels = list(StockLevel.objects.all())
    place_holds([hold_request(*((level, 1) for level in levels))])  # Fills the cache of the catalogue.
    unwatched = sent(lambda: place_holds([hold_request(*((level, 1) for level in levels))]))
    assert not any("lowstockalert" in sql for sql in unwatched)
    StockLevel.objects.update(reorder_point=20)
    still = sent(lambda: place_holds([hold_request(*((level, 1) for level in levels))]))
    assert not any("lowstockalert" in sql for sql in still)
    few = sent(lambda: place_holds([hold_request((levels[0], 79))]))
    many = sent(lambda: place_holds([hold_request(*((level, 79) for level in levels[1:]))]))
    assert len(unwatched) == len(still) == len(few) == len(many)
    assert sum("lowstockalert" in sql for sql in many) == 1
    assert LowStockAlert.objects.count() == len(severities()) == 200


# --- what the beat finds -------------------------------------------------------------------------------------------


def test_a_changed_setting_is_found_by_the_beat_and_published_once() -> None:
    level = make_level(10)
    assert low_stock.raise_missed() == 0
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=20)
    assert low_stock.raise_missed() == 1
    assert low_stock.raise_missed() == 0
    StockLevel.objects.filter(pk=level.pk).update(max_stock_level=1000)
    assert low_stock.raise_missed() == 1
    assert low_stock.raise_missed() == 0
    assert alerts() == [("CRITICAL", 10, True)]
    assert severities() == ["LOW", "CRITICAL"]


def test_the_beat_works_through_more_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_stock, "_BATCH", 2)
    levels = [make_level(10) for _ in range(5)]
    StockLevel.objects.update(reorder_point=20)
    assert low_stock.raise_missed() == 5
    for level in levels:
        adjust(level, 100)
    assert low_stock.resolve_recovered() == 5
    assert [is_open for _, _, is_open in alerts()] == [False] * 5


def test_an_alert_is_over_once_the_level_is_clear_of_its_line() -> None:
    level = watched()
    hold((level, 79))
    made = [hold((level, 1)).id for _ in range(4)]
    for id_ in made[:3]:
        release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=id_)))
    adjust(level, 2)
    assert low_stock.resolve_recovered() == 0
    adjust(level, 1)
    assert low_stock.resolve_recovered() == 1
    assert alerts() == [("LOW", 20, False)]
    adjust(level, -10)
    assert [is_open for _, _, is_open in alerts()] == [False, True]
    assert severities() == ["LOW", "LOW"]


def test_an_alert_whose_level_is_watched_no_more_is_over() -> None:
    level = watched()
    hold((level, 90))
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=None, reorder_quantity=None)
    assert low_stock.resolve_recovered() == 1


def test_swept_holds_resolve_an_alert_at_the_next_beat() -> None:
    level = watched()
    make_due(hold((level, 90)).id)
    expire_due_holds()
    assert alerts() == [("LOW", 10, True)]
    assert low_stock.resolve_recovered() == 1


_units = st.integers(0, 2_000_000_000) | st.integers(0, 30)


@settings(max_examples=150)
@given(
    available=_units,
    reorder_point=st.none() | _units,
    reorder_quantity=st.none() | _units.filter(bool),
    max_stock_level=st.none() | _units.filter(bool),
    safety_stock=st.just(0) | _units,
    parts=st.sampled_from([1, 50_000, 200_000, 333_333, 1_000_000]),
)
def test_python_and_the_database_agree_on_what_is_low(
    *,
    available: int,
    reorder_point: int | None,
    reorder_quantity: int | None,
    max_stock_level: int | None,
    safety_stock: int,
    parts: int,
) -> None:
    if reorder_point is not None and max_stock_level is not None:
        reorder_point, max_stock_level = min(reorder_point, max_stock_level), max(reorder_point, max_stock_level)
    level = StockLevel.objects.first() or make_level(1)
    StockLevel.objects.filter(pk=level.pk).update(
        on_hand=available,
        reorder_point=reorder_point,
        reorder_quantity=reorder_quantity,
        max_stock_level=max_stock_level,
        min_stock_level=safety_stock,
    )
    level = StockLevel.objects.get(pk=level.pk)
    expected = planning.severity(level, available, parts)
    found = StockLevel.objects.low(parts).first()
    assert (found and ("CRITICAL" if found.is_critical else "LOW")) == expected
    LowStockAlert.objects.all().delete()
    LowStockAlert.objects.create(level=level, severity="LOW", available=0, opened_at=timezone.now())
    line = planning.resolve_line(level)
    assert LowStockAlert.objects.recovered().exists() == (line is None or available > line)


# --- staff ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def alert() -> LowStockAlert:
    hold((watched(), 85))
    return LowStockAlert.objects.get()


def test_the_first_acknowledgement_is_recorded_and_kept(alert: LowStockAlert) -> None:
    assert isinstance(low_stock.acknowledge(alert.id, ACTOR, note="on it"), LowStockAlert)
    other = Actor(name="bob", client_id=None, request_id="", source="admin")
    again = low_stock.acknowledge(alert.id, other)
    assert isinstance(again, LowStockAlert)
    alert.refresh_from_db()
    assert (alert.acknowledged_by, again.acknowledged_by) == (ACTOR.name, ACTOR.name)
    (entry,) = recorded("inventory_alert_acknowledged")
    assert (entry.actor, entry.subject_id, entry.changes) == (ACTOR.name, alert.id, {"note": "on it"})


def test_a_snooze_is_recorded_and_can_be_ended(alert: LowStockAlert) -> None:
    until = timezone.now() + timedelta(days=1)
    low_stock.snooze(alert.id, until, ACTOR)
    assert not LowStockAlert.objects.not_snoozed().exists()
    low_stock.snooze(alert.id, None, ACTOR)
    assert LowStockAlert.objects.not_snoozed().exists()
    assert len(recorded("inventory_alert_snoozed")) == 2


def test_a_snooze_ends_in_the_future(alert: LowStockAlert) -> None:
    with pytest.raises(Invalid):
        low_stock.snooze(alert.id, timezone.now() - timedelta(seconds=1), ACTOR)
    assert recorded("inventory_alert_snoozed") == []


def test_a_worse_alert_is_neither_acknowledged_nor_snoozed(alert: LowStockAlert) -> None:
    low_stock.acknowledge(alert.id, ACTOR)
    low_stock.snooze(alert.id, timezone.now() + timedelta(days=1), ACTOR)
    adjust(alert.level, -15)
    alert.refresh_from_db()
    assert (alert.severity, alert.acknowledged_at, alert.acknowledged_by) == ("CRITICAL", None, "")
    assert alert.snoozed_until is None


def test_a_resolved_alert_can_not_be_changed(alert: LowStockAlert) -> None:
    adjust(alert.level, 100)
    low_stock.resolve_recovered()
    with pytest.raises(AlertResolved):
        low_stock.acknowledge(alert.id, ACTOR)
    with pytest.raises(AlertResolved):
        low_stock.snooze(alert.id, None, ACTOR)


def test_another_stores_alert_does_not_exist(alert: LowStockAlert) -> None:
    make_store("outlet", "wh-009", is_default=False)
    outlet = Actor(name="bob", client_id=None, request_id="", source="api", store_codes=("outlet",))
    with pytest.raises(NotFound):
        low_stock.acknowledge(alert.id, outlet)
    with pytest.raises(NotFound):
        low_stock.snooze(alert.id, None, outlet)
    with pytest.raises(NotFound):
        low_stock.acknowledge(uuid4(), ACTOR)

"""When several commands cross a low-stock line at once, one alert is opened."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from inventory.models import AlertSubscription, LowStockAlert, StockLevel, Warehouse
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock import digests
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.services.holds.placing import place_hold
from tests.concurrency.statements import checked
from tests.concurrency.threads import stranger, together
from tests.factories import ACTOR, hold, hold_request, make_level, severities

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def test_two_buyers_who_cross_a_line_together_open_and_publish_one_alert() -> None:
    level = make_level(100, reorder_point=20, reorder_quantity=30)
    hold((level, 75))
    together(*(lambda: place_hold(hold_request((level, 5))) for _ in range(2)))
    alert = LowStockAlert.objects.get()
    assert (alert.severity, alert.available, severities()) == ("LOW", 20, ["LOW"])


def test_many_buyers_to_the_last_unit_open_one_alert_that_worsens_once() -> None:
    level = make_level(60, reorder_point=20, reorder_quantity=30)
    together(*(lambda: place_hold(hold_request((level, 6))) for _ in range(12)))
    level.refresh_from_db()
    assert level.available == 0
    assert LowStockAlert.objects.get().severity == "CRITICAL"
    assert severities() == ["LOW", "CRITICAL"]


def test_buyers_and_the_beat_open_one_alert() -> None:
    level = make_level(25)
    StockLevel.objects.update(reorder_point=24)
    together(lambda: place_hold(hold_request((level, 5))), low_stock.raise_missed, low_stock.raise_missed)
    low_stock.raise_missed()
    assert LowStockAlert.objects.get().severity == "LOW"
    assert severities() == ["LOW"]


def test_a_level_that_falls_while_its_alert_is_resolved_has_an_open_one_in_the_end() -> None:
    for _ in range(5):
        level = make_level(25, reorder_point=20)
        hold((level, 10))
        line = Adjustment(level.product_id, None, "wh-001", 10, "RECEIPT", "r")
        apply_adjustments(AdjustRequest(ACTOR, (line,)))
        together(low_stock.resolve_recovered, lambda level=level: place_hold(hold_request((level, 15))))  # type: ignore[misc]
        low_stock.resolve_recovered()
        assert LowStockAlert.objects.filter(level=level, resolved_at=None).count() == 1


def test_the_beat_leaves_levels_that_are_locked_elsewhere() -> None:
    locked, free = make_level(10), make_level(10)
    StockLevel.objects.update(reorder_point=20)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [locked.id])
        assert together(low_stock.raise_missed, seconds=5) == [1]
    assert LowStockAlert.objects.get().level_id == free.id
    assert low_stock.raise_missed() == 1


def test_staff_and_a_buyer_who_worsens_the_alert_do_not_deadlock() -> None:
    until = timezone.now() + timedelta(days=1)
    for _ in range(5):
        level = make_level(100, reorder_point=20, reorder_quantity=30)
        hold((level, 85))
        alert = LowStockAlert.objects.get(level=level)
        together(
            lambda alert=alert: low_stock.snooze(alert.id, until, ACTOR),  # type: ignore[misc]
            lambda level=level: place_hold(hold_request((level, 15))),  # type: ignore[misc]
        )
        alert.refresh_from_db()
        assert alert.severity == "CRITICAL"


def test_a_crossing_keeps_the_lock_order() -> None:
    level = make_level(100, reorder_point=20)
    checked(lambda: place_hold(hold_request((level, 90))))
    checked(lambda: low_stock.raise_missed() or place_hold(hold_request((level, 1))))
    assert severities() == ["LOW"]


def test_two_beats_at_once_send_a_digest_once() -> None:
    hold((make_level(100, reorder_point=20), 90))
    AlertSubscription.objects.create(warehouse=Warehouse.objects.get(code="wh-001"), email="ada@example.com")
    assert sorted(together(*(digests.send_digests for _ in range(3)))) == [0, 0, 1]
    assert len(mail.outbox) == 1


def test_an_alert_that_is_just_worsening_is_news_for_the_next_digest() -> None:
    worsening, other = make_level(100, reorder_point=20), make_level(100, reorder_point=20)
    hold((worsening, 85), (other, 85))
    AlertSubscription.objects.create(warehouse=Warehouse.objects.get(code="wh-001"), email="ada@example.com")
    with stranger() as buyer:
        buyer.execute(
            "UPDATE inventory_lowstockalert SET severity = 'CRITICAL', worsened_at = now(), notified_at = NULL "
            "WHERE level_id = %s",
            [worsening.id],
        )
        assert together(digests.send_digests, seconds=5) == [1]
        buyer.commit()
    told_of = [worsening.product.sku in str(message.body) for message in mail.outbox]
    assert told_of == [False]
    assert digests.send_digests() == 1
    assert "BECAME CRITICAL" in str(mail.outbox[-1].body)

"""What each command is counted as: its effects, once each, and only those that were committed."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
from django.db import connection
from pytest_django import Settings

from audit.errors import Busy, DomainError
from audit.models import OutboxEvent
from inventory import transactions
from inventory.models import Product, StockLevel
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.transactions import LockedElsewhere, Patience
from reservations.models import Reservation
from reservations.services.holds import documents
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import place_hold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.counts import counted as count_levels
from tests.counts import post
from tests.factories import ACTOR, hold, hold_request, lines, make_due, make_level, receive
from tests.metrics import Counted, counted
from tests.orders import sending

__all__ = ["counted"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

R: Final = "inventory_reservation_"
M: Final = "inventory_movement_processed_total"
EFFECTS: Final = (R, M, "inventory_low_stock_alerts", "inventory_idempotent", "inventory_lock_retries")
Changes = dict[str, float]


def made(level: StockLevel, *, due: bool = False, **fields: Any) -> documents.Hold:
    held = hold((level, 2), **fields)
    if due:
        make_due(held.id, ago=timedelta(seconds=42))
    return held


def quietly(command: Callable[[], Any]) -> None:
    """Run a command that may be refused."""
    with suppress(DomainError):
        command()


def by(held: documents.Hold) -> Selector:
    return Selector(reservation_id=held.id)


def release(selector: Selector, reason: str = "") -> None:
    release_hold(ReleaseRequest(ACTOR, selector, reason))


def consume(selector: Selector, *, reacquire: bool = False) -> None:
    consume_hold(ConsumeRequest(ACTOR, "order", selector, reacquire=reacquire))


def adjust(level: StockLevel, quantity: int, type_: str, **fields: Any) -> None:
    line = Adjustment(level.product_id, None, "wh-001", quantity, type_, "tests", **fields)
    apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))


def a_hold(level: StockLevel) -> Changes:
    made(level)
    return {R + "created_total": 1}


def two_holds_and_two_refusals_of_a_batch(level: StockLevel) -> Changes:
    Product.objects.filter(pk=(closed := make_level(5)).product_id).update(is_active=False)
    requests = [(level, 4), (level, 4), (level, 4), (closed, 1)]
    place_holds([hold_request(each) for each in requests], Patience(0.1, 0))
    return {
        R + "created_total": 2,
        R + "failed_total{insufficient_stock}": 1,
        R + "failed_total{product_inactive}": 1,
        M + "{RECEIPT}": 1,
    }


def a_hold_that_frees_due_ones(level: StockLevel) -> Changes:
    made(level, due=True)
    hold((level, 10))
    return {R + "created_total": 2, R + "expired_total": 1}


def a_hold_without_a_store(level: StockLevel) -> Changes:
    quietly(lambda: place_hold(hold_request((level, 1), store="nowhere")))
    return {R + "failed_total{unknown_store}": 1}


def an_extension_and_a_second_one(level: StockLevel) -> Changes:
    request = ExtendRequest(ACTOR, Selector(made(level).id), 5)
    extend_hold(request)
    quietly(lambda: extend_hold(request))
    return {R + "created_total": 1, R + "extended_total": 1}


def releases_for_each_reason(level: StockLevel) -> Changes:
    for reason in ("", "changed her mind", "cart emptied", "payment expired"):
        release(by(held := made(level)), reason)
        release(by(held), reason)
    return {
        R + "created_total": 4,
        R + "released_total{requested}": 2,
        R + "released_total{cart_emptied}": 1,
        R + "released_total{payment_expired}": 1,
    }


def a_release_of_a_due_hold(level: StockLevel) -> Changes:
    release(by(made(level, due=True)))
    return {R + "created_total": 1, R + "expired_total": 1}


def a_sale_twice(level: StockLevel) -> Changes:
    held = made(level)
    consume(by(held))
    consume(by(held))
    return {R + "created_total": 1, R + "consumed_total": 1, M + "{SHIPMENT}": 1}


def a_late_payment(level: StockLevel) -> Changes:
    consume(by(made(level, due=True)), reacquire=True)
    return {R + "created_total": 2, R + "expired_total": 1, R + "consumed_total": 1, M + "{SHIPMENT}": 1}


def a_late_payment_whose_units_are_gone(level: StockLevel) -> Changes:
    held = made(level, due=True)
    hold((level, 10))
    quietly(lambda: consume(by(held), reacquire=True))
    return {R + "created_total": 2, R + "expired_total": 1, R + "failed_total{insufficient_stock}": 1}


def a_basket_that_grows_and_fails(level: StockLevel) -> Changes:
    put_basket(hold_request((level, 1), cart_id="c"))
    made(level, cart_id="c")
    put_basket(hold_request((level, 4), cart_id="c"))
    quietly(lambda: put_basket(hold_request((level, 11), cart_id="c")))
    return {R + "created_total": 2, R + "released_total{cart_merged}": 1, R + "failed_total{insufficient_stock}": 1}


def a_count_that_breaks_a_hold(level: StockLevel) -> Changes:
    made(level)
    post(count_levels((level, 1)))
    return {R + "created_total": 1, R + "released_total{shortage}": 1, M + "{ADJUSTMENT}": 1}


def movements_of_each_type(level: StockLevel) -> Changes:
    adjust(level, 5, "RECEIPT")
    adjust(level, 2, "SHIPMENT")
    adjust(level, -1, "ADJUSTMENT")
    adjust(level, 1, "RETURN")
    quietly(lambda: adjust(level, 1000, "SHIPMENT"))
    return {f"{M}{{{type_}}}": 1 for type_ in ("RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN")}


def levels_that_become_low(level: StockLevel) -> Changes:
    low = make_level(10, reorder_point=5)
    hold((low, 5))
    hold((low, 1))
    hold((low, 4))
    retired = make_level(10, reorder_point=5)
    Product.objects.filter(pk=retired.product_id).update(is_active=False)
    adjust(retired, -9, "ADJUSTMENT")
    return {
        R + "created_total": 3,
        M + "{RECEIPT}": 2,
        M + "{ADJUSTMENT}": 1,
        "inventory_low_stock_alerts_total": OutboxEvent.objects.filter(type="LowStockAlertEvent").count() or 99,
    }


def events_of_orders(level: StockLevel) -> Changes:
    order = sending.created("o-1", (level, 2))
    sending.receive(
        order, sending.completed("o-1"), sending.created("o-2", (level, 9)), sending.created("o-3", (level, 1))
    )
    sending.receive(order, sending.payment_expired("o-3"))
    return {
        R + "created_total": 2,
        R + "consumed_total": 1,
        R + "failed_total{insufficient_stock}": 1,
        R + "released_total{payment_expired}": 1,
        M + "{SHIPMENT}": 1,
    }


def busy_is_no_refusal_of_a_batch_but_of_a_request(level: StockLevel) -> Changes:
    def busy(*_: Any, **__: Any) -> Any:
        raise LockedElsewhere

    patch = pytest.MonkeyPatch()
    patch.setattr("reservations.services.holds.placing.hold_all", busy)
    with patch.context():
        for patience in (Patience(0.1, 0), transactions.PATIENT, Patience(until=time.monotonic() + 10)):
            with pytest.raises(Busy):
                place_holds([hold_request((level, 1)), hold_request((level, 1))], patience)
    patch.undo()
    return {R + "failed_total{busy}": 4, "inventory_lock_retries_total{locked_elsewhere}": 9}


COMMANDS: Final = [
    value for value in list(globals().values()) if getattr(value, "__annotations__", {}).get("return") is Changes
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_effects_are_counted_once(counted: Counted, command: Callable[[StockLevel], Changes]) -> None:
    level = make_level(10)
    before = counted.changes(*EFFECTS)
    expected = command(level)
    grown = {key: value - before.get(key, 0) for key, value in counted.changes(*EFFECTS).items()}
    assert {key: value for key, value in grown.items() if value} == expected


def test_there_is_a_command_for_each_counter_of_effects() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("delay", [5, 42, 90])
def test_delay_of_each_swept_hold_is_observed(counted: Counted, delay: int) -> None:
    level = make_level(10)
    held = [hold((level, 1)) for _ in range(4)]
    make_due(*(each.id for each in held[:3]), ago=timedelta(seconds=delay))
    assert expire_due_holds() == 3
    name = "inventory_expiry_delay_seconds"
    assert counted.of(f"{name}_count") == counted.of("inventory_reservation_expired_total") == 3
    assert counted.of(f"{name}_bucket", le="60.0") == (3 if delay < 60 else 0)
    assert 3 * delay <= counted.of(f"{name}_sum") < 3 * (delay + 30)
    assert Reservation.objects.filter(status="ACTIVE").count() == 1


def test_what_is_rolled_back_or_retried_is_counted_by_its_last_try(counted: Counted) -> None:
    level = make_level(10)
    tries = []

    def work() -> None:
        made_here = documents.Hold(**{name: getattr(held, name) for name in documents.Hold.__struct_fields__})
        tries.append(made_here)
        documents.count_made([held])
        if len(tries) < 3:
            raise LockedElsewhere

    held = hold((level, 1))
    transactions.run(work)
    assert len(tries) == 3
    assert counted.of(R + "created_total") == 2
    with pytest.raises(ZeroDivisionError):
        transactions.run(partial(fail_after, partial(documents.count_made, [held])))
    assert counted.of(R + "created_total") == 2


def fail_after(work: Callable[[], None]) -> None:
    work()
    raise ZeroDivisionError


def test_replays_are_counted_and_their_effects_are_not(counted: Counted, api: Api) -> None:
    level = make_level(10)
    body = {"cartId": "c", "items": lines((level, 1))}
    for _ in range(3):
        assert api.post("reserve", body, Idempotency_Key="one").status_code == 201
    assert api.post("reserve", {**body, "cartId": "d"}, Idempotency_Key="one").status_code == 422
    assert counted.changes(R, "inventory_idempotent") == {
        R + "created_total": 1,
        R + "failed_total{idempotency_key_reused}": 1,
        "inventory_idempotent_replays_total": 2,
    }
    assert counted.of("inventory_batch_size_count") == 4
    # The receipt locked what exists of its levels, then the level that it made; the hold locked that.
    assert counted.of("inventory_lock_wait_seconds_count") == 3


def test_each_counter_is_off_without_a_port(settings: Settings, django_assert_num_queries: Any) -> None:
    assert settings.METRICS_PORT is None
    level = make_level(10, reorder_point=9)
    with django_assert_num_queries(0):
        documents.count_made([])
    hold((level, 5))
    assert connection.in_atomic_block
    assert receive(level.product_id, 1).on_hand == 11

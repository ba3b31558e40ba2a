"""A freeze is answered only after all concurrent requests that may still hold the frozen stock have ended."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from inventory.errors import Frozen, InsufficientStock
from inventory.models import Product, StockLevel, Warehouse
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import Subject
from reservations.models import Reservation
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.concurrency.threads import Crew, await_true, await_waiting, stranger
from tests.factories import ACTOR, hold, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

SUBJECTS: dict[str, Callable[[StockLevel], Subject]] = {
    "product": lambda level: freezing.product(level.product_id),
    "warehouse": lambda level: freezing.warehouse("wh-001"),
}


def freeze(subject: Subject) -> Callable[[], Any]:
    return partial(freezing.freeze, ACTOR, subject, reason="a recall")


def is_frozen() -> bool:
    """Whether something is frozen, as other transactions see it."""
    return any(model.objects.filter(frozen_at__isnull=False).exists() for model in (Product, Warehouse))


@pytest.mark.parametrize("kind", SUBJECTS)
@pytest.mark.parametrize("way", ["recalled", "read anew", "basket"])
def test_a_hold_that_waits_for_its_level_is_waited_for(kind: str, way: str) -> None:
    level = make_level(10)
    if way == "recalled":
        hold((level, 1))  # Fills the cache of the catalogue.
    make = put_basket if way == "basket" else place_hold
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR UPDATE", [level.id])
        buyer = Crew(partial(make, hold_request((level, 2), cart_id="mine")))
        await_waiting()
        freezer = Crew(freeze(SUBJECTS[kind](level)))
        await_true(is_frozen, "the freeze")
        time.sleep(0.2)
        assert not freezer.are_done(0), "a hold is still on its way"
        other.rollback()
        freezer.join()
        stood = set(Reservation.objects.values_list("id", flat=True))
    (held,) = buyer.join()
    assert isinstance(held, PlacedHold)
    assert held.hold.id in stood
    with pytest.raises((Frozen, InsufficientStock)):  # Sourcing skips a frozen warehouse.
        place_hold(hold_request((level, 1)))


def timed(work: Callable[[], Any]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def test_a_freeze_does_not_wait_for_readers() -> None:
    level = make_level(10)
    with stranger() as reader:
        reader.execute("SELECT FROM inventory_product")
        assert timed(freeze(freezing.product(level.product_id))) < 5


def test_a_transaction_that_does_not_end_is_waited_for_no_longer_than_a_lock(settings: Settings) -> None:
    settings.LOCK_TIMEOUT = 0.5
    level = make_level(10)
    with stranger() as writer:
        writer.execute("SELECT pg_current_xact_id()")
        writer.execute("SELECT FROM inventory_product")
        assert 0.4 < timed(freeze(freezing.product(level.product_id))) < 5
    assert is_frozen()

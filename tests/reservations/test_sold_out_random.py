"""Random requests are refused for lack of stock exactly as the database would refuse them, while stock changes."""

import random
from collections import Counter
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from inventory.errors import InsufficientStock
from inventory.services.catalogue import freezing
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.level_settings import LevelChange, change_levels
from reservations.services.holds import sold_out
from reservations.services.holds.documents import Hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.books import assert_books_balance
from tests.factories import (
    ACTOR,
    hold_request,
    make_due,
    make_product,
    make_store,
    make_warehouse,
    receive,
)
from tests.sold_out import (
    long_memory,
    make_claim,
    reserve,
    waits_for_locks,
)

__all__ = ["long_memory"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "long_memory")]


class _Shop:
    """Random stock, random requests, and random changes of both by this process."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        make_store("second", "wh-002", "wh-003", is_default=False)
        make_warehouse("wh-003")
        parent = make_product()
        self.products = [make_product(), make_product(), parent, make_product(parent=parent)]
        self.levels = [
            receive(product, self.random.randint(1, 4), warehouse)
            for product in self.products
            for warehouse in ("wh-001", "wh-002", "wh-003")
            if self.random.random() < 0.7
        ]
        self.holds: list[Hold] = []
        self.asked = [hold_request((self.levels[0], 1))]

    def request(self) -> HoldRequest:
        def line() -> RequestLine:
            product = self.random.choice(self.products)
            variant = product.id if product.parent_id and self.random.random() < 0.5 else None
            warehouse = self.random.choice([None, None, "wh-002"])
            return RequestLine(product.parent_id if variant else product.id, variant, self._units(), warehouse)

        if self.random.random() < 0.2:
            return msgspec.structs.replace(self.random.choice(self.asked), id=uuid4())
        asked = tuple(line() for _ in range(self.random.randint(1, 3)))
        store = self.random.choice([None, "main", "second"])
        order = self.random.choice([None, f"order-{self.random.randrange(30)}"])
        request = hold_request(lines=asked, store=store, order_id=order, claim=self._claim(asked))
        self.asked.append(request)
        return request

    def _claim(self, asked: tuple[RequestLine, ...]) -> Claim | None:
        """No key, a new one, or one that was used before, mostly for other lines."""
        key = self.random.choice([None, uuid4().hex, str(self.random.randrange(30))])
        return make_claim(key, repr(asked)) if key else None

    def _units(self) -> int:
        return self.random.choice([1, 1, 2, 3, 5, 9])

    def change(self) -> None:
        level, units = self.random.choice(self.levels), self._units()
        code = level.warehouse.code
        kind = self.random.choice(["receive", "ship", "release", "sell", "due", "safety", "freeze", "unfreeze"])
        held = self.holds.pop(self.random.randrange(len(self.holds))) if self.holds else None
        try:
            if kind in ("receive", "ship"):
                what = {"receive": "RECEIPT", "ship": "SHIPMENT"}[kind]
                apply_adjustments(AdjustRequest(ACTOR, (Adjustment(level.product_id, None, code, 1, what, "test"),)))
            elif kind == "safety":
                change_levels(ACTOR, [LevelChange(level.product_id, code, {"min_stock_level": units % 3})])
            elif kind == "freeze" and self.random.random() < 0.3:
                freezing.freeze(ACTOR, freezing.product(level.product_id), reason="test")
            elif kind in ("freeze", "unfreeze"):
                freezing.unfreeze(ACTOR, freezing.product(level.product_id))
            elif held and kind == "release":
                release_hold(ReleaseRequest(ACTOR, Selector(held.id)))
            elif held and kind == "sell":
                consume_hold(ConsumeRequest(ACTOR, f"order-{held.id}", Selector(held.id)))
            elif held and kind == "due":
                make_due(held.id)
        except DomainError:
            pass


@pytest.mark.parametrize("seed", range(3))
def test_random_requests_are_refused_exactly_as_the_database_would_have_it(seed: int) -> None:
    shop, at_once, held = _Shop(seed), Counter[tuple[bool, bool]](), 0
    for _ in range(250):
        request = shop.request()
        short = sold_out.known_shortage(request)
        with CaptureQueriesContext(connection) as statements:
            outcome = reserve(request)
        if short is not None:
            (slow,) = place_holds([request])
            assert _answer_of(outcome) == _answer_of(slow)
            if isinstance(outcome, InsufficientStock) and not waits_for_locks(statements):
                at_once[request.claim is not None, request.order_id is not None] += 1
        if isinstance(outcome, PlacedHold):
            held += 1
            shop.holds.append(outcome.hold)
        if shop.random.random() < 0.2:
            shop.change()
    assert len(at_once) == 4, at_once
    assert held > 5
    assert_books_balance()


def _answer_of(outcome: Any) -> Any:
    """What a client gets for an outcome that isn't a new hold."""
    return outcome if isinstance(outcome, StoredAnswer) else (type(outcome), outcome.detail, outcome.faults)

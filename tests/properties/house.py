"""The stock and holds that the random test's commands change, and the arguments of the commands."""

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import hypothesis.strategies as st
from django.db import transaction
from hypothesis.stateful import (
    RuleBasedStateMachine,
)

from audit.errors import DomainError
from inventory.models import StockLevel
from reservations.models import Reservation
from reservations.services.holds import documents
from tests.properties.model import Model, ModelHold
from tests.replica import Replica

PRODUCTS: Final = 3
STORES: Final = {"main": ("wh-001", "wh-002"), "outlet": ("wh-003", "wh-002")}
WAREHOUSES: Final = ("wh-001", "wh-002", "wh-003")
BECOMES: Final = {
    "ACTIVE": {"ACTIVE", "CONSUMED", "RELEASED"},
    "DUE": {"DUE", "EXPIRED"},
    "CONSUMED": {"CONSUMED"},
    "RELEASED": {"RELEASED"},
    "EXPIRED": {"EXPIRED"},
}

products = st.integers(0, PRODUCTS - 1)
quantities = st.integers(1, 9)
carts = st.sampled_from(["cart-1", "cart-2"])
orders = st.sampled_from(["order-1", "order-2"])
stores = st.sampled_from(["main", "main", "outlet"])
picks = st.integers(0, 5)
wanted_lines = st.lists(st.tuples(products, quantities, st.sampled_from([None, None, 0, 1])), min_size=1, max_size=4)
routes = st.permutations(WAREHOUSES).map(lambda codes: (codes[0], codes[1]))
moved_lines = st.lists(st.tuples(products, quantities), min_size=1, max_size=3)
arrived_lines = st.lists(st.tuples(products, st.integers(0, 9)), min_size=1, max_size=3)
changes = st.lists(
    st.tuples(
        products,
        st.sampled_from(WAREHOUSES),
        st.sampled_from(["RECEIPT", "RETURN", "SHIPMENT", "ADJUSTMENT"]),
        st.integers(-9, 9).filter(bool),
    ),
    min_size=1,
    max_size=4,
)


def outcome_of(work: Callable[[], Any]) -> Any:
    """The result of the work, or the domain error that it raises."""
    try:
        return work()
    except DomainError as error:
        return error


class House(RuleBasedStateMachine):
    """The stores, warehouses and products, and the model that the service is compared with. Each example is rolled
    back."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example._from_testcase = (
            True  # As in a TestCase, so that the service's durable transactions may run inside.
        )
        self.example.__enter__()
        self.model = Model()
        self.levels: dict[tuple[int, str], UUID] = {}
        self.folder = TemporaryDirectory()
        self.replica = Replica()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)
        self.folder.cleanup()

    def free(self, place: tuple[int, str]) -> int:
        level = self.levels.get(place)
        return self.model.sellable(level) if level else 0

    def learn(self, made: set[UUID] = frozenset(), rewritten: set[UUID] = frozenset()) -> None:  # type: ignore[assignment]
        """Copy to the model what only the service decides, and check that nothing else has changed."""
        known = set(self.model.on_hand)
        for id_, product, code in StockLevel.objects.values_list("id", "product_id", "warehouse__code"):
            self.levels[self.products.index(product), code] = id_
            if id_ not in known:
                self.model.on_hand[id_] = 0
        holds = documents.read_holds(list(Reservation.objects.values_list("id", flat=True)))
        assert holds.keys() == self.model.holds.keys() | made
        for id_ in sorted(holds):
            hold = holds[id_]
            items = {item.level_id: item.quantity for item in hold.items}
            mine = self.model.holds.get(id_)
            if mine is None:
                mine = self.model.holds[id_] = ModelHold(items, hold.cart_id or "", hold.order_id, hold.store)
            elif id_ in rewritten:
                mine.items = items
            assert mine.items == items
            state = "DUE" if mine.state == "DUE" and hold.status == "ACTIVE" else hold.status
            assert state in BECOMES[mine.state], (mine.state, state)
            if state == "CONSUMED" != mine.state:
                self.model.units -= sum(items.values())
                for level, units in items.items():
                    self.model.on_hand[level] -= units
            mine.state, mine.order = state, hold.order_id

"""Commands on the stock of levels, and counts."""

from collections import Counter
from uuid import UUID

import hypothesis.strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
)

from inventory.errors import (
    AlreadyInCount,
    CountBelowZero,
    InsufficientStock,
    UnknownProduct,
)
from inventory.holds_port import Preference
from inventory.models import Warehouse
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import (
    CancelCountRequest,
    Counted,
    EnteredCount,
    EnterRequest,
    cancel_count,
    enter_counts,
)
from inventory.services.counts.opening import Opened, OpenRequest, open_count
from inventory.services.counts.posting import Posted, PostRequest, post_count
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.services.holds import documents
from tests.factories import ACTOR, make_product, make_store, make_warehouse
from tests.properties.house import PRODUCTS, STORES, WAREHOUSES, House, changes, outcome_of, picks, products


class StockRules(House):
    """The first receipts, changes, counts and forced adjustments."""

    @initialize(first=st.lists(st.integers(0, 12), min_size=PRODUCTS * 3, max_size=PRODUCTS * 3))
    def open_the_house(self, first: list[int]) -> None:
        for code, warehouses in STORES.items():
            make_store(code, *warehouses, is_default=code == "main")
        for code in WAREHOUSES:
            make_warehouse(code)
        self.products = [make_product().id for _ in range(PRODUCTS)]
        self.warehouses = dict(Warehouse.objects.values_list("code", "id"))
        places = [(product, code) for product in range(PRODUCTS) for code in WAREHOUSES]
        self.change([(*place, "RECEIPT", units) for place, units in zip(places, first, strict=True) if units])

    @rule(lines=changes)
    def change(self, lines: list[tuple[int, str, str, int]]) -> None:
        """Receive, ship, return and correct: on hand of a level never falls below the units of its live holds."""
        if not lines:
            return
        lines = [(p, w, kind, n if kind == "ADJUSTMENT" else abs(n)) for p, w, kind, n in lines]
        total: Counter[tuple[int, str]] = Counter()
        for product, warehouse, kind, units in lines:
            total[product, warehouse] += -units if kind == "SHIPMENT" else units
        is_possible = all(change >= -self.free(place) for place, change in total.items())
        adjustments = tuple(Adjustment(self.products[p], None, w, n, kind, "because") for p, w, kind, n in lines)
        outcome = outcome_of(lambda: apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=adjustments)))
        assert isinstance(outcome, Adjusted if is_possible else InsufficientStock), (outcome, total)
        self.learn()
        if is_possible:
            self.model.units += sum(total.values())
            for place, change in total.items():
                if place in self.levels:
                    self.model.on_hand[self.levels[place]] += change

    @rule(
        warehouse=st.sampled_from(WAREHOUSES),
        counted=st.dictionaries(products, st.integers(0, 14), min_size=1),
    )
    def count(self, warehouse: str, counted: dict[int, int]) -> None:
        """Open a count and enter it; other rules may run before it is posted."""
        levels = {self.levels.get((product, warehouse)): units for product, units in counted.items()}
        is_taken = any(level in entered for entered in self.model.counts.values() for level in levels)
        refs = tuple(ProductRef(self.products[product]) for product in counted)
        request = OpenRequest(ACTOR, warehouse, "PRODUCTS", products=refs)
        outcome = outcome_of(lambda: open_count(request))
        expected = UnknownProduct if None in levels else AlreadyInCount if is_taken else Opened
        assert isinstance(outcome, expected), outcome
        if isinstance(outcome, Opened):
            self.model.counts[request.id] = {}
            self.enter(request.id, list(counted.items()))

    @rule(pick=picks, units=st.integers(0, 14))
    @precondition(lambda self: self.model.counts)
    def count_again(self, pick: int, units: int) -> None:
        count_id, entered = self.pick_count(pick)
        products = {level: product for (product, _), level in self.levels.items()}
        self.enter(count_id, [(products[next(iter(entered))], units)])

    def enter(self, count_id: UUID, counted: list[tuple[int, int]]) -> None:
        entries = tuple(EnteredCount(ProductRef(self.products[product]), units) for product, units in counted)
        entered = enter_counts(EnterRequest(ACTOR, count_id, entries))
        assert isinstance(entered, Counted)
        for line, (_, units) in zip(entered.lines, counted, strict=True):
            assert line.expected == self.model.on_hand[line.level_id]
            self.model.counts[count_id][line.level_id] = units - self.model.on_hand[line.level_id]

    def pick_count(self, number: int) -> tuple[UUID, dict[UUID, int]]:
        ids = list(self.model.counts)
        id_ = ids[number % len(ids)]
        return id_, self.model.counts[id_]

    @rule(pick=picks, chosen=st.none() | picks)
    @precondition(lambda self: self.model.counts)
    def post(self, pick: int, chosen: int | None) -> None:
        """Post a count: on hand becomes what was counted, and holds give way if fewer units are left than they hold."""
        count_id, changes = self.pick_count(pick)
        missing = self.model.missing({level: max(n, -self.model.on_hand[level]) for level, n in changes.items()})
        in_the_way = [
            id_ for id_, hold in self.model.holds.items() if hold.state == "ACTIVE" and hold.items.keys() & missing
        ]
        preferred = () if chosen is None or not in_the_way else (in_the_way[chosen % len(in_the_way)],)
        is_possible = all(self.model.on_hand[level] + change >= 0 for level, change in changes.items())
        order = self.newest_first()
        states = {id_: hold.state for id_, hold in self.model.holds.items()}
        outcome = outcome_of(lambda: post_count(PostRequest(ACTOR, count_id, preferred=Preference(preferred))))
        assert isinstance(outcome, Posted if is_possible else CountBelowZero), outcome
        self.learn()
        if not is_possible:
            assert {id_: hold.state for id_, hold in self.model.holds.items()} == states
            cancel_count(CancelCountRequest(ACTOR, count_id))
        else:
            self.model.units += sum(changes.values())
            for level, change in changes.items():
                self.model.on_hand[level] += change
            self.assert_gave_way([hold.id for hold in outcome.broken], missing, states, [*preferred, *order])
        del self.model.counts[count_id]

    @rule(product=products, warehouse=st.sampled_from(WAREHOUSES), units=st.integers(1, 14))
    def force(self, product: int, warehouse: str, units: int) -> None:
        level = self.levels.get((product, warehouse))
        line = Adjustment(self.products[product], None, warehouse, -units, "ADJUSTMENT", "because", force=True)
        missing = self.model.missing({level: -units}) if level else {}
        is_possible = level is not None and self.model.on_hand[level] >= units
        order = self.newest_first()
        states = {id_: hold.state for id_, hold in self.model.holds.items()}
        outcome = outcome_of(lambda: apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,))))
        assert isinstance(outcome, Adjusted if is_possible else InsufficientStock), outcome
        self.learn()
        after = {id_: hold.state for id_, hold in self.model.holds.items()}
        if level is None or not is_possible:
            assert all(
                after[id_] == state or (state, after[id_]) == ("DUE", "EXPIRED") for id_, state in states.items()
            )
            return
        self.model.units -= units
        self.model.on_hand[level] -= units
        broken = [id_ for id_ in order if (states[id_], after[id_]) == ("ACTIVE", "RELEASED")]
        self.assert_gave_way(broken, missing, states, order)

    def newest_first(self) -> list[UUID]:
        read = documents.read_holds(list(self.model.holds))
        return sorted(read, key=lambda id_: (read[id_].created_at, id_), reverse=True)

    def assert_gave_way(
        self, broken: list[UUID], missing: dict[UUID, int], states: dict[UUID, str], order: list[UUID]
    ) -> None:
        """Check that just enough holds gave way, in the right order, and no others."""
        after = {id_: hold.state for id_, hold in self.model.holds.items()}
        assert set(broken) == {id_ for id_, state in states.items() if state == "ACTIVE" != after[id_]}
        lost: Counter[UUID] = Counter()
        for id_ in broken:
            assert any(lost[level] < missing.get(level, 0) for level in self.model.holds[id_].items), "not needed"
            lost.update(self.model.holds[id_].items)
        assert all(lost[level] >= units for level, units in missing.items())
        if len(missing) == 1:
            (level,) = missing
            in_the_way = [i for i in order if states[i] == "ACTIVE" and level in self.model.holds[i].items]
            assert broken == list(dict.fromkeys(in_the_way))[: len(broken)]

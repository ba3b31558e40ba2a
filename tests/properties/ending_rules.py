"""Commands that end holds."""

from uuid import UUID

import hypothesis.strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from inventory.errors import (
    InsufficientStock,
)
from reservations.errors import (
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    ReservedForAnotherOrder,
)
from reservations.models import Reservation
from reservations.services.holds import documents
from reservations.services.holds.baskets import empty_basket
from reservations.services.holds.placing import PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR
from tests.properties.hold_rules import HoldRules
from tests.properties.house import carts, orders, outcome_of, picks


class EndingRules(HoldRules):
    """Releases and sales."""

    @rule(pick=picks)
    @precondition(lambda self: self.model.holds)
    def release(self, pick: int) -> None:
        id_, hold = self.pick(pick)
        before = hold.state
        outcome = outcome_of(lambda: release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=id_))))
        assert isinstance(outcome, ReservationConsumed if before == "CONSUMED" else Resolved), outcome
        self.learn()
        assert hold.state == {"ACTIVE": "RELEASED", "DUE": "EXPIRED"}.get(before, before)

    @rule(cart=carts, is_basket=st.booleans())
    def release_a_cart(self, cart: str, is_basket: bool) -> None:
        standing = self.model.of_cart(cart, "ACTIVE", "DUE")
        states = [hold.state for hold in self.model.holds.values() if hold.cart == cart]
        verb = empty_basket if is_basket else release_hold
        outcome = outcome_of(lambda: verb(ReleaseRequest(ACTOR, Selector(cart_id=cart))))
        if not states:
            expected: type = ReservationNotFound
        else:
            expected = ReservationConsumed if not standing and states[-1] == "CONSUMED" else Resolved
        assert isinstance(outcome, expected), (states, outcome)
        self.learn()
        assert not self.model.of_cart(cart, "ACTIVE", "DUE")

    @rule(pick=picks, order=orders, reacquire=st.booleans())
    @precondition(lambda self: self.model.holds)
    def consume(self, pick: int, order: str, reacquire: bool) -> None:
        id_, hold = self.pick(pick)
        before = hold.state
        successor = self.successor(id_)
        must_fit = all(self.model.sellable(level) >= units for level, units in hold.items.items())
        request = ConsumeRequest(ACTOR, order, Selector(reservation_id=id_), reacquire)
        outcome = outcome_of(lambda: consume_hold(request))
        if before == "CONSUMED":
            expected: tuple[type, ...] = (Resolved if hold.order == order else ReservationConsumed,)
        elif before == "RELEASED":
            expected = (ReservationReleased,)
        elif hold.order not in (None, order):
            expected = (ReservedForAnotherOrder,)
        elif before == "ACTIVE":
            expected = (Resolved,)
        elif successor:
            expected = (Resolved if self.model.holds[successor].order == order else ReservationConsumed,)
        elif not reacquire:
            expected = (ReservationExpired,)
        else:
            expected = (Resolved,) if must_fit else (Resolved, InsufficientStock)
        assert isinstance(outcome, expected), (before, outcome)
        sold = {h.id for h in outcome.holds} - self.model.holds.keys() if isinstance(outcome, Resolved) else set()
        self.learn(made=sold)
        if isinstance(outcome, Resolved):
            assert outcome_of(lambda: consume_hold(request)).holds == outcome.holds
            assert [h.status for h in outcome.holds] == ["CONSUMED"]
            self.learn()

    def successor(self, id_: UUID) -> UUID | None:
        return Reservation.objects.filter(reacquired_from=id_).values_list("id", flat=True).first()

    @rule(cart=carts, order=orders, reacquire=st.booleans(), is_by_order=st.booleans())
    def consume_all(self, cart: str, order: str, reacquire: bool, is_by_order: bool) -> None:
        selector = Selector(order_id=order) if is_by_order else Selector(cart_id=cart)
        found = {
            id_: hold.state
            for id_, hold in self.model.holds.items()
            if (hold.order == order if is_by_order else hold.cart == cart)
        }
        expected = self.expected_of_all(list(found), order, reacquire)
        request = ConsumeRequest(ACTOR, order, selector, reacquire)
        outcome = outcome_of(lambda: consume_hold(request))
        assert isinstance(outcome, expected), (found, outcome)
        is_done = isinstance(outcome, Resolved)
        self.learn(made={h.id for h in outcome.holds} - self.model.holds.keys() if is_done else set())
        if is_done:
            assert {h.order_id for h in outcome.holds} == {order}
            assert all(self.model.holds[h.id].state == "CONSUMED" for h in outcome.holds)
            later = self.request("main", cart, [(0, 1, None)])
            self.learn(made={later.id} if isinstance(outcome_of(lambda: place_hold(later)), PlacedHold) else set())
            again = outcome_of(lambda: consume_hold(request))
            assert isinstance(again, Resolved), again
            assert again.holds == outcome.holds, "a repeated request sells nothing more, also not what was held later"
            self.learn()
            assert later.id not in self.model.holds or self.model.holds[later.id].state == "ACTIVE"
        else:
            after = {id_: self.model.holds[id_].state for id_ in found}
            assert all(after[id_] == state or (state, after[id_]) == ("DUE", "EXPIRED") for id_, state in found.items())

    def expected_of_all(self, ids: list[UUID], order: str, reacquire: bool) -> tuple[type, ...]:
        """The expected outcomes of consuming these holds of a cart or order: all or nothing; sold holds stay sold."""
        if not ids:
            return (ReservationNotFound,)
        is_sold = any(self.model.holds[id_].state == "CONSUMED" and self.model.holds[id_].order == order for id_ in ids)
        if is_sold:
            ids = [id_ for id_ in ids if self.model.holds[id_].order == order]
        read = documents.read_holds(ids)
        oldest_first = sorted(ids, key=lambda id_: (read[id_].created_at, id_))
        states = {id_: self.model.holds[id_].state for id_ in oldest_first}
        dead = [
            id_
            for id_, state in states.items()
            if state in {"DUE", "EXPIRED"}
            and not any(other.created_at >= read[id_].expires_at for other in read.values() if other.id != id_)
        ]
        alive = [id_ for id_, state in states.items() if state == "ACTIVE"]
        if any(self.model.holds[id_].order not in (None, order) for id_ in (*alive, *dead)):
            return (ReservedForAnotherOrder,)
        if dead:
            return (Resolved, InsufficientStock) if reacquire else (ReservationExpired,)
        if is_sold or alive:
            return (Resolved,)
        return (ReservationConsumed if states[oldest_first[-1]] == "CONSUMED" else ReservationReleased,)

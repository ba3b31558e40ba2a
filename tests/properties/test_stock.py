"""All commands in any order: the books balance after each step, and every answer matches a simple model."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    invariant,
    rule,
    run_state_machine_as_test,
)

from inventory.models import StockLevel, Transfer
from reservations.services.bookkeeping.reconciliation import reconcile
from tests.books import assert_books_balance
from tests.factories import ACTOR
from tests.properties.ending_rules import EndingRules
from tests.properties.stock_rules import StockRules
from tests.properties.transfer_rules import TransferRules


class Stock(StockRules, TransferRules, EndingRules):
    """The service and its model, compared after each step."""

    @rule()
    def reconcile(self) -> None:
        """Reconcile: there are no findings but holds that are long due, as no sweeper runs here."""
        assert set(reconcile(ACTOR).counts) <= {"LONG_DUE"}

    @invariant()
    def books_balance(self) -> None:
        assert_books_balance()

    @invariant()
    def a_replica_made_of_events_equals_the_levels(self) -> None:
        """Check that the events of each level are a chain without gaps, one for each transaction, that ends here."""
        self.replica.assert_equals_the_levels()
        self.replica.assert_causes_exist()

    @invariant()
    def counters_are_those_of_the_model(self) -> None:
        counted = {
            id_: (on_hand, reserved)
            for id_, on_hand, reserved in StockLevel.objects.values_list("id", "on_hand", "reserved")
        }
        assert counted == {level: (units, self.model.reserved(level)) for level, units in self.model.on_hand.items()}
        assert all(self.model.sellable(level) >= 0 for level in self.model.on_hand)

    @invariant()
    def no_unit_is_made_or_lost_on_the_way(self) -> None:
        """Check that units in warehouses and in transit equal the sum of receipts, shipments and adjustments."""
        incoming = dict(StockLevel.objects.with_incoming().values_list("id", "incoming_quantity"))
        assert incoming == {id_: self.model.incoming(*place) for place, id_ in self.levels.items()}
        assert sum(self.model.on_hand.values()) + sum(incoming.values()) == self.model.units
        states = dict(Transfer.objects.values_list("id", "status"))
        assert states == {id_: transfer.state for id_, transfer in self.model.transfers.items()}


@pytest.mark.django_db
def test_any_order_of_verbs_keeps_the_books() -> None:
    run_state_machine_as_test(
        Stock,
        settings=settings(
            max_examples=25 if "CI_RUN" in os.environ else 10,
            stateful_step_count=40,
            derandomize=True,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Commands on transfers."""

from collections import Counter
from uuid import UUID

import hypothesis.strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from audit.errors import Invalid
from inventory.errors import (
    InsufficientStock,
    MoreThanInTransit,
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    UnknownProduct,
)
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    TransferRequest,
    cancel_transfer,
    draft_transfer,
    receive_transfer,
    send_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from tests.factories import ACTOR
from tests.properties.house import House, arrived_lines, moved_lines, outcome_of, picks, routes
from tests.properties.model import ModelTransfer


class TransferRules(House):
    """Transfers between warehouses."""

    @rule(ends=routes, lines=moved_lines, is_draft=st.booleans())
    def transfer(self, ends: tuple[str, str], lines: list[tuple[int, int]], is_draft: bool) -> None:
        """Send a transfer: only units without a live hold may leave, all or nothing."""
        source, target = ends
        wanted = tuple(MoveLine(self.products[product], None, units, source, target) for product, units in lines)
        request = TransferRequest(ACTOR, wanted)
        total: Counter[int] = Counter()
        for product, units in lines:
            total[product] += units
        transfer = ModelTransfer(source, target, dict(total))
        if is_draft:
            assert isinstance(draft_transfer(request), Transferred)
            self.model.transfers[request.id] = transfer
            return
        is_possible = self.may_leave(transfer)
        outcome = outcome_of(lambda: start_transfer(request))
        assert isinstance(outcome, Transferred if is_possible else InsufficientStock), outcome
        self.learn()
        if is_possible:
            self.model.transfers[request.id] = transfer
            self.leave(transfer, outcome)

    def may_leave(self, transfer: ModelTransfer) -> bool:
        return all(self.free((product, transfer.source)) >= units for product, units in transfer.wanted.items())

    def leave(self, transfer: ModelTransfer, outcome: Transferred) -> None:
        for product, units in transfer.wanted.items():
            self.model.on_hand[self.levels[product, transfer.source]] -= units
        transfer.away, transfer.state = dict(transfer.wanted), "IN_TRANSIT"
        for item in outcome.document.items:
            product = self.products.index(item.product_id)
            expected = self.model.on_hand[self.levels[product, transfer.target]]
            assert outcome.expected[item.id] == expected + self.model.incoming(product, transfer.target)

    def pick_transfer(self, number: int) -> tuple[UUID, ModelTransfer]:
        """Pick a transfer, most often the newest."""
        ids = list(self.model.transfers)[::-1]
        id_ = ids[number % len(ids)]
        return id_, self.model.transfers[id_]

    @rule(pick=picks)
    @precondition(lambda self: self.model.transfers)
    def send(self, pick: int) -> None:
        id_, transfer = self.pick_transfer(pick)
        if transfer.state == "PENDING":
            expected: type = Transferred if self.may_leave(transfer) else InsufficientStock
        else:
            expected = TransferAlreadySent if any(transfer.away.values()) else TransferClosed
        outcome = outcome_of(lambda: send_transfer(SendRequest(ACTOR, id_)))
        assert isinstance(outcome, expected), (transfer, outcome)
        self.learn()
        if isinstance(outcome, Transferred):
            self.leave(transfer, outcome)

    @rule(pick=picks, lines=st.none() | arrived_lines, close=st.booleans())
    @precondition(lambda self: self.model.transfers)
    def receive(self, pick: int, lines: list[tuple[int, int]] | None, close: bool) -> None:
        """Receive a transfer: at most what is in transit; closing it writes off the rest."""
        id_, transfer = self.pick_transfer(pick)
        arrived: Counter[int] = Counter()
        for product, units in lines or transfer.away.items():
            arrived[product] += units
        items = lines and tuple(Arrived(self.products[product], None, units) for product, units in lines)
        outcome = outcome_of(lambda: receive_transfer(ReceiveRequest(ACTOR, id_, items or None, close)))
        expected: type = Transferred
        if transfer.state == "PENDING":
            expected = TransferNotSent
        elif not any(transfer.away.values()):
            expected = TransferClosed
        elif any(product not in transfer.away for product in arrived):
            expected = UnknownProduct
        elif any(units > transfer.away[product] for product, units in arrived.items()):
            expected = MoreThanInTransit
        elif not any(arrived.values()) and not close:
            expected = Invalid
        assert isinstance(outcome, expected), (transfer, outcome)
        if isinstance(outcome, Transferred):
            self.arrive(transfer, arrived, close)
            assert outcome.document.status == transfer.state

    def arrive(self, transfer: ModelTransfer, arrived: Counter[int], close: bool) -> None:
        for product, units in arrived.items():
            self.model.on_hand[self.levels[product, transfer.target]] += units
            transfer.away[product] -= units
        transfer.has_arrived |= any(arrived.values())
        if close:
            self.model.units -= sum(transfer.away.values())
            transfer.away = dict.fromkeys(transfer.away, 0)
        transfer.state = "PARTIALLY_RECEIVED" if any(transfer.away.values()) else "RECEIVED"

    @rule(pick=picks)
    @precondition(lambda self: self.model.transfers)
    def cancel(self, pick: int) -> None:
        id_, transfer = self.pick_transfer(pick)
        is_open = transfer.state == "PENDING" or any(transfer.away.values())
        outcome = outcome_of(lambda: cancel_transfer(CancelTransferRequest(ACTOR, id_)))
        assert isinstance(outcome, Transferred if is_open else TransferClosed), (transfer, outcome)
        if is_open:
            for product, units in transfer.away.items():
                self.model.on_hand[self.levels[product, transfer.source]] += units
            transfer.away = dict.fromkeys(transfer.away, 0)
            transfer.state = "RECEIVED" if transfer.has_arrived else "CANCELLED"
            assert outcome.document.status == transfer.state

"""A document is reversed once, and its locks are taken in the order of all others."""

from functools import partial
from typing import Any, Final

import msgspec
import pytest

from inventory.errors import DocumentReversed, InsufficientStock
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.reversing import ReverseRequest, reverse_document
from inventory.services.transfers.commands import (
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.reversing import SendBackRequest, send_back
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.concurrency.statements import Step, checked, step_of
from tests.concurrency.threads import together
from tests.factories import ACTOR, counters, hold_request, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

CLERK: Final = msgspec.structs.replace(ACTOR, name="clerk", source="admin")


def received(level: StockLevel, units: int) -> ReverseRequest:
    """Receive units by hand. Returns the request that reverses it."""
    line = Adjustment(level.product_id, None, "wh-001", units, "RECEIPT", "goods")
    posted: Any = apply_adjustments(AdjustRequest(CLERK, (line,)))
    return ReverseRequest(CLERK, posted.id, "mistake")


def sent(level: StockLevel) -> SendBackRequest:
    """Send units and receive them. Returns the request that sends them back."""
    item = MoveLine(level.product_id, None, 4, "wh-001", "wh-002")
    started: Any = start_transfer(TransferRequest(CLERK, (item,)))
    receive_transfer(ReceiveRequest(CLERK, started.document.id))
    return SendBackRequest(CLERK, started.document.id, "mistake")


def again(request: Any) -> Any:
    """The same request from another tab: a reversal of its own."""
    return type(request)(request.actor, *(getattr(request, name) for name in request.__slots__[1:3]))


def test_two_people_who_reverse_a_document_reverse_it_once() -> None:
    for _ in range(5):
        level = make_level(10)
        for request, work in ((received(level, 5), reverse_document), (sent(level), send_back)):
            outcomes = together(partial(work, request), partial(work, again(request)))
            assert sum(isinstance(outcome, DocumentReversed) for outcome in outcomes) == 1
        assert counters(level) == (6, 0)


def test_units_are_held_or_taken_back_never_both() -> None:
    for _ in range(5):
        level = make_level(1)
        request = received(level, 5)
        outcomes = together(partial(reverse_document, request), partial(place_hold, hold_request((level, 3))))
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds in ([Adjusted, InsufficientStock], [InsufficientStock, PlacedHold])


def test_documents_are_locked_before_levels() -> None:
    level = make_level(10)
    receive(level.product_id, 10, "wh-002")
    for request, work in ((received(level, 5), reverse_document), (sent(level), send_back)):
        _, (statements,) = checked(partial(work, request))
        taken = [step for step in map(step_of, statements) if step and step is not Step.WRITE]
        assert taken == [Step.DOCUMENT, Step.LEVELS]

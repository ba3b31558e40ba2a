"""A transfer is sent, received and ended exactly once, also beside concurrent commands on the same stock."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from audit.errors import Busy, IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.errors import InsufficientStock, TransferAlreadySent, TransferClosed
from inventory.models import StockLevel, Transfer, TransferLine
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    TransferRequest,
    cancel_transfer,
    change_draft,
    draft_transfer,
    receive_transfer,
    send_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.books import broken_rules
from tests.concurrency.threads import TRANSFER_LOCK, Crew, Meeting, await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold_request, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
ROUNDS = 8


def wanted(*lines: tuple[StockLevel, int], back: bool = False) -> TransferRequest:
    """A request for units of levels, from ``wh-001`` to ``wh-002`` or back."""
    ends = ("wh-002", "wh-001") if back else ("wh-001", "wh-002")
    return TransferRequest(ACTOR, tuple(MoveLine(level.product_id, None, units, *ends) for level, units in lines))


def sent(*lines: tuple[StockLevel, int]) -> UUID:
    transferred = start_transfer(wanted(*lines))
    assert isinstance(transferred, Transferred)
    return transferred.document.id


def arrive(transfer: UUID, *lines: tuple[StockLevel, int], close: bool = False) -> Callable[[], Any]:
    items = tuple(Arrived(level.product_id, None, units) for level, units in lines) or None
    return partial(receive_transfer, ReceiveRequest(ACTOR, transfer, items, close))


def cancel(transfer: UUID) -> Callable[[], Any]:
    return partial(cancel_transfer, CancelTransferRequest(ACTOR, transfer))


def there(level: StockLevel) -> StockLevel:
    return StockLevel.objects.with_incoming().get(product=level.product_id, warehouse__code="wh-002")


def kinds(outcomes: list[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def test_what_is_held_does_not_leave_and_what_left_is_not_held() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        left, held = together(
            partial(start_transfer, wanted((level, 6))), partial(place_hold, hold_request((level, 6)))
        )
        if isinstance(left, Transferred):
            assert isinstance(held, InsufficientStock)
            assert counters(level) == (4, 0)
        else:
            assert isinstance(left, InsufficientStock)
            assert isinstance(held, PlacedHold)
            assert counters(level) == (10, 6)


def test_many_buyers_and_transfers_share_what_there_is() -> None:
    level = make_level(20)
    buyers = [partial(place_hold, hold_request((level, 3))) for _ in range(6)]
    trucks = [partial(start_transfer, wanted((level, 4))) for _ in range(4)]
    outcomes = kinds(together(*buyers, *trucks))
    taken = 3 * outcomes["PlacedHold"] + 4 * outcomes["Transferred"]
    assert 20 - taken < 4, "whoever is refused would not fit beside the others"
    assert counters(level) == (20 - 4 * outcomes["Transferred"], 3 * outcomes["PlacedHold"])


def test_20_receives_of_one_transfer_receive_it_once() -> None:
    level = make_level(10)
    transfer = sent((level, 4))
    outcomes = together(*(arrive(transfer) for _ in range(20)))
    assert kinds(outcomes) == {"Transferred": 1, "TransferClosed": 19}
    assert (counters(there(level)), there(level).incoming_quantity) == ((4, 0), 0)


def test_parts_that_arrive_at_once_are_never_more_than_was_sent() -> None:
    level = make_level(20)
    transfer = sent((level, 10))
    outcomes = together(*(arrive(transfer, (level, 3)) for _ in range(8)))
    assert kinds(outcomes) == {"Transferred": 3, "MoreThanInTransit": 5}
    assert (counters(there(level)), there(level).incoming_quantity) == ((9, 0), 1)


def two_receives(transfer: UUID, level: StockLevel, *, is_sabotage: bool) -> list[Any]:
    meeting = Meeting(TRANSFER_LOCK, 2, is_sabotage=is_sabotage)
    outcomes = together(*(meeting.attend(arrive(transfer, (level, 4))) for _ in range(2)))
    assert meeting.have_met is is_sabotage
    return outcomes


@pytest.mark.usefixtures("breaks_the_books")
def test_without_the_document_lock_two_receives_receive_twice() -> None:
    level = make_level(10)
    outcomes = two_receives(sent((level, 4)), level, is_sabotage=True)
    assert kinds(outcomes) == {"Transferred": 2}
    assert counters(there(level)) == (8, 0)
    assert "over all warehouses, what transfers took off is in transit" in broken_rules()


def test_with_the_document_lock_two_receives_receive_once() -> None:
    level = make_level(10)
    outcomes = two_receives(sent((level, 4)), level, is_sabotage=False)
    assert kinds(outcomes) == {"Transferred": 1, "TransferClosed": 1}
    assert counters(there(level)) == (4, 0)


def test_a_transfer_arrives_or_comes_back() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        transfer = sent((level, 4))
        arrived, returned = together(arrive(transfer), cancel(transfer))
        if isinstance(arrived, Transferred):
            assert isinstance(returned, TransferClosed)
            assert (counters(level), counters(there(level))) == ((6, 0), (4, 0))
        else:
            assert isinstance(arrived, TransferClosed)
            assert isinstance(returned, Transferred)
            assert (counters(level), counters(there(level))) == ((10, 0), (0, 0))


def test_a_part_arrives_before_the_rest_comes_back_or_not_at_all() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        transfer = sent((level, 4))
        arrived, returned = together(arrive(transfer, (level, 1)), cancel(transfer))
        assert isinstance(returned, Transferred)
        came = 1 if isinstance(arrived, Transferred) else 0
        assert (counters(level)[0], there(level).on_hand) == (10 - came, came)
        assert Transfer.objects.get(pk=transfer).status == ("RECEIVED" if came else "CANCELLED")


def test_what_is_given_up_as_lost_does_not_come_back() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        transfer = sent((level, 4))
        outcomes = together(arrive(transfer, (level, 1), close=True), cancel(transfer), arrive(transfer))
        assert kinds(outcomes) == {"Transferred": 1, "TransferClosed": 2}
        line = TransferLine.objects.get(transfer=transfer)
        ended = (line.quantity_received, line.quantity_lost, line.quantity_returned)
        assert ended == [(1, 3, 0), (0, 0, 4), (4, 0, 0)][[isinstance(o, Transferred) for o in outcomes].index(True)]


def test_20_sends_of_one_draft_send_it_once() -> None:
    level = make_level(100)
    request = wanted((level, 4))
    draft_transfer(request)
    outcomes = together(*(partial(send_transfer, SendRequest(ACTOR, request.id)) for _ in range(20)))
    assert kinds(outcomes) == {"Transferred": 1, "TransferAlreadySent": 19}
    assert counters(level) == (96, 0)


def test_a_draft_is_sent_as_it_was_or_as_it_is() -> None:
    for _ in range(ROUNDS):
        level = make_level(100)
        request = wanted((level, 4))
        draft_transfer(request)
        changed, gone = together(
            partial(change_draft, request.id, wanted((level, 7))),
            partial(send_transfer, SendRequest(ACTOR, request.id)),
        )
        assert isinstance(gone, Transferred)
        assert isinstance(changed, Transferred | TransferAlreadySent)
        assert counters(level) == (93 if isinstance(changed, Transferred) else 96, 0)


def test_a_key_lets_a_part_arrive_once() -> None:
    level = make_level(10)
    transfer = sent((level, 9))
    line = (Arrived(level.product_id, None, 2),)
    claim = Claim(uuid4(), "key", fingerprint("POST", "/", b""), lambda done: StoredAnswer(200, b"{}"))
    request = ReceiveRequest(ACTOR, transfer, line, claim=claim)
    outcomes = together(*(partial(receive_transfer, request) for _ in range(10)))
    assert sum(isinstance(outcome, Transferred) for outcome in outcomes) == 1
    assert all(isinstance(each, Transferred | StoredAnswer | IdempotencyInProgress) for each in outcomes), outcomes
    assert isinstance(receive_transfer(request), StoredAnswer)
    assert counters(there(level)) == (2, 0)


def test_what_is_expected_counts_every_transfer_that_was_before() -> None:
    level = make_level(100)
    receive(level.product_id, 5, "wh-002")
    outcomes = together(*(partial(start_transfer, wanted((level, 2))) for _ in range(8)))
    assert sorted(each for done in outcomes for each in done.expected.values()) == list(range(7, 22, 2))


def test_first_transfers_to_a_warehouse_make_its_level_once() -> None:
    level = make_level(100)
    outcomes = together(*(partial(start_transfer, wanted((level, 2))) for _ in range(8)))
    assert kinds(outcomes) == {"Transferred": 8}
    assert there(level).incoming_quantity == 16


def test_transfers_in_opposite_directions_never_deadlock() -> None:
    levels = [make_level(1000) for _ in range(6)]
    for level in levels:
        receive(level.product_id, 1000, "wh-002")
    lines = [(level, 1) for level in levels]
    work = [partial(start_transfer, wanted(*(lines if n % 2 else lines[::-1]), back=n % 4 < 2)) for n in range(12)]
    assert kinds(together(*work)) == {"Transferred": 12}


def test_a_transfer_that_stays_locked_is_busy_within_the_lock_timeout(settings: Settings) -> None:
    level = make_level(10)
    transfer = sent((level, 4))
    settings.LOCK_TIMEOUT = 0.5
    with stranger() as other:
        other.execute("SELECT FROM inventory_transfer WHERE id = %s FOR NO KEY UPDATE", [transfer])
        outcomes = together(arrive(transfer), cancel(transfer), arrive(transfer, (level, 1), close=True))
    assert [type(outcome) for outcome in outcomes] == [Busy] * 3
    assert (counters(level), there(level).incoming_quantity) == ((6, 0), 4)


def test_a_command_that_waited_for_a_document_decides_on_its_new_state() -> None:
    level = make_level(10)
    transfer = sent((level, 4))
    with stranger() as other:
        other.execute("SELECT FROM inventory_transfer WHERE id = %s FOR NO KEY UPDATE", [transfer])
        crew = Crew(arrive(transfer, (level, 3)), arrive(transfer, (level, 3)))
        await_waiting(2)
        other.rollback()
    assert kinds(crew.join()) == {"Transferred": 1, "MoreThanInTransit": 1}

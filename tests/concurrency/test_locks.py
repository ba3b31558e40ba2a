"""The lock order, lock timeouts and deadlocks."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from msgspec.structs import replace
from pytest_django import Settings
from uuid_utils.compat import uuid7

from audit.errors import Busy
from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.models import StockLevel
from inventory.services.drafts import posting, receiving
from inventory.services.drafts.lines import LineCommand
from inventory.services.drafts.posting import PostDraftRequest
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
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
from inventory.services.transfers.redirecting import RedirectRequest, redirect_transfer
from reservations.services.holds.baskets import empty_basket, put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import PlacedHold, place_hold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.concurrency.statements import Step, assert_lock_order, checked, step_of
from tests.concurrency.threads import Crew, await_waiting, stranger, together
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    make_due,
    make_level,
    make_product,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

CLERK = replace(ACTOR, account_id=1)


def stored(outcome: Any) -> StoredAnswer:
    return StoredAnswer(200, b"{}")


def claim() -> Claim:
    return Claim(uuid4(), "key", fingerprint("POST", "/", b""), stored)


def due(held: Hold) -> Hold:
    make_due(held.id)
    return held


Verbs = dict[str, tuple[Callable[[], Any], list[Step]]]
"""Commands, and the locks of each one's last transaction."""


def verbs(level: StockLevel, held: Hold) -> Verbs:
    """All commands on ten units, of which the cart holds three."""
    return verbs_of_holds(level, held) | verbs_of_stock(level) | verbs_of_documents(level)


def verbs_of_holds(level: StockLevel, held: Hold) -> Verbs:
    """The commands on holds."""
    by_id, by_cart = Selector(reservation_id=held.id), Selector(cart_id=held.cart_id)
    claims, cart, holds, levels = Step.CLAIM, Step.CART, Step.HOLDS, Step.LEVELS

    def consume(selector: Selector, *, reacquire: bool = False) -> Callable[[], Any]:
        return partial(consume_hold, ConsumeRequest(ACTOR, "order-1", selector, reacquire, claim()))

    def release(selector: Selector) -> ReleaseRequest:
        return ReleaseRequest(ACTOR, selector, claim=claim())

    return {
        "hold": (partial(place_hold, hold_request((level, 2), claim=claim())), [claims, levels]),
        "batch": (lambda: place_holds([hold_request((level, 1), claim=claim()) for _ in range(5)]), [claims, levels]),
        "hold what is due": (
            lambda: (due(held), place_hold(hold_request((level, 20), claim=claim())))[1],
            [claims, levels],
        ),
        "extend": (partial(extend_hold, ExtendRequest(ACTOR, Selector(held.id), 5, claim())), [claims, holds]),
        "release": (partial(release_hold, release(by_id)), [claims, holds, levels]),
        "release a cart": (partial(release_hold, release(by_cart)), [claims, holds, levels]),
        "consume": (consume(by_id), [claims, holds, levels]),
        "consume a cart": (consume(by_cart), [claims, holds, levels]),
        "reacquire": (lambda: (due(held), consume(by_id, reacquire=True)())[1], [claims, holds, levels]),
        "reacquire a cart": (lambda: (due(held), consume(by_cart, reacquire=True)())[1], [claims, holds, levels]),
        "put a basket": (
            partial(put_basket, hold_request((level, 5), cart_id=held.cart_id, claim=claim())),
            [claims, cart, holds, levels],
        ),
        "put a first basket": (
            partial(put_basket, hold_request((level, 5), cart_id="new", claim=claim())),
            [claims, cart, holds, levels],
        ),
        "empty a basket": (partial(empty_basket, release(by_cart)), [claims, cart, holds, levels]),
        "sweep": (lambda: (due(held), expire_due_holds(batch_size=1))[1], [holds, levels]),
    }


def verbs_of_stock(level: StockLevel) -> Verbs:
    """The commands that move stock at once."""
    line = Adjustment(level.product_id, None, "wh-001", 5, "RECEIPT", "goods in")
    return {
        "adjust": (partial(apply_adjustments, AdjustRequest(ACTOR, (line,), claim())), [Step.CLAIM, Step.LEVELS]),
        "transfer": (partial(start_transfer, transfer_of(level)), [Step.CLAIM, Step.LEVELS]),
    }


def verbs_of_documents(level: StockLevel) -> Verbs:
    """The commands on transfers, and on drafts of deliveries and arrivals."""
    claims, levels = Step.CLAIM, Step.LEVELS
    return {
        "draft a transfer": (partial(draft_transfer, transfer_of(level)), [claims]),
        "change a draft": (
            lambda: change_draft(made(draft_transfer, level), transfer_of(level)),
            [claims, Step.DOCUMENT],
        ),
        "send a draft": (
            lambda: send_transfer(SendRequest(ACTOR, made(draft_transfer, level), claim())),
            [claims, Step.DOCUMENT, levels],
        ),
        "receive a transfer": (
            lambda: receive_transfer(ReceiveRequest(ACTOR, made(start_transfer, level), close=True, claim=claim())),
            [claims, Step.DOCUMENT, levels],
        ),
        "post a delivery": (
            lambda: posting.post_delivery(PostDraftRequest(CLERK, delivery_of(level), 2, claim())),
            [claims, Step.DOCUMENT, levels],
        ),
        "post an arrival": (
            lambda: posting.post_arrival(PostDraftRequest(CLERK, arrival_of(level), 2, claim(), received="0 0 0")),
            [claims, Step.DOCUMENT, Step.DOCUMENT, Step.DOCUMENT, levels],
        ),
        "redirect a transfer": (
            lambda: redirect_transfer(RedirectRequest(ACTOR, made(start_transfer, level), "wh-003", claim=claim())),
            [claims, Step.DOCUMENT, levels],
        ),
        "redirect the rest": (
            lambda: redirect_transfer(RedirectRequest(ACTOR, partly_received(level), "wh-003", claim=claim())),
            [claims, Step.DOCUMENT, levels],
        ),
        "cancel a transfer": (
            lambda: cancel_transfer(CancelTransferRequest(ACTOR, made(start_transfer, level), claim=claim())),
            [claims, Step.DOCUMENT, levels],
        ),
    }


def transfer_of(level: StockLevel) -> TransferRequest:
    return TransferRequest(ACTOR, (MoveLine(level.product_id, None, 2, "wh-001", "wh-002"),), claim=claim())


def made(make: Callable[[TransferRequest], Any], level: StockLevel) -> UUID:
    """Make a transfer for a command to change. Returns its id."""
    document: UUID = make(transfer_of(level)).document.id
    return document


def partly_received(level: StockLevel) -> UUID:
    """A transfer of which one unit of two has arrived."""
    moving = made(start_transfer, level)
    receive_transfer(ReceiveRequest(ACTOR, moving, (Arrived(level.product_id, None, 1),)))
    return moving


def delivery_of(level: StockLevel) -> UUID:
    """The draft of a delivery with one line."""
    draft = receiving.open_delivery(CLERK, "wh-001", "")
    receiving.change_lines(CLERK, draft, [LineCommand(uuid7(), level.product_id)])
    return draft


def arrival_of(level: StockLevel) -> UUID:
    """The draft of an arrival with one line."""
    draft = receiving.open_arrival(CLERK, made(start_transfer, level))
    receiving.change_lines(CLERK, draft, [LineCommand(uuid7(), level.product_id)])
    return draft


VERBS = [
    "hold",
    "batch",
    "hold what is due",
    "extend",
    "release",
    "release a cart",
    "consume",
    "consume a cart",
    "reacquire",
    "reacquire a cart",
    "put a basket",
    "put a first basket",
    "empty a basket",
    "sweep",
    "adjust",
    "transfer",
    "draft a transfer",
    "change a draft",
    "send a draft",
    "receive a transfer",
    "redirect a transfer",
    "redirect the rest",
    "cancel a transfer",
    "post a delivery",
    "post an arrival",
]
WITHOUT_LEVELS = {"extend", "sweep", "draft a transfer", "change a draft"}
AFTER_A_HOLD_FELL_DUE = {"hold what is due", "reacquire", "reacquire a cart", "sweep"}
OF_A_TRANSFER_MADE_BEFORE = {
    "change a draft",
    "send a draft",
    "receive a transfer",
    "redirect a transfer",
    "cancel a transfer",
}
OF_A_DRAFT_MADE_BEFORE = {"post a delivery": 2, "post an arrival": 3, "redirect the rest": 2}
"""Each with the number of transactions that make the document."""
BLOCKED_BY_A_LEVEL = [
    name for name in VERBS if name not in WITHOUT_LEVELS | OF_A_TRANSFER_MADE_BEFORE | OF_A_DRAFT_MADE_BEFORE.keys()
]


@pytest.mark.parametrize("name", VERBS)
def test_levels_are_locked_last_and_nothing_but_writes_follows(name: str) -> None:
    level = make_level(10)
    make_warehouse("wh-003")
    for code in ("wh-002", "wh-003"):
        receive(level.product_id, 10, code)
    work, locks = verbs(level, hold((level, 3)))[name]
    _, transactions = checked(work)
    made_before = int(name in AFTER_A_HOLD_FELL_DUE | OF_A_TRANSFER_MADE_BEFORE)
    made_before += OF_A_DRAFT_MADE_BEFORE.get(name, 0)
    assert len(transactions) == {"hold what is due": 3, "sweep": 2}.get(name, 1) + made_before
    writing = [steps for steps in map(steps_of, transactions) if Step.WRITE in steps]
    assert [step for step in writing[-1] if step is not Step.WRITE] == locks


def steps_of(statements: list[str]) -> list[Step]:
    return [step for step in map(step_of, statements) if step]


def test_order_of_a_first_receipt_is_kept_too() -> None:
    product = make_product()
    line = Adjustment(product.id, None, "wh-002", 5, "RECEIPT", "first")
    adjusted, _ = checked(partial(apply_adjustments, AdjustRequest(ACTOR, (line,), claim())))
    assert isinstance(adjusted, Adjusted)


@pytest.mark.parametrize(
    "statements",
    [
        [
            "SELECT FROM inventory_stocklevel FOR NO KEY UPDATE",
            "SELECT FROM reservations_reservation FOR NO KEY UPDATE",
        ],
        ["INSERT INTO audit_auditentry", "SELECT FROM inventory_stocklevel FOR NO KEY UPDATE"],
        ["SELECT FROM inventory_stocklevel FOR NO KEY UPDATE", "SELECT 1", "UPDATE inventory_stocklevel"],
        ["SELECT FROM inventory_stocklevel FOR NO KEY UPDATE"] * 2,
        ["UPDATE inventory_stocklevel SET reserved = 1"],
        ["SELECT FROM inventory_product FOR UPDATE"],
    ],
)
def test_broken_order_would_be_seen(statements: list[str]) -> None:
    with pytest.raises(AssertionError):
        assert_lock_order(statements)


def test_deadlock_with_a_stranger_is_tried_again() -> None:
    first, second = sorted((make_level(10), make_level(10)), key=lambda level: level.id)
    with stranger() as other:
        other.execute("SET LOCAL deadlock_timeout = '1min'")  # Long, so that the service is the deadlock's victim.
        lock = "SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE"
        other.execute(lock, [second.id])
        buyer = Crew(partial(place_hold, hold_request((first, 2), (second, 2))))
        await_waiting(1)
        circle = Crew(lambda: other.execute(lock, [first.id]) and None)
        circle.join()  # It gets the lock because the buyer, who had it, was the deadlock's victim.
        assert not buyer.are_done(0)
        other.commit()
    assert isinstance(buyer.join()[0], PlacedHold)
    assert [counters(first), counters(second)] == [(10, 2), (10, 2)]


@pytest.mark.parametrize("name", BLOCKED_BY_A_LEVEL)
def test_level_that_stays_locked_is_busy_within_the_lock_timeout(name: str, settings: Settings) -> None:
    level = make_level(10)
    held = hold((level, 3))
    work, _ = verbs(level, held)[name]
    settings.LOCK_TIMEOUT = 0.5
    before = counters(level), rows()
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        started = time.monotonic()
        (refused,) = together(work)
        seconds = time.monotonic() - started
    assert isinstance(refused, Busy), refused
    assert 0.4 < seconds < 8  # The timeout above, not the default of 10 seconds.
    assert (counters(level), rows()) == before


def test_reservation_that_stays_locked_is_busy_within_the_lock_timeout(settings: Settings) -> None:
    level = make_level(10)
    held = hold((level, 3))
    settings.LOCK_TIMEOUT = 0.5
    before = counters(level), rows()
    with stranger() as other:
        other.execute("SELECT FROM reservations_reservation WHERE id = %s FOR NO KEY UPDATE", [held.id])
        outcomes = together(
            *(
                verbs(level, held)[name][0]
                for name in ("extend", "release", "consume", "put a basket", "empty a basket")
            )
        )
    assert [type(outcome) for outcome in outcomes] == [Busy] * 5
    assert (counters(level), rows()) == before


def test_lock_that_is_given_back_in_time_is_worth_the_wait(settings: Settings) -> None:
    level = make_level(10)
    held = hold((level, 3))
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        crew = Crew(verbs(level, held)["consume"][0])
        await_waiting()
        time.sleep(0.5)
        assert not crew.are_done(0)
        other.rollback()
    assert isinstance(crew.join()[0], Resolved)


def test_refusal_by_a_lock_leaves_the_connection_as_it_was(settings: Settings) -> None:
    level = make_level(10)
    settings.LOCK_TIMEOUT = 0.3

    def refused_then_free() -> list[str]:
        with pytest.raises(Busy):
            place_hold(hold_request((level, 1)))
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            return list(cursor.fetchone())

    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        assert together(refused_then_free) == [["0", "0"]]


def rows() -> list[int]:
    """The number of rows in each table that commands write."""
    tables = ["audit_auditentry", "audit_outboxevent", "audit_idempotencykey", "inventory_movement"]
    counts = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in [*tables, "reservations_reservation"])
    with connection.cursor() as cursor:
        cursor.execute(counts)
        return [row[0] for row in cursor.fetchall()]

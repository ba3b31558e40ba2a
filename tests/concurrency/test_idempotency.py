"""Many requests with one key: executed once, and the others don't wait."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from audit.errors import IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.models import IdempotencyKey
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation
from reservations.services.holds.baskets import empty_basket, put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold
from reservations.services.holds.placing import PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.concurrency.threads import Crew, await_true, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
CLIENT = UUID("00000000-0000-7000-8000-000000000001")


def stored(outcome: Any) -> StoredAnswer:
    return StoredAnswer(201, type(outcome).__name__.encode())


def make_claim(body: bytes = b"{}") -> Claim:
    return Claim(CLIENT, "the key", fingerprint("POST", "/reserve", body), stored)


def test_one_key_from_12_threads_makes_one_hold() -> None:
    level = make_level(100)
    claim = make_claim()
    for _ in range(3):
        jobs = [partial(place_hold, hold_request((level, 1), claim=claim)) for _ in range(12)]
        outcomes = together(*jobs)
        held = [outcome for outcome in outcomes if isinstance(outcome, PlacedHold)]
        others = [outcome for outcome in outcomes if not isinstance(outcome, PlacedHold)]
        assert len(held) <= 1
        assert all(o == StoredAnswer(201, b"PlacedHold") or isinstance(o, IdempotencyInProgress) for o in others), (
            others
        )
    assert counters(level) == (100, 1)
    assert IdempotencyKey.objects.count() == 1


def verbs(level: StockLevel, held: Hold) -> dict[str, tuple[Callable[[Claim], Any], type]]:
    selector = Selector(reservation_id=held.id)
    cart = Selector(cart_id=held.cart_id)
    receipt = Adjustment(level.product_id, None, "wh-001", 5, "RECEIPT", "goods in")
    return {
        "place_hold": (lambda claim: place_hold(hold_request((level, 1), claim=claim)), PlacedHold),
        "extend": (lambda claim: extend_hold(ExtendRequest(ACTOR, Selector(held.id), 5, claim)), Extended),
        "release": (lambda claim: release_hold(ReleaseRequest(ACTOR, selector, claim=claim)), Resolved),
        "consume": (lambda claim: consume_hold(ConsumeRequest(ACTOR, "order-1", selector, claim=claim)), Resolved),
        "adjust": (lambda claim: apply_adjustments(AdjustRequest(ACTOR, (receipt,), claim)), Adjusted),
        "put_basket": (
            lambda claim: put_basket(hold_request((level, 2), cart_id=held.cart_id, claim=claim)),
            PlacedHold,
        ),
        "empty_basket": (lambda claim: empty_basket(ReleaseRequest(ACTOR, cart, claim=claim)), Resolved),
    }


@pytest.mark.parametrize("name", ["place_hold", "extend", "release", "consume", "adjust", "put_basket", "empty_basket"])
def test_a_repeated_request_does_not_wait_for_the_first_one(name: str) -> None:
    level = make_level(10)
    held = hold((level, 3))
    work, answer = verbs(level, held)[name]
    with stranger() as other:
        # The first request has its claim and all its locks, and waits for the last of them.
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR UPDATE", [level.id])
        other.execute("SELECT FROM reservations_reservation WHERE id = %s FOR UPDATE", [held.id])
        first = Crew(partial(work, make_claim()))
        await_true(lambda: is_claimed(make_claim()), "the claim")
        outcomes = together(*(partial(work, make_claim()) for _ in range(4)), seconds=5)
        assert not first.are_done(0)
        other.rollback()
    assert [type(outcome) for outcome in outcomes] == [IdempotencyInProgress] * 4
    assert isinstance(first.join()[0], answer)
    again = work(make_claim())
    assert again == StoredAnswer(201, answer.__name__.encode())


def is_claimed(claim: Claim) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND (classid::bigint << 32) + objid::bigint = %s)",
            [claim.lock],
        )
        return bool(cursor.fetchone()[0])


def test_stored_answer_is_given_while_the_stock_is_locked() -> None:
    level = make_level(10)
    request = hold_request((level, 1), claim=make_claim())
    assert isinstance(place_hold(request), PlacedHold)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR UPDATE", [level.id])
        again = hold_request((level, 1), claim=make_claim())
        assert together(partial(place_hold, again), seconds=5) == [StoredAnswer(201, b"PlacedHold")]
    assert list(Reservation.objects.values_list("id", flat=True)) == [request.id]


def test_key_of_a_refused_request_is_free_again() -> None:
    level = make_level(10)
    claim = make_claim()
    outcomes = together(*(partial(place_hold, hold_request((level, 11), claim=claim)) for _ in range(6)))
    assert not any(isinstance(outcome, PlacedHold | StoredAnswer) for outcome in outcomes)
    assert isinstance(place_hold(hold_request((level, 10), claim=make_claim(b"less"))), PlacedHold)


def test_keys_of_two_clients_are_two_keys() -> None:
    level = make_level(10)
    claims = [Claim(uuid4(), "the key", fingerprint("POST", "/reserve", b"{}"), stored) for _ in range(6)]
    outcomes = together(*(partial(place_hold, hold_request((level, 1), claim=claim)) for claim in claims))
    assert [type(outcome) for outcome in outcomes] == [PlacedHold] * 6

"""A hold can be extended once, counted from its previous end."""

from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import DomainError
from reservations.errors import (
    AlreadyExtended,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
)
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold, extend_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.factories import ACTOR, counters, hold, make_due, make_level, make_store, published, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def extend(made: Hold, minutes: int = 15, actor: Actor = ACTOR) -> Extended:
    held = extend_hold(ExtendRequest(actor, Selector(made.id), minutes))
    assert isinstance(held, Extended)
    return held


@pytest.mark.parametrize("minutes", [1, 15])
def test_the_end_moves_from_where_it_was(minutes: int) -> None:
    level = make_level(10)
    made = hold((level, 3), timeout_minutes=60)
    held = extend(made, minutes)
    assert held.holds[0].expires_at == made.expires_at + timedelta(minutes=minutes)
    row = Reservation.objects.get(pk=made.id)
    assert (row.expires_at, row.extended_at) == (held.holds[0].expires_at, held.now)
    assert ReservationItem.objects.get(reservation=made.id).held_until == row.expires_at
    assert counters(level) == (10, 3)
    (entry,) = recorded("inventory_reservation_extended")
    assert entry.subject_id == made.id
    assert len(entry.changes["expiresAt"]) == 2
    assert published("InventoryExtendedEvent")[0]["reservationId"] == made.public_id


def test_a_hold_is_extended_once() -> None:
    made = hold((make_level(10), 1))
    first = extend(made, 1)
    with pytest.raises(AlreadyExtended):
        extend(made, 1)
    assert Reservation.objects.get(pk=made.id).expires_at == first.holds[0].expires_at


def end(made: Hold, how: str) -> None:
    selector = Selector(reservation_id=made.id)
    if how == "due":
        make_due(made.id)
    elif how == "released":
        release_hold(ReleaseRequest(ACTOR, selector))
    elif how == "consumed":
        consume_hold(ConsumeRequest(ACTOR, "order", selector))
    else:
        make_due(made.id)
        release_hold(ReleaseRequest(ACTOR, selector))


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("due", ReservationExpired),
        ("expired", ReservationExpired),
        ("released", ReservationReleased),
        ("consumed", ReservationConsumed),
    ],
)
@pytest.mark.parametrize("extended", [False, True])
def test_what_has_ended_is_not_extended(how: str, error: type[DomainError], *, extended: bool) -> None:
    made = hold((make_level(10), 1))
    if extended:
        extend(made)
    end(made, how)
    with pytest.raises(error):
        extend(made)


def test_only_holds_in_the_actors_reach_are_extended() -> None:
    make_store("outlet", "wh-001", is_default=False)
    made = hold((make_level(10), 1))
    with pytest.raises(ReservationNotFound):
        extend(made, actor=Actor("x", None, "", "api", ("outlet",)))
    with pytest.raises(ReservationNotFound):
        extend_hold(ExtendRequest(ACTOR, Selector(uuid7()), 1))
    assert Reservation.objects.get(pk=made.id).extended_at is None


@pytest.mark.parametrize("selector", [Selector(cart_id="c"), Selector(order_id="o")])
def test_all_active_holds_of_a_cart_or_order_are_extended(selector: Selector) -> None:
    level = make_level(20)
    made = [hold((level, n), cart_id="c", order_id="o", timeout_minutes=20) for n in (1, 2, 3, 4)]
    other = hold((level, 5), cart_id="d", order_id="p")
    end(made[0], "due")
    end(made[1], "released")
    extended = extend_hold(ExtendRequest(ACTOR, selector, 10))
    assert isinstance(extended, Extended)
    assert [each.id for each in extended.holds] == [each.id for each in made[2:]]
    for each in made[2:]:
        row = Reservation.objects.get(pk=each.id)
        assert (row.expires_at, row.extended_at) == (each.expires_at + timedelta(minutes=10), extended.now)
    untouched = Reservation.objects.filter(pk__in=[made[0].id, made[1].id, other.id])
    assert set(untouched.values_list("extended_at", flat=True)) == {None}
    assert len(recorded("inventory_reservation_extended")) == len(published("InventoryExtendedEvent")) == 2
    assert_books_balance()


def test_of_a_cart_all_holds_are_extended_or_none() -> None:
    level = make_level(20)
    first, second = hold((level, 1), cart_id="c"), hold((level, 1), cart_id="c")
    extend(first, 1)
    with pytest.raises(AlreadyExtended) as refused:
        extend_hold(ExtendRequest(ACTOR, Selector(cart_id="c"), 5))
    (fault,) = refused.value.faults
    assert (fault.pointer, fault.facts) == ("/cartId", {"reservationId": first.public_id})
    assert Reservation.objects.get(pk=second.id).extended_at is None


@pytest.mark.parametrize(
    ("how", "error"),
    [("due", ReservationExpired), ("released", ReservationReleased), ("consumed", ReservationConsumed)],
)
def test_a_cart_without_active_holds_is_refused_as_its_newest_hold_ended(how: str, error: type[DomainError]) -> None:
    level = make_level(10)
    end(hold((level, 1), cart_id="c"), "released" if how == "due" else "due")
    end(hold((level, 1), cart_id="c"), how)
    with pytest.raises(error):
        extend_hold(ExtendRequest(ACTOR, Selector(cart_id="c"), 5))


def test_requests_of_a_batch_are_decided_one_after_the_other() -> None:
    level = make_level(10)
    first, second = hold((level, 1), cart_id="c"), hold((level, 1), cart_id="c")
    selectors = [Selector(first.id), Selector(cart_id="c"), Selector(second.id), Selector(cart_id="never")]
    outcomes = extend_holds([ExtendRequest(ACTOR, selector, 5) for selector in selectors])
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Extended", "AlreadyExtended", "Extended", "ReservationNotFound"]


def test_of_a_cart_only_holds_in_the_actors_reach_are_extended() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    made = [hold((level, 1), cart_id="c", store=code) for code in ("main", "outlet")]
    extended = extend_hold(ExtendRequest(Actor("x", None, "", "api", ("outlet",)), Selector(cart_id="c"), 5))
    assert isinstance(extended, Extended)
    assert [each.id for each in extended.holds] == [made[1].id]


def test_over_http_the_answer_is_a_list_with_the_fields_of_a_named_reservation_beside_it(api: Api) -> None:
    level = make_level(10)
    made = [hold((level, 1), cart_id="c", order_id="o"), hold((level, 1), cart_id="c")]
    sent = {"cartId": "c", "minutes": 5}
    answers = [api.post("extend", sent, Idempotency_Key="k") for _ in range(2)]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    for answer in map(body_of, answers):
        assert answer.keys() == {"status", "reservations"}
        assert [each["reservationId"] for each in answer["reservations"]] == [each.public_id for each in made]
        assert {each["status"] for each in answer["reservations"]} == {answer["status"]} == {"EXTENDED"}
    refused = problem(api.post("extend", {"orderId": "o"}), 409, "already_extended")
    assert [(each["pointer"], each["reservationId"]) for each in refused["errors"]] == [("/orderId", made[0].public_id)]
    third = hold((level, 1))
    alone = body_of(api.post("extend", {"reservationId": third.public_id}))
    assert alone.pop("reservations") == [alone]
    assert alone["reservationId"] == third.public_id
    problem(api.post("extend", {"orderId": "never"}), 404, "reservation_not_found")
    for body in ({}, {"cartId": "c", "orderId": "o"}, {"reservationId": third.public_id, "cartId": "c"}):
        problem(api.post("extend", body), 400, "invalid")


@pytest.mark.parametrize("minutes", [0, 16, -1])
def test_an_extension_is_1_to_15_minutes(api: Api, minutes: int) -> None:
    made = hold((make_level(10), 1))
    assert api.post("extend", {"reservationId": made.public_id, "minutes": minutes}).status_code == 400


def test_an_extension_is_15_minutes_where_none_are_given_and_answers_as_a_hold(api: Api) -> None:
    made = hold((make_level(10), 2), timeout_minutes=1)
    answer = api.post("extend", {"reservationId": made.public_id}).json()  # type: ignore[attr-defined]
    assert (answer["status"], answer["reservationId"]) == ("EXTENDED", made.public_id)
    assert 15 * 60 < answer["expiresInSeconds"] <= 16 * 60
    response = api.post("extend", {"reservationId": made.public_id})
    assert (response.status_code, response.json()["code"]) == (409, "already_extended")  # type: ignore[attr-defined]

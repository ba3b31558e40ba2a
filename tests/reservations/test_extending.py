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
from reservations.services.holds.placing import ExtendRequest, PlacedHold, extend_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Selector, consume_hold, release_hold
from tests.conftest import Api
from tests.factories import ACTOR, counters, hold, make_due, make_level, make_store, published, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def extend(made: Hold, minutes: int = 15, actor: Actor = ACTOR) -> PlacedHold:
    held = extend_hold(ExtendRequest(actor, made.id, minutes))
    assert isinstance(held, PlacedHold)
    return held


@pytest.mark.parametrize("minutes", [1, 15])
def test_the_end_moves_from_where_it_was(minutes: int) -> None:
    level = make_level(10)
    made = hold((level, 3), timeout_minutes=60)
    held = extend(made, minutes)
    assert held.hold.expires_at == made.expires_at + timedelta(minutes=minutes)
    row = Reservation.objects.get(pk=made.id)
    assert (row.expires_at, row.extended_at) == (held.hold.expires_at, held.now)
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
    assert Reservation.objects.get(pk=made.id).expires_at == first.hold.expires_at


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
        extend_hold(ExtendRequest(ACTOR, uuid7(), 1))
    assert Reservation.objects.get(pk=made.id).extended_at is None


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

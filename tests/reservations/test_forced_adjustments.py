"""Holds give way to forced adjustments; incidents, and the choice of holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import Invalid, NotFound, VersionConflict
from inventory.errors import (
    InsufficientStock,
)
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.errors import IncidentResolved, ReservationNotFound
from reservations.models import ShortageIncident
from reservations.services.shortages.incidents import ResolveRequest, read_incident, resolve_incident
from reservations.services.shortages.shortage import HeldUnits, choose_holds
from tests.books import assert_books_balance
from tests.counts import counted, post
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_level,
    make_store,
    make_variant,
    recorded,
)
from tests.reservations.shortages import status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def force(level: StockLevel, quantity: int, **fields: Any) -> Adjusted:
    line = Adjustment(level.product_id, None, "wh-001", quantity, "ADJUSTMENT", "stolen", force=True, **fields)
    adjusted = apply_adjustments(AdjustRequest(ACTOR, (line,)))
    assert isinstance(adjusted, Adjusted)
    assert_books_balance()
    return adjusted


# --- forced adjustments ----------------------------------------------------------------------------------------------


def test_a_forced_adjustment_has_holds_give_way() -> None:
    level = make_level(10)
    older, newest = hold((level, 4)), hold((level, 4))
    adjusted = force(level, -5)
    assert counters(level) == (5, 4)
    assert (status(older), status(newest)) == (("ACTIVE", ""), ("RELEASED", "shortage"))
    incident = ShortageIncident.objects.get()
    assert (incident.cause_type, incident.cause_id, incident.missing_units) == ("ADJUSTMENT", adjusted.id, 3)
    assert recorded("inventory_stock_adjusted")[-1].changes["force"] is True


def test_without_force_no_hold_is_broken() -> None:
    level, other = make_level(10), make_level(10)
    made = hold((level, 8))
    lines = (
        Adjustment(level.product_id, None, "wh-001", -5, "ADJUSTMENT", "stolen"),
        Adjustment(other.product_id, None, "wh-001", -5, "ADJUSTMENT", "stolen", force=True),
    )
    with pytest.raises(InsufficientStock):
        apply_adjustments(AdjustRequest(ACTOR, lines))
    assert (status(made), counters(level), counters(other)) == (("ACTIVE", ""), (10, 8), (10, 0))


def test_even_with_force_on_hand_never_falls_below_zero() -> None:
    level = make_level(10)
    made = hold((level, 8))
    with pytest.raises(InsufficientStock):
        force(level, -11)
    assert (status(made), counters(level)) == (("ACTIVE", ""), (10, 8))


@pytest.mark.parametrize("kind", ["RECEIPT", "RETURN", "SHIPMENT"])
def test_only_an_adjustment_is_forced(kind: str) -> None:
    level = make_level(10)
    plain = Adjustment(level.product_id, None, "wh-001", 1, "ADJUSTMENT", "r", force=True)
    with pytest.raises(Invalid) as refused:
        apply_adjustments(AdjustRequest(ACTOR, (plain, msgspec.structs.replace(plain, type=kind))))
    assert [fault.pointer for fault in refused.value.faults] == ["/adjustments/1/force"]


def test_a_forced_adjustment_of_an_old_version_is_refused() -> None:
    level = make_level(10)
    hold((level, 8))
    level.refresh_from_db()
    with pytest.raises(VersionConflict):
        force(level, -5, expected_version=level.version - 1)
    force(level, -5, expected_version=level.version)


def test_force_creates_a_missing_level_like_any_adjustment() -> None:
    level = make_level(10)
    variant = make_variant(level.product)
    line = Adjustment(variant.id, None, "wh-001", 3, "ADJUSTMENT", "found", force=True)
    apply_adjustments(AdjustRequest(ACTOR, (line,)))
    assert StockLevel.objects.get(product=variant).on_hand == 3


# --- incidents -------------------------------------------------------------------------------------------------------


def test_an_incident_is_resolved_once() -> None:
    level = make_level(10)
    hold((level, 8))
    post(counted((level, 5)))
    incident = ShortageIncident.objects.get()
    resolve_incident(ResolveRequest(ACTOR, incident.id, "called the customer"))
    incident.refresh_from_db()
    assert (incident.status, incident.resolved_by, incident.resolution) == ("RESOLVED", "tests", "called the customer")
    (entry,) = recorded("inventory_shortage_resolved")
    assert (entry.subject_id, entry.changes) == (incident.id, {"resolution": "called the customer"})
    with pytest.raises(IncidentResolved):
        resolve_incident(ResolveRequest(ACTOR, incident.id, "again"))


def test_an_incident_outside_the_actors_stores_is_not_found() -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    hold((level, 8))
    post(counted((level, 5)))
    incident = ShortageIncident.objects.get()
    outlet = msgspec.structs.replace(ACTOR, store_codes=("outlet",))
    with pytest.raises(NotFound):
        read_incident(incident.id, outlet)
    with pytest.raises(NotFound):
        resolve_incident(ResolveRequest(outlet, incident.id, "mine"))


def test_of_another_stores_hold_only_the_units_are_shown() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    mine, theirs = hold((level, 3)), hold((level, 5), store="outlet")
    post(counted((level, 0)))
    incident = ShortageIncident.objects.get()
    shown = read_incident(incident.id, msgspec.structs.replace(ACTOR, store_codes=("main",)))
    assert ([row.reservation_id for row in shown.broken], shown.hidden_units) == ([mine.id], 5)
    everything = read_incident(incident.id, ACTOR)
    assert {row.reservation_id for row in everything.broken} == {mine.id, theirs.id}


def test_another_stores_hold_can_not_be_chosen_by_name() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    theirs = hold((level, 5), store="outlet")
    with pytest.raises(ReservationNotFound):
        post(counted((level, 0)), theirs.id, actor=msgspec.structs.replace(ACTOR, store_codes=("main",)))


# --- the choice ------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = [UUID(int=number) for number in range(3)]
held_units = st.lists(
    st.builds(
        HeldUnits,
        st.sampled_from(LEVELS),
        st.integers(1, 6).map(lambda number: UUID(int=number)),
        st.integers(1, 9),
        st.just(NOW),
        st.just(NOW),
    ),
    max_size=12,
    unique_by=lambda units: (units.level_id, units.reservation_id),
).map(lambda rows: [dated(units) for units in rows])


def dated(units: HeldUnits) -> HeldUnits:
    """Give each unit the times of its reservation: of six, the second and the fifth are due."""
    number = units.reservation_id.int
    until = NOW + timedelta(minutes=-1 if number in {2, 5} else 1)
    return replace(units, made_at=NOW - timedelta(minutes=number % 4), held_until=until)


@given(
    missing=st.dictionaries(st.sampled_from(LEVELS), st.integers(1, 20)),
    held=held_units,
    preferred=st.lists(st.integers(1, 6).map(lambda number: UUID(int=number)), unique=True, max_size=2),
)
def test_the_choice_frees_what_is_missing_and_no_hold_too_many(
    missing: dict[UUID, int], held: list[HeldUnits], preferred: list[UUID]
) -> None:
    chosen, is_enough = choose_holds(missing, held, preferred, NOW)

    def freed(level: UUID, without: UUID | None = None) -> int:
        return sum(u.quantity for u in held if u.level_id == level and u.reservation_id in set(chosen) - {without})

    assert is_enough is all(
        sum(units.quantity for units in held if units.level_id == level) >= count for level, count in missing.items()
    )
    if is_enough:
        assert all(freed(level) >= count for level, count in missing.items())
    assert len(set(chosen)) == len(chosen)
    assert all(any(u.reservation_id == id_ and u.level_id in missing for u in held) for id_ in chosen)
    if chosen:
        assert any(freed(level, chosen[-1]) < count for level, count in missing.items())

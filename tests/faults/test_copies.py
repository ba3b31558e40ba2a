"""The replicas of the soak test notice every kind of fault in a stream of events."""

from typing import Any

import pytest

from tests.faults.soak.copies import Copy

HOLD = "res-1"
ITEMS = [{"productId": "p", "warehouseId": "w", "quantity": 1}]


def level(version: int, before: int, on_hand: int, was: int) -> tuple[str, str, dict[str, Any]]:
    """A change of a level's units on hand."""
    previous, new = ({"onHand": units, "reserved": 0, "available": units} for units in (was, on_hand))
    change = {"version": version, "previousVersion": before, "previous": previous, "new": new}
    return "InventoryLevelChangedEvent", "level", {"eventId": f"ev-level-{version}", **change}


def hold(kind: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    """An event of a reservation."""
    payload = {"eventId": f"ev-{kind}", "items": ITEMS, "expiresAt": "2026-01-15T10:15:00.123456Z", "orderId": "o"}
    return f"Inventory{kind}Event", HOLD, payload | more


GOOD = [level(1, 0, 5, 0), hold("Reserved"), level(3, 1, 6, 5), hold("Extended"), hold("Consumed"), level(4, 3, 5, 6)]


def test_a_copy_follows_events_in_their_order_and_ignores_doubles() -> None:
    copy = Copy("a copy")
    assert [copy.apply(*event) for event in [*GOOD, *GOOD[3:]]] == [True] * 6 + [False] * 3
    assert copy.levels["level"]["version"] == 4
    assert (copy.holds, copy.ended, copy.sold, copy.doubles) == ({}, {HOLD}, {"o": 1}, 3)


@pytest.mark.parametrize(
    "events",
    [
        [GOOD[0], GOOD[5]],
        [GOOD[2]],
        [GOOD[0], level(2, 1, 7, 6)],
        [GOOD[0], level(0, 1, 5, 5)],
        [GOOD[3]],
        [GOOD[4]],
        [GOOD[1], GOOD[4], GOOD[3]],
        [GOOD[1], GOOD[4], hold("Released")],
        [GOOD[1], hold("Released", items=[])],
    ],
    ids=[
        "a missing change",
        "a change before its level is known",
        "a change from other counters",
        "a version that goes back",
        "an extended hold that is unknown",
        "a sold hold that is unknown",
        "an extended hold that has ended",
        "a hold that ends twice",
        "other items",
    ],
)
def test_a_copy_fails_by(events: list[tuple[str, str, dict[str, Any]]]) -> None:
    copy = Copy("a copy")
    for event in events[:-1]:
        copy.apply(*event)
    with pytest.raises((AssertionError, KeyError)):
        copy.apply(*events[-1])

"""Rules of holding stock."""

import pytest

from inventory.errors import InsufficientStock
from tests.factories import counters, hold, make_due, make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def test_a_hold_raises_reserved_and_leaves_on_hand() -> None:
    level = make_level(10)
    hold((level, 3))
    assert counters(level) == (10, 3)


def test_a_short_hold_is_refused_with_what_was_sellable_and_writes_nothing() -> None:
    level = make_level(10)
    hold((level, 8))
    with pytest.raises(InsufficientStock) as refused:
        hold((level, 3))
    assert [(s.requested, s.available) for s in refused.value.shortages] == [(3, 2)]
    assert counters(level) == (10, 8)


def test_due_hold_does_not_block_a_new_one() -> None:
    level = make_level(10)
    make_due(hold((level, 10)).id)
    hold((level, 10))
    assert counters(level) == (10, 10)

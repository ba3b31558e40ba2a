"""``inventory`` with and without an implementation of ``HoldsPort``."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from inventory import holds_port
from inventory.errors import InsufficientStock
from inventory.models import StockLevel
from inventory.services.counts.posting import preview_count
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from tests.counts import counted, post
from tests.factories import ACTOR, counters, make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

MISSING = "no implementation of HoldsPort"


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds_port, "_installed", [])


def adjusted(level: StockLevel, quantity: int, *, force: bool = False) -> Adjusted:
    line = Adjustment(level.product_id, None, "wh-001", quantity, "ADJUSTMENT", "test", force=force)
    outcome = apply_adjustments(AdjustRequest(ACTOR, (line,)))
    assert isinstance(outcome, Adjusted)
    return outcome


@pytest.mark.usefixtures("_nothing_installed")
def test_without_an_implementation_stock_moves_that_is_enough() -> None:
    level = make_level(10)
    adjusted(level, -4)
    assert counters(level) == (6, 0)


@pytest.mark.usefixtures("_nothing_installed")
def test_without_an_implementation_what_needs_holds_fails_and_writes_nothing() -> None:
    level = make_level(10)
    count = counted((level, 8))
    with pytest.raises(ImproperlyConfigured, match=MISSING):
        adjusted(level, -11)
    with pytest.raises(ImproperlyConfigured, match=MISSING):
        adjusted(level, -4, force=True)
    with pytest.raises(ImproperlyConfigured, match=MISSING):
        post(count)
    with pytest.raises(ImproperlyConfigured, match=MISSING):
        preview_count(count.id, ACTOR)
    assert counters(level) == (10, 0)


def test_what_is_short_asks_the_implementation_once_to_free_due_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Recorder:
        def free_due(self, level_ids: list[object]) -> None:
            asked.append(list(level_ids))

    monkeypatch.setattr(holds_port, "_installed", [Recorder()])
    level = make_level(10)
    with pytest.raises(InsufficientStock):
        adjusted(level, -11)
    assert asked == [[level.id]]


def test_the_last_implementation_installed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = holds_port.holds()
    monkeypatch.setattr(holds_port, "_installed", [object()])
    holds_port.install(installed)
    assert holds_port.holds() is installed

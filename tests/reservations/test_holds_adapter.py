"""The implementation of ``inventory.holds_port``."""

import inspect
from typing import Any

import pytest

from inventory import holds_port
from inventory.holds_port import AffectedHold, AffectedItem, Breaking, HoldInTheWay, HoldsPort, ShortageCause
from inventory.locking import read_clock
from reservations.holds_adapter import HoldsAdapter
from reservations.models import ShortageIncident
from reservations.services.holds.documents import Hold
from reservations.services.shortages.shortage import LockedBreaking
from tests.counts import counted, post
from tests.factories import hold, make_due, make_level, make_variant, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def operations(protocol: type) -> dict[str, Any]:
    return {name: member for name, member in vars(protocol).items() if not name.startswith("_")}


@pytest.mark.parametrize(("protocol", "implementation"), [(HoldsPort, HoldsAdapter), (Breaking, LockedBreaking)])
def test_the_implementation_has_each_operation_as_the_protocol_declares_it(
    protocol: type, implementation: type
) -> None:
    declared = operations(protocol)
    assert declared
    for name, member in declared.items():
        own = vars(implementation)[name]
        assert type(own) is type(member), name
        if not isinstance(member, property):
            assert inspect.signature(own) == inspect.signature(member), name


def test_the_app_installs_it() -> None:
    assert isinstance(holds_port.holds(), HoldsAdapter)


def test_the_causes_are_those_of_incidents() -> None:
    assert set(holds_port.CauseType.__args__) == set(ShortageIncident.Cause.values)  # type: ignore[attr-defined]
    level = make_level(10)
    hold((level, 8))
    count = counted((level, 5))
    post(count)
    incident = ShortageIncident.objects.get()
    assert ShortageCause(incident.cause_type, incident.cause_id).public_id == count.public_id  # type: ignore[arg-type]


def test_a_hold_that_gave_way_is_shown_as_it_was_made() -> None:
    level = make_level(10)
    variant = receive(make_variant(level.product), 5)
    made = hold((level, 6), (variant, 2), order_id="order-7", cart_id="cart-7", customer_id="ada")
    (broken,) = post(counted((level, 5))).broken
    assert broken == AffectedHold(
        made.id,
        "main",
        "order-7",
        "cart-7",
        "ada",
        made.created_at,
        made.expires_at,
        (
            AffectedItem(level.product_id, None, "wh-001", 6),
            AffectedItem(level.product_id, variant.product_id, "wh-001", 2),
        ),
    )
    assert broken.public_id == made.public_id


def test_the_holds_in_the_way_are_those_that_are_not_due_the_newest_first() -> None:
    level, other = make_level(10), make_level(10)
    older, due, newest = hold((level, 3), order_id="o"), hold((level, 2)), hold((level, 1), cart_id="c")
    hold((other, 1))
    make_due(due.id)

    def shown(made: Hold, quantity: int) -> HoldInTheWay:
        return HoldInTheWay(made.id, level.product.sku, quantity, made.order_id, made.cart_id)

    found = HoldsAdapter().in_the_way([level.id], read_clock(), limit=10)
    assert found == [shown(newest, 1), shown(older, 3)]
    assert HoldsAdapter().in_the_way([level.id], read_clock(), limit=1) == found[:1]

"""The story of orders by events alone, and the books after each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inventory.models import StockLevel
from reservations.models import Reservation
from tests.books import assert_books_balance
from tests.factories import counters, hold, make_due, make_level, make_store, published
from tests.orders.sending import cancelled, completed, created, payment_expired, receive, results

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    make_store()
    yield
    assert_books_balance()


@pytest.fixture(params=["together", "one by one"])
def send(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """Receive events in one batch, or each in a batch of its own: the results are the same."""
    if request.param == "together":
        return results
    return lambda *events: [result for each in events for result in results(each)]


def reservations(**found: Any) -> list[tuple[str, str | None]]:
    """The status and the reason of reservations, the oldest first."""
    return list(Reservation.objects.filter(**found).order_by("created_at", "id").values_list("status", "reason"))


def test_created_and_completed(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    assert send(created("o-1", (level, 3)), completed("o-1")) == ["applied", "applied"]
    assert counters(level) == (7, 0)
    assert reservations(order_id="o-1") == [("CONSUMED", "")]
    assert send(completed("o-1")) == ["unchanged"]
    assert counters(level) == (7, 0)


def test_created_and_cancelled(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    assert send(created("o-1", (level, 3)), cancelled("o-1", reason="changed her mind")) == ["applied", "applied"]
    assert counters(level) == (10, 0)
    assert reservations(order_id="o-1") == [("RELEASED", "changed her mind")]
    assert send(created("o-1", (level, 3)), cancelled("o-1"), completed("o-1")) == ["unchanged", "unchanged", "refused"]
    assert counters(level) == (10, 0)


def test_created_twice(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    assert send(created("o-1", (level, 3)), created("o-1", (level, 4))) == ["applied", "unchanged"]
    assert counters(level) == (10, 3)


def test_same_event_twice(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    first = created("o-1", (level, 3))
    assert send(first, cancelled("o-1"), first) == ["applied", "applied", "applied"]
    assert receive(first)[0].is_duplicate
    assert counters(level) == (10, 0)


def test_cancelled_first(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    cart = hold((level, 2), cart_id="c-1")
    events = cancelled("o-1", reason="fraud"), created("o-1", (level, 3), cartId="c-1"), completed("o-1")
    assert send(*events) == ["remembered", "applied", "refused"]
    assert counters(level) == (10, 0)
    assert reservations(pk=cart.id) == [("RELEASED", "fraud")]
    assert send(created("o-2", (level, 3))) == ["applied"]


def test_completed_first(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    assert send(completed("o-1"), created("o-1", (level, 3))) == ["remembered", "applied"]
    assert counters(level) == (7, 0)
    assert reservations(order_id="o-1") == [("CONSUMED", "")]


def test_completed_late() -> None:
    level = make_level(10)
    receive(created("o-1", (level, 3)))
    make_due(*Reservation.objects.values_list("pk", flat=True))
    assert results(completed("o-1")) == ["applied"]
    assert counters(level) == (7, 0)
    assert reservations(order_id="o-1") == [("EXPIRED", "expired"), ("CONSUMED", "")]
    assert results(completed("o-1")) == ["unchanged"]
    assert counters(level) == (7, 0)


def test_completed_too_late() -> None:
    level = make_level(3)
    receive(created("o-1", (level, 3)))
    make_due(*Reservation.objects.values_list("pk", flat=True))
    hold((level, 1))
    assert results(completed("o-1")) == ["refused"]
    assert counters(level) == (3, 1)
    (failed,) = published("InventoryReservationFailedEvent")
    assert failed["lines"][0]["requested"] == 3
    assert failed["lines"][0]["available"] == 2


def test_payment_expired(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    assert send(created("o-1", (level, 3)), payment_expired("o-1")) == ["applied", "applied"]
    assert counters(level) == (10, 0)
    assert reservations(order_id="o-1") == [("RELEASED", "payment expired")]


def test_paid_after_payment_expired(send: Callable[..., list[str]]) -> None:
    level = make_level(10)
    send(created("o-1", (level, 3)), payment_expired("o-1"))
    assert results(completed("o-1")) == ["applied"]
    assert results(completed("o-1")) == ["unchanged"]
    assert counters(level) == (7, 0)


@pytest.mark.parametrize(
    ("cart", "order", "reserved"),
    [
        ({"a": 2, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1, "c": 0}),
        ({"a": 2}, {"a": 5}, {"a": 5, "b": 0, "c": 0}),
        ({"a": 5, "b": 1}, {"a": 2}, {"a": 2, "b": 0, "c": 0}),
        ({"a": 5, "b": 1}, {"c": 2}, {"a": 0, "b": 0, "c": 2}),
    ],
    ids=["the same", "more", "fewer", "other lines"],
)
@pytest.mark.parametrize("end", [cancelled, completed, None])
def test_cart_adopted(
    cart: dict[str, int], order: dict[str, int], reserved: dict[str, int], end: Any, send: Callable[..., list[str]]
) -> None:
    levels: dict[str, StockLevel] = {name: make_level(6) for name in "abc"}
    held = [hold((levels[name], units), cart_id="c-1") for name, units in cart.items()]
    events = [created("o-1", *((levels[name], units) for name, units in order.items()), cartId="c-1")]
    events += [end("o-1")] if end else []
    assert send(*events) == ["applied"] * len(events)
    oldest = Reservation.objects.get(pk=held[0].id)
    assert oldest.order_id == "o-1"
    assert oldest.expires_at >= held[0].expires_at
    merged = [("RELEASED", f"merged into {oldest.public_id}")] * (len(held) - 1)
    status = {cancelled: ("RELEASED", "order cancelled"), completed: ("CONSUMED", ""), None: ("ACTIVE", "")}[end]
    assert reservations() == [status, *merged]
    for name, level in levels.items():
        on_hand = 6 - (reserved[name] if end is completed else 0)
        assert counters(level) == (on_hand, 0 if end else reserved[name])


def test_due_holds_make_room() -> None:
    level = make_level(3)
    make_due(hold((level, 3)).id)
    assert results(created("o-1", (level, 2)), completed("o-1")) == ["applied", "applied"]
    assert counters(level) == (1, 0)


def test_short() -> None:
    level, other = make_level(2), make_level(9)
    cart = hold((level, 1), cart_id="c-1")
    outcomes = receive(
        created("o-1", (other, 1), (level, 3), cartId="c-1"), completed("o-1"), created("o-2", (level, 1))
    )
    assert [outcome.result for outcome in outcomes] == ["refused", "remembered", "applied"]
    assert outcomes[0].code == "insufficient_stock"
    (failed,) = published("InventoryReservationFailedEvent")
    assert failed["orderId"] == "o-1"
    assert [(line["requested"], line["available"], line["productId"]) for line in failed["lines"]] == [
        (3, 2, str(level.product_id))
    ]
    assert reservations(pk=cart.id) == [("ACTIVE", "")]
    assert counters(level) == (2, 2)

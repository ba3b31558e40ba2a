"""Placing holds."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import DomainError, Invalid
from audit.models import AuditEntry, OutboxEvent
from audit.roles import Role
from inventory.errors import (
    InsufficientStock,
    ListingExpired,
    ProductInactive,
    UnknownProduct,
    UnknownStore,
    UnknownWarehouse,
    WarehouseInactive,
    WarehouseNotInStore,
)
from inventory.models import Movement, Product, StockLevel, Warehouse
from reservations.errors import TimeoutTooLong
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.placing import PlacedHold, place_hold, place_holds, plan_hold
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    lines,
    make_due,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
MINUTE = timedelta(minutes=1)


def test_a_hold_raises_reserved_and_leaves_on_hand() -> None:
    level = make_level(10)
    hold((level, 3))
    assert counters(level) == (10, 3)
    assert level.version == 3
    assert not Movement.objects.filter(level=level).exclude(type="RECEIPT").exists()


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


def test_due_holds_are_left_alone_while_there_is_enough_without_them() -> None:
    level = make_level(10)
    due = hold((level, 5))
    make_due(due.id)
    hold((level, 5))
    assert Reservation.objects.get(pk=due.id).status == "ACTIVE"
    assert counters(level) == (10, 10)


def test_a_short_hold_gets_what_is_sellable_with_due_holds_freed() -> None:
    level = make_level(10)
    make_due(hold((level, 6)).id)
    with pytest.raises(InsufficientStock) as refused:
        hold((level, 11))
    assert refused.value.shortages[0].available == 10


def test_every_line_or_none() -> None:
    enough, short = make_level(10), make_level(1)
    with pytest.raises(InsufficientStock) as refused:
        hold((enough, 3), (short, 2))
    assert [shortage.pointer for shortage in refused.value.shortages] == ["/items/1"]
    assert counters(enough) == (10, 0)
    assert not Reservation.objects.exists()


def test_lines_of_one_level_are_summed_before_they_are_decided() -> None:
    level = make_level(10)
    with pytest.raises(InsufficientStock) as refused:
        hold((level, 6), (level, 5))
    assert [(s.pointer, s.requested, s.available) for s in refused.value.shortages] == [("/items/0", 11, 10)]
    made = hold((level, 6), (level, 4))
    assert [item.quantity for item in made.items] == [10]


def test_a_named_and_a_sourced_line_of_one_level_make_one_item() -> None:
    level = make_level(10)
    asked = (RequestLine(level.product_id, None, 2, "wh-001"), RequestLine(level.product_id, None, 3))
    (item,) = hold(lines=asked).items
    assert (item.quantity, item.pinned) == (5, True)


def test_a_sourced_line_answers_an_item_per_warehouse() -> None:
    level = make_level(3, "wh-001")
    receive(level.product_id, 4, "wh-002")
    made = hold((level, 6))
    assert sorted((item.warehouse, item.quantity, item.pinned) for item in made.items) == [
        ("wh-001", 2, False),
        ("wh-002", 4, False),
    ]


def test_one_product_has_one_price() -> None:
    level = make_level(10)
    prices = [Decimal("1.00"), Decimal("1.01")]
    with pytest.raises(Invalid) as refused:
        hold(lines=tuple(RequestLine(level.product_id, None, 1, None, price) for price in prices))
    assert [fault.pointer for fault in refused.value.faults] == ["/items/1/unitPrice"]
    made = hold(
        lines=(
            RequestLine(level.product_id, None, 1, None, prices[0]),
            RequestLine(level.product_id, None, 1, None, prices[0]),
        )
    )
    assert ReservationItem.objects.get(reservation=made.id).unit_price == prices[0]


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"is_active": False}, ProductInactive), ({"listing_expires_at": timezone.now() - MINUTE}, ListingExpired)],
)
@pytest.mark.parametrize("of_parent", [False, True])
def test_what_may_not_be_sold_gets_no_new_hold(
    fields: dict[str, Any], error: type[DomainError], *, of_parent: bool
) -> None:
    parent, other = make_product(), make_level(5)
    make_warehouse()
    variant = receive(make_variant(parent), 5)
    made = hold((variant, 1))
    Product.objects.filter(pk=parent.id if of_parent else variant.product_id).update(**fields)
    with pytest.raises(error) as refused:
        hold((other, 1), (variant, 1))
    assert [fault.pointer for fault in refused.value.faults] == ["/items/1"]
    assert Reservation.objects.get(pk=made.id).status == "ACTIVE"


def test_an_inactive_warehouse_serves_no_hold() -> None:
    level = make_level(5, "wh-001")
    receive(level.product_id, 2, "wh-002")
    Warehouse.objects.filter(code="wh-001").update(is_active=False)
    assert [item.warehouse for item in hold((level, 2)).items] == ["wh-002"]
    with pytest.raises(WarehouseInactive):
        hold(lines=(RequestLine(level.product_id, None, 1, "wh-001"),))
    with pytest.raises(InsufficientStock):
        hold((level, 3))


def test_unknown_names_are_refused_with_their_pointer() -> None:
    level, product = make_level(5), make_product()
    make_warehouse("wh-009")
    wrong: list[tuple[RequestLine, type[DomainError], str]] = [
        (RequestLine(uuid7(), None, 1), UnknownProduct, "/items/1/productId"),
        (RequestLine(product.id, uuid7(), 1), UnknownProduct, "/items/1/variantId"),
        (RequestLine(product.id, level.product_id, 1), UnknownProduct, "/items/1/variantId"),
        (RequestLine(level.product_id, None, 1, "nowhere"), UnknownWarehouse, "/items/1/warehouseId"),
        (RequestLine(level.product_id, None, 1, "wh-009"), WarehouseNotInStore, "/items/1/warehouseId"),
    ]
    for line, error, pointer in wrong:
        with pytest.raises(error) as refused:
            hold(lines=(RequestLine(level.product_id, None, 1), line))
        assert [fault.pointer for fault in refused.value.faults] == [pointer]
    with pytest.raises(UnknownStore):
        hold((level, 1), store="nowhere")
    assert counters(level) == (5, 0)


def actor_of(*codes: str) -> Actor:
    return Actor("limited", None, "", "api", codes)


def test_the_store_is_the_named_one_else_the_clients_only_one_else_the_default() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(50)
    assert hold((level, 1)).store == "main"
    assert hold((level, 1), store="outlet").store == "outlet"
    assert hold((level, 1), actor=actor_of("outlet")).store == "outlet"
    assert hold((level, 1), actor=actor_of("outlet", "main")).store == "main"
    assert hold((level, 1), actor=actor_of("outlet", "main"), store="outlet").store == "outlet"
    for actor, store in ((actor_of("outlet"), "main"), (actor_of("outlet", "other"), None)):
        with pytest.raises(UnknownStore):
            hold((level, 1), actor=actor, store=store)


def test_safety_stock_is_not_held() -> None:
    level = make_level(10, min_stock_level=4)
    with pytest.raises(InsufficientStock) as refused:
        hold((level, 7))
    assert refused.value.shortages[0].available == 6
    hold((level, 6))


@pytest.mark.parametrize(("of_store", "asked", "minutes"), [(None, None, 15), (7, None, 7), (7, 60, 60), (None, 1, 1)])
def test_a_hold_lives_as_long_as_asked_else_as_the_store_says_else_15_minutes(
    of_store: int | None, asked: int | None, minutes: int, store: Any
) -> None:
    type(store).objects.update(ttl_minutes=of_store)
    made = hold((make_level(10), 1), timeout_minutes=asked)
    assert made.expires_at - made.created_at == minutes * MINUTE


def test_a_hold_that_would_live_too_long_is_refused_never_clamped(api: Api, settings: LazySettings) -> None:
    level = make_level(10)
    with pytest.raises(TimeoutTooLong) as refused:
        hold((level, 1), timeout_minutes=61)
    assert [fault.pointer for fault in refused.value.faults] == ["/timeoutMinutes"]
    response = api.post("reserve", {"cartId": "c", "items": lines((level, 1)), "timeoutMinutes": 61})
    assert (response.status_code, response.json()["code"]) == (422, "timeout_too_long")  # type: ignore[attr-defined]
    assert counters(level) == (10, 0)


def test_a_hold_is_audited_and_published_with_its_actor() -> None:
    level = make_level(10)
    client = uuid7()
    actor = Actor("shop", client, "request-1", "api")
    made = hold((level, 3), actor=actor, cart_id="c", order_id="o")
    (entry,) = recorded("inventory_reservation_created")
    assert (entry.actor, entry.client_id, entry.request_id, entry.source) == ("shop", client, "request-1", "api")
    assert (entry.store, entry.subject_id) == ("main", made.id)
    items = [{"productId": str(level.product_id), "quantity": 3, "warehouseId": "wh-001"}]
    assert (entry.changes["cartId"], entry.changes["orderId"], entry.changes["items"]) == ("c", "o", items)
    (event,) = published("InventoryReservedEvent")
    assert (event["reservationId"], event["items"]) == (made.public_id, items)
    assert Reservation.objects.get(pk=made.id).client_id == client


# --- batches ---------------------------------------------------------------------------------------------------------


def test_each_request_of_a_batch_is_decided_on_its_own_in_order() -> None:
    level, other = make_level(10), make_level(5)
    first, second, third, fourth = place_holds(
        [
            hold_request((level, 6), actor=Actor("one", None, "", "api")),
            hold_request((level, 6)),
            hold_request((level, 4), (other, 6)),
            hold_request((level, 4), (other, 5), actor=Actor("four", None, "", "api")),
        ]
    )
    assert isinstance(first, PlacedHold)
    assert isinstance(second, InsufficientStock)
    assert [shortage.available for shortage in second.shortages] == [4]
    assert isinstance(third, InsufficientStock)
    assert isinstance(fourth, PlacedHold)
    assert (counters(level), counters(other)) == ((10, 10), (5, 5))
    assert [entry.actor for entry in recorded("inventory_reservation_created")] == ["one", "four"]


def test_an_invalid_request_does_not_affect_others() -> None:
    level = make_level(10)
    wrong, right = place_holds([hold_request((level, 1), store="nowhere"), hold_request((level, 1))])
    assert isinstance(wrong, UnknownStore)
    assert isinstance(right, PlacedHold)


def test_a_short_request_of_a_batch_gets_what_due_holds_sat_on() -> None:
    level = make_level(10)
    make_due(hold((level, 6)).id)
    outcomes = place_holds([hold_request((level, 4)), hold_request((level, 6)), hold_request((level, 1))])
    assert [isinstance(outcome, PlacedHold) for outcome in outcomes] == [True, True, False]
    assert counters(level) == (10, 10)


# --- dry runs --------------------------------------------------------------------------------------------------------


def written() -> tuple[Any, ...]:
    models = (AuditEntry, OutboxEvent, Reservation, ReservationItem, Movement)
    return (*(model.objects.count() for model in models), *StockLevel.objects.order_by("pk").values_list())


def test_a_dry_run_says_what_reserve_then_does_and_writes_nothing() -> None:
    level, other = make_level(3, "wh-001"), make_level(9, "wh-002")
    receive(level.product_id, 4, "wh-002")
    request = hold_request((level, 6), (other, 2), timeout_minutes=20)
    before = written()
    plan = plan_hold(request)
    assert written() == before
    held = place_hold(request)
    assert isinstance(held, PlacedHold)
    assert plan.hold.items == held.hold.items
    assert plan.hold.expires_at - plan.now == held.hold.expires_at - held.now == 20 * MINUTE


@pytest.mark.parametrize("quantity", [10, 11])
def test_a_dry_run_counts_due_holds_free_as_reserve_does(quantity: int) -> None:
    level = make_level(10)
    make_due(hold((level, 8)).id)
    outcomes = []
    for decide in (plan_hold, place_hold):
        try:
            decide(hold_request((level, quantity)))
        except InsufficientStock as error:
            outcomes.append(error.shortages)
        else:
            outcomes.append(())
    assert outcomes[0] == outcomes[1]
    assert bool(outcomes[0]) is (quantity > 10)


def test_a_dry_run_over_http_answers_200_with_the_plan(api: Api) -> None:
    level = make_level(10)
    response = api.post("reserve?dryRun=true", {"cartId": "c", "items": lines((level, 4))})
    assert response.status_code == 200
    plan = response.json()  # type: ignore[attr-defined]
    assert (plan["dryRun"], plan["items"][0]["quantity"], plan["items"][0]["warehouseId"]) == (True, 4, "wh-001")
    assert "reservationId" not in plan
    response = api.post("reserve?dryRun=true", {"cartId": "c", "items": lines((level, 11))})
    assert (response.status_code, response.json()["code"]) == (409, "insufficient_stock")  # type: ignore[attr-defined]
    assert counters(level) == (10, 0)


def test_a_hold_is_for_a_cart_or_an_order(api: Api) -> None:
    level = make_level(10)
    body: dict[str, Any] = {"items": lines((level, 1))}
    assert api.post("reserve", body).status_code == 400
    for owner in ({"cartId": "c"}, {"orderId": "o"}, {"cartId": "c", "orderId": "p"}):
        answer = api.post("reserve", {**body, **owner}).json()  # type: ignore[attr-defined]
        assert {name: answer[name] for name in owner} == owner


def test_every_short_line_is_returned_with_its_pointer(api: Api, make_api: Callable[..., Api]) -> None:
    parent = make_product()
    make_warehouse()
    variant = receive(make_variant(parent), 1)
    level = make_level(3)
    items = [
        {"productId": str(parent.id), "variantId": str(variant.product_id), "quantity": 2},
        {"productId": str(level.product_id), "quantity": 4, "warehouseId": "wh-001"},
    ]
    response = make_api(Role.CHECKOUT).post("reserve", {"cartId": "c", "items": items})
    errors = response.json()["errors"]  # type: ignore[attr-defined]
    short = [{k: v for k, v in error.items() if k not in {"detail", "code"}} for error in errors]
    of_variant = {"productId": str(parent.id), "variantId": str(variant.product_id), "requested": 2, "available": 1}
    of_level = {"productId": str(level.product_id), "warehouseId": "wh-001", "requested": 4, "available": 3}
    assert short == [{"pointer": "/items/0", **of_variant}, {"pointer": "/items/1", **of_level}]


def test_the_database_dates_a_hold() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        before = cursor.fetchone()[0]
        made = hold((make_level(1), 1), actor=ACTOR)
        cursor.execute("SELECT clock_timestamp()")
        assert before < made.created_at < cursor.fetchone()[0]

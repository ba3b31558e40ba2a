"""Baskets make a cart's hold equal to their lines, in one step (docs/explanation/rules.md, rule 10)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from audit.roles import Role
from inventory.errors import InsufficientStock, ProductInactive
from inventory.models import Product, StockLevel, Store, Warehouse
from inventory.services.catalogue.lookup import forget_catalogue
from reservations.errors import ReservationConsumed, ReservationNotFound, TimeoutTooLong
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.baskets import Emptied, empty_basket, put_basket
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import PlacedHold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    lines,
    make_due,
    make_level,
    make_store,
    published,
    receive,
    recorded,
    status,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def put(*wanted: tuple[StockLevel, int], **fields: Any) -> PlacedHold:
    held = put_basket(hold_request(*wanted, **{"cart_id": "c", **fields}))
    assert isinstance(held, PlacedHold)
    return held


def kept() -> list[tuple[Any, int]]:
    """The (level, units) pairs that the cart holds, ordered by level."""
    items = ReservationItem.objects.filter(reservation__cart_id="c", held_until__isnull=False)
    return sorted(items.values_list("level_id", "quantity"))


def test_a_first_basket_is_a_hold() -> None:
    level = make_level(10)
    held = put((level, 3), timeout_minutes=7, customer_id="u")
    assert held.is_new
    assert held.hold.expires_at - held.hold.created_at == timedelta(minutes=7)
    assert (counters(level), held.hold.customer_id) == ((10, 3), "u")
    assert [entry.subject_id for entry in recorded("inventory_reservation_created")] == [held.hold.id]


@pytest.mark.parametrize("quantity", [1, 3, 4, 10])
def test_what_grows_is_held_and_what_shrinks_is_given_back(quantity: int) -> None:
    level = make_level(10)
    first = put((level, 3))
    second = put((level, quantity))
    assert (second.is_new, second.hold.id) == (False, first.hold.id)
    assert (counters(level), kept()) == ((10, quantity), [(level.id, quantity)])


def test_what_is_left_out_is_given_back_and_what_is_new_is_held() -> None:
    one, two, three = (make_level(10) for _ in range(3))
    put((one, 3), (two, 4))
    put((two, 5), (three, 6))
    assert [counters(level) for level in (one, two, three)] == [(10, 0), (10, 5), (10, 6)]
    (event,) = published("InventoryReservedEvent")[1:]
    assert sorted(item["quantity"] for item in event["items"]) == [5, 6]


def test_the_shoppers_own_units_count_as_available() -> None:
    level = make_level(10)
    put((level, 10))
    put((level, 10))
    put((level, 9))
    put((level, 10))
    with pytest.raises(InsufficientStock):
        put((level, 11))
    assert counters(level) == (10, 10)


def test_own_units_may_move_to_another_warehouse() -> None:
    level = make_level(5, "wh-001")
    other = receive(level.product_id, 5, "wh-002")
    put((level, 5))
    put(lines=(RequestLine(level.product_id, None, 5, "wh-002"),))
    assert (counters(level), counters(other)) == ((5, 0), (5, 5))


def test_shrinking_works_whatever_has_become_of_the_product_and_its_stock() -> None:
    level = make_level(10)
    put((level, 8))
    Product.objects.update(is_active=False)
    Warehouse.objects.update(is_active=False)
    StockLevel.objects.update(min_stock_level=10)
    put((level, 7))
    put((level, 7))
    assert counters(level) == (10, 7)
    with pytest.raises(ProductInactive):
        put((level, 8))
    Product.objects.update(is_active=True)
    with pytest.raises(InsufficientStock):
        put((level, 8))
    assert counters(level) == (10, 7)


def test_a_refused_basket_leaves_the_old_one_untouched() -> None:
    level, other = make_level(10), make_level(1)
    old = put((level, 5))
    with pytest.raises(InsufficientStock) as refused:
        put((level, 2), (other, 2))
    assert [(short.requested, short.available) for short in refused.value.shortages] == [(2, 1)]
    assert (counters(level), counters(other)) == ((10, 5), (1, 0))
    row = Reservation.objects.get()
    assert (row.id, row.status, row.expires_at) == (old.hold.id, "ACTIVE", old.hold.expires_at)


def test_a_short_basket_gets_all_units_that_the_line_could_have() -> None:
    level = make_level(10)
    put((level, 4))
    hold((level, 2))
    with pytest.raises(InsufficientStock) as refused:
        put((level, 9))
    assert [(short.requested, short.available) for short in refused.value.shortages] == [(9, 8)]


def test_the_clock_is_never_reset_and_the_timeout_counts_once() -> None:
    level = make_level(10)
    first = put((level, 1), timeout_minutes=5)
    second = put((level, 2), timeout_minutes=60)
    assert second.hold.expires_at == first.hold.expires_at
    extend_hold(ExtendRequest(ACTOR, Selector(first.hold.id), 15))
    assert put((level, 3)).hold.expires_at == first.hold.expires_at + timedelta(minutes=15)
    row = Reservation.objects.get()
    assert (row.created_at, ReservationItem.objects.get().held_until) == (first.hold.created_at, row.expires_at)
    with pytest.raises(TimeoutTooLong):
        put((level, 1), timeout_minutes=61)


def test_all_active_holds_of_the_cart_in_the_store_merge_into_the_oldest() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level, other = make_level(20), make_level(20)
    oldest = hold((level, 2), cart_id="c", timeout_minutes=5)
    younger = hold((level, 3), (other, 4), cart_id="c")
    elsewhere = hold((level, 1), cart_id="c", store="outlet")
    stranger = hold((level, 1))
    held = put((level, 4))
    assert (held.hold.id, held.hold.expires_at) == (oldest.id, oldest.expires_at)
    assert (counters(level), counters(other)) == ((20, 6), (20, 0))
    row = Reservation.objects.get(pk=younger.id)
    assert (row.status, row.reason) == ("RELEASED", f"merged into {oldest.public_id}")
    assert [entry.subject_id for entry in recorded("inventory_reservation_released")] == [younger.id]
    for made in (elsewhere, stranger):
        assert Reservation.objects.get(pk=made.id).status == "ACTIVE"


def test_a_due_hold_of_the_cart_is_expired_and_a_new_one_begins() -> None:
    level = make_level(10)
    old = put((level, 10))
    make_due(old.hold.id)
    held = put((level, 9), timeout_minutes=7)
    assert held.is_new
    assert held.hold.expires_at - held.hold.created_at == timedelta(minutes=7)
    assert Reservation.objects.get(pk=old.hold.id).status == "EXPIRED"
    assert counters(level) == (10, 9)


def test_due_holds_of_others_do_not_count_as_reserved() -> None:
    level = make_level(10)
    put((level, 4))
    make_due(hold((level, 6)).id)
    put((level, 10))
    assert counters(level) == (10, 10)


def test_a_basket_after_a_sale_is_a_new_hold() -> None:
    level = make_level(10)
    first = put((level, 4))
    consume_hold(ConsumeRequest(ACTOR, "order", Selector(cart_id="c")))
    second = put((level, 2))
    assert second.is_new
    assert second.hold.id != first.hold.id
    assert counters(level) == (6, 2)


def test_the_last_price_and_customer_count() -> None:
    level = make_level(10)
    put(lines=(RequestLine(level.product_id, None, 2, None, Decimal("5.00")),), customer_id="u")
    held = put(lines=(RequestLine(level.product_id, None, 3, None, Decimal("4.00")),))
    assert ReservationItem.objects.get().unit_price == Decimal("4.00")
    assert held.hold.customer_id == "u"
    assert put((level, 3), customer_id="v").hold.customer_id == "v"


def test_a_named_and_an_open_line_keep_what_they_have() -> None:
    level = make_level(5, "wh-001")
    other = receive(level.product_id, 5, "wh-002")
    basket = (RequestLine(level.product_id, None, 2, "wh-002"), RequestLine(level.product_id, None, 4))
    put(lines=basket)
    assert (counters(level)[1], counters(other)[1]) == (4, 2)
    put(lines=basket)
    assert (counters(level)[1], counters(other)[1]) == (4, 2)
    put(lines=(RequestLine(level.product_id, None, 2, "wh-002"), RequestLine(level.product_id, None, 8)))
    assert (counters(level)[1], counters(other)[1]) == (5, 5)


def test_a_change_is_audited_with_before_and_after() -> None:
    level = make_level(10)
    put((level, 3))
    put((level, 5))
    (entry,) = recorded("inventory_reservation_changed")
    before, after = entry.changes["items"]
    assert (before[0]["quantity"], after[0]["quantity"]) == (3, 5)


def test_emptying_gives_all_back() -> None:
    level = make_level(10)
    put((level, 3))
    hold((level, 2), cart_id="c")
    empty_basket(ReleaseRequest(ACTOR, Selector(cart_id="c")))
    assert counters(level) == (10, 0)
    with pytest.raises(ReservationNotFound):
        empty_basket(ReleaseRequest(ACTOR, Selector(cart_id="never")))


def test_a_sold_cart_is_not_emptied() -> None:
    put((make_level(10), 3))
    consume_hold(ConsumeRequest(ACTOR, "order", Selector(cart_id="c")))
    with pytest.raises(ReservationConsumed):
        empty_basket(ReleaseRequest(ACTOR, Selector(cart_id="c")))


def test_over_http_the_first_is_201_the_next_200_and_delete_releases(api: Api) -> None:
    level = make_level(10)
    first = api.put("carts/c", {"items": lines((level, 3))})
    second = api.put("carts/c", {"items": lines((level, 4))})
    assert (first.status_code, second.status_code) == (201, 200)
    one, two = first.json(), second.json()  # type: ignore[attr-defined]
    assert (one["status"], two["status"], one["reservationId"]) == ("RESERVED", "RESERVED", two["reservationId"])
    assert (two["cartId"], two["items"][0]["quantity"]) == ("c", 4)
    short = api.put("carts/c", {"items": lines((level, 11))})
    assert (short.status_code, short.json()["code"]) == (409, "insufficient_stock")  # type: ignore[attr-defined]
    gone = api.delete("carts/c")
    assert gone.status_code == 200
    (released,) = gone.json()["reservations"]  # type: ignore[attr-defined]
    assert (released["reservationId"], released["status"]) == (one["reservationId"], "RELEASED")
    assert counters(level) == (10, 0)
    assert api.delete("carts/c").json()["reservations"] == []  # type: ignore[attr-defined]


def test_a_basket_without_items_releases_what_the_cart_holds_in_the_store() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(20)
    put((level, 3))
    hold((level, 2), cart_id="c", order_id="o")
    dead = hold((level, 1), cart_id="c")
    elsewhere = hold((level, 4), cart_id="c", store="outlet")
    other = hold((level, 5), cart_id="d")
    make_due(dead.id)
    for _ in range(2):
        assert put_basket(hold_request(cart_id="c")) == Emptied("c", "main")
        assert counters(level) == (20, 9)
    assert [status(each) for each in (dead, elsewhere, other)] == ["EXPIRED", "ACTIVE", "ACTIVE"]
    reasons = [event["reason"] for event in published("InventoryReleasedEvent")]
    assert reasons == ["expired", "cart emptied", "cart emptied"]
    assert [len(recorded(f"inventory_reservation_{what}")) for what in ("released", "expired")] == [2, 1]
    assert_books_balance()


def test_a_cart_is_emptied_though_nothing_may_be_sold_or_it_never_was() -> None:
    level = make_level(10)
    put((level, 3))
    Store.objects.update(max_units_per_customer=1, max_holds_per_customer=1, hold_window_minutes=60)
    Product.objects.update(is_active=False)
    forget_catalogue()
    assert put_basket(hold_request(cart_id="c")) == Emptied("c", "main")
    assert counters(level) == (10, 0)
    assert put_basket(hold_request(cart_id="never")) == Emptied("never", "main")
    assert Reservation.objects.count() == 1


def test_over_http_an_empty_basket_is_answered_alike_each_time(api: Api) -> None:
    level = make_level(10)
    assert api.put("carts/c", {"items": lines((level, 3))}).status_code == 201
    empty = {"cartId": "c", "storeId": "main", "status": "RELEASED", "items": []}
    answers = [api.put("carts/c", {"items": []}, Idempotency_Key="k") for _ in range(2)]
    answers.append(api.put("carts/c", {"items": []}))
    assert [(each.status_code, body_of(each)) for each in answers] == [(200, empty)] * 3
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert api.put("carts/c", {}).status_code == 400
    assert api.put("carts/c", {"items": [], "storeId": "nowhere"}).json()["code"] == "unknown_store"  # type: ignore[attr-defined]
    assert api.put("carts/c", {"items": lines((level, 2))}).status_code == 201


def test_a_cart_is_read_as_it_was_put(api: Api) -> None:
    level = make_level(10)
    problem(api.get("carts/c"), 404, "reservation_not_found")
    held = body_of(api.put("carts/c", {"items": lines((level, 3)), "customerId": "ada"}), 201)
    read = body_of(api.get("carts/c"))
    (one,) = read.pop("reservations")
    assert read["status"] == one["status"] == "ACTIVE"
    assert read.items() <= one.items()
    for name in ("reservationId", "storeId", "cartId", "customerId", "orderId", "createdAt", "expiresAt"):
        assert read[name] == held[name]
    assert [item["quantity"] for item in read["items"]] == [3]
    make_due(hold((level, 1), cart_id="c").id)
    second = hold((level, 2), cart_id="c")
    read = body_of(api.get("carts/c"))
    assert read.keys() == {"cartId", "status", "reservations"}
    assert [each["reservationId"] for each in read["reservations"]] == [held["reservationId"], second.public_id]
    api.put("carts/c", {"items": []})
    problem(api.get("carts/c"), 404, "reservation_not_found")


def test_a_cart_is_deleted_in_one_store_or_in_all(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    make_store("third", "wh-001", is_default=False)
    level = make_level(10)
    for code in ("main", "outlet", "third"):
        hold((level, 1), cart_id="c", store=code)
    limited, api = make_api(Role.CHECKOUT, stores=("main", "third")), make_api()
    problem(limited.delete("carts/c?storeId=outlet"), 404, "reservation_not_found")
    problem(api.delete("carts/c?store=outlet"), 400, "invalid")
    assert len(body_of(limited.delete("carts/c?storeId=main"))["reservations"]) == 1
    assert list(
        Reservation.objects.in_state("ACTIVE").order_by("store__code").values_list("store__code", flat=True)
    ) == ["outlet", "third"]
    assert len(body_of(api.delete("carts/c"))["reservations"]) == 2


def test_a_cart_shows_a_client_its_stores_alone(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    held = {code: hold((level, 1), cart_id="c", store=code).public_id for code in ("main", "outlet")}
    for stores, query, seen in (
        ((), "", ["main", "outlet"]),
        ((), "?storeId=outlet", ["outlet"]),
        (("outlet",), "", ["outlet"]),
        (("outlet",), "?storeId=main", []),
    ):
        response = make_api(Role.CHECKOUT, stores=stores).get(f"carts/c{query}")
        if seen:
            assert [each["reservationId"] for each in body_of(response)["reservations"]] == [held[s] for s in seen]
        else:
            problem(response, 404, "reservation_not_found")


@pytest.mark.parametrize(
    "cart", ["a\u00a0b", "\U0001f468\u200d\U0001f469", "a\u202eb", "a\tb", "a\ufeff", "a\u3000b", "x" * 65]
)
def test_a_cart_that_cannot_be_reserved_for_is_refused_at_all_doors(api: Api, cart: str) -> None:
    items = lines((make_level(10), 1))
    quoted = "".join(f"%{byte:02X}" for byte in cart.encode())
    answers = {
        "reserve": api.post("reserve", {"cartId": cart, "items": items}),
        "order": api.post("reserve", {"orderId": cart, "items": items}),
        "customer": api.post("reserve", {"cartId": "c", "customerId": cart, "items": items}),
        "put": api.put(f"carts/{quoted}", {"items": items}),
        "empty": api.delete(f"carts/{quoted}"),
        "read": api.get(f"carts/{quoted}"),
        "extend": api.post("extend", {"cartId": cart}),
        "release": api.post("release", {"cartId": cart}),
        "consume": api.post("consume", {"cartId": "c", "orderId": cart}),
        "list": api.get(f"reservations?cartId={quoted}"),
    }
    assert {door: answer.status_code for door, answer in answers.items()} == dict.fromkeys(answers, 400)
    assert not Reservation.objects.exists()


@pytest.mark.parametrize("cart", ["caf\u00e9", "a b", "\U0001f468", "%", "x" * 64])
def test_a_cart_that_can_be_reserved_for_can_be_put_and_deleted(api: Api, cart: str) -> None:
    level = make_level(10)
    assert api.post("reserve", {"cartId": cart, "items": lines((level, 1))}).status_code == 201
    path = "carts/" + "".join(f"%{byte:02X}" for byte in cart.encode())
    assert api.put(path, {"items": lines((level, 2))}).status_code == 200
    assert body_of(api.get(path))["cartId"] == cart
    assert len(api.delete(path).json()["reservations"]) == 1  # type: ignore[attr-defined]

"""Reading of reservations: filters, pages, and due ones shown as EXPIRED."""

from datetime import timedelta
from typing import Any

import pytest

from audit.roles import Role
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.factories import (
    ACTOR,
    hold,
    make_due,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def listed(api: Api, query: str = "") -> list[str]:
    """The ids that a query lists."""
    response = api.get(f"reservations?{query}")
    assert response.status_code == 200, response.content
    return [item["reservationId"] for item in response.json()["items"]]  # type: ignore[attr-defined]


def test_each_state_is_found_as_it_reads(api: Api) -> None:
    level = make_level(100)
    active, due, expired, released, sold = (hold((level, 1)) for _ in range(5))
    make_due(due.id, expired.id)
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=expired.id)))
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=released.id)))
    consume_hold(ConsumeRequest(ACTOR, "order", Selector(reservation_id=sold.id)))
    assert listed(api, "status=ACTIVE") == [active.public_id]
    assert listed(api, "status=EXPIRED") == [expired.public_id, due.public_id]
    assert listed(api, "status=RELEASED") == [released.public_id]
    assert listed(api, "status=CONSUMED") == [sold.public_id]
    read = api.get(f"reservations/{due.public_id}").json()  # type: ignore[attr-defined]
    assert (read["status"], read["expiresInSeconds"], read["releasedAt"]) == ("EXPIRED", 0, None)
    read = api.get(f"reservations/{active.public_id}").json()  # type: ignore[attr-defined]
    assert read["status"] == "ACTIVE"
    assert 890 < read["expiresInSeconds"] <= 900
    assert read["expiresAt"].endswith("Z")


def test_the_callers_own_ids_filter_and_combine(api: Api) -> None:
    level = make_level(100)
    first = hold((level, 1), cart_id="c1", customer_id="u")
    second = hold((level, 1), cart_id="c1", order_id="o1", customer_id="u")
    third = hold((level, 1), cart_id=None, order_id="null", customer_id="null")
    assert listed(api, "cartId=c1") == [second.public_id, first.public_id]
    assert listed(api, "orderId=o1") == [second.public_id]
    assert listed(api, "customerId=u&orderId=o1") == [second.public_id]
    assert listed(api, "customerId=u&orderId=null") == []
    assert listed(api, "orderId=null") == [third.public_id]
    assert listed(api) == [third.public_id, second.public_id, first.public_id]


def test_a_product_finds_its_variants_and_a_variant_only_itself(api: Api) -> None:
    parent = make_product()
    make_warehouse()
    small, large = receive(make_variant(parent), 5), receive(make_variant(parent), 5)
    one, other, both = hold((small, 1)), hold((large, 1)), hold((small, 1), (large, 1))
    hold((make_level(5), 1))
    assert listed(api, f"productId={parent.id}") == [both.public_id, other.public_id, one.public_id]
    assert listed(api, f"productId={small.product_id}") == [both.public_id, one.public_id]
    assert listed(api, f"variantId={small.product_id}") == [both.public_id, one.public_id]
    assert listed(api, f"productId={parent.id}&variantId={large.product_id}") == [both.public_id, other.public_id]
    assert listed(api, f"productId={make_product().id}&variantId={large.product_id}") == []


def test_items_of_a_variant_name_their_parent(api: Api) -> None:
    parent = make_product()
    variant = make_variant(parent)
    make_warehouse()
    made = hold((receive(variant, 5), 2))
    (item,) = api.get(f"reservations/{made.public_id}").json()["items"]  # type: ignore[attr-defined]
    assert item == {
        "productId": str(parent.id),
        "variantId": str(variant.id),
        "quantity": 2,
        "warehouseId": "wh-001",
    }


@pytest.mark.parametrize(("count", "limit"), [(5, 2), (4, 2), (1, 2), (0, 2), (3, 200)])
def test_pages_go_by_cursor_and_leave_nothing_out(api: Api, count: int, limit: int) -> None:
    level = make_level(100)
    made = [hold((level, 1)).public_id for _ in range(count)]
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = api.get(f"reservations?limit={limit}{cursor}").json()  # type: ignore[attr-defined]
        found += [item["reservationId"] for item in page["items"]]
        assert len(page["items"]) <= limit
        pages += 1
        cursor = page["next"] and f"&cursor={page['next']}"
    assert found == made[::-1]
    assert pages == max(1, -(-count // limit))


def test_a_page_has_50_items_where_no_limit_is_given(api: Api) -> None:
    level = make_level(100)
    for _ in range(51):
        hold((level, 1))
    assert len(listed(api)) == 50


def test_another_stores_reservations_do_not_exist(make_api: Any) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    main, outlet = hold((level, 1)), hold((level, 1), store="outlet")
    api: Api = make_api(Role.CHECKOUT, stores=("outlet",))
    assert listed(api) == [outlet.public_id]
    assert api.get(f"reservations/{main.public_id}").status_code == 404


def test_a_list_is_read_with_as_many_statements_whatever_it_holds(api: Api, django_assert_num_queries: Any) -> None:
    level = make_level(100)
    api.get("reservations")
    hold((level, 1))
    for _ in range(2):
        with django_assert_num_queries(2):
            api.get("reservations")
        for _ in range(10):
            hold((level, 1))


def test_a_moved_end_is_read_as_moved(api: Api) -> None:
    made = hold((make_level(10), 1))
    make_due(made.id, ago=timedelta(seconds=-30))
    assert 25 <= api.get(f"reservations/{made.public_id}").json()["expiresInSeconds"] <= 30  # type: ignore[attr-defined]

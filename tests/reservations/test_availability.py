"""Availability (docs/explanation/rules.md, rule 1) and check-availability."""

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.api.http import LoopRequest
from audit.authentication import Caller
from audit.errors import DomainError
from audit.roles import Role
from inventory.combining import LongReading, Reading
from inventory.errors import UnknownStore
from inventory.models import Product, StockLevel, StoreWarehouse, Warehouse
from inventory.services.catalogue.lookup import forget_catalogue
from reservations.api.availability.views import CheckAvailabilityView
from reservations.services.availability.availability import (
    Availability,
    CheckRequest,
    Query,
    check_all,
    check_availability,
)
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.placing import PlacedHold
from tests.conftest import Api, body_of
from tests.factories import (
    ACTOR,
    hold,
    hold_request,
    lines,
    make_due,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def check(level: StockLevel, quantity: int = 1, warehouse: str | None = None, store: str | None = None) -> Availability:
    return check_availability(ACTOR, store, [Query(level.product_id, None, quantity, warehouse)])[0]


@pytest.mark.parametrize(
    ("quantity", "asked", "status", "available"),
    [(10, 10, "AVAILABLE", 10), (10, 11, "INSUFFICIENT", 10), (0, 1, "OUT_OF_STOCK", 0), (1, 2, "INSUFFICIENT", 1)],
)
def test_a_line_has_a_status(quantity: int, asked: int, status: str, available: int) -> None:
    level = make_level(10)
    if quantity < 10:
        hold((level, 10 - quantity))
    answer = check(level, asked)
    assert (answer.status, answer.available) == (status, available)


def test_safety_stock_is_not_sellable() -> None:
    assert check(make_level(10, min_stock_level=4)).available == 6
    assert check(make_level(3, min_stock_level=4)).available == 0


def test_due_holds_are_sellable_again() -> None:
    level = make_level(10)
    make_due(hold((level, 6)).id)
    hold((level, 3))
    assert check(level).available == 7


def check_for(cart: str | None, *wanted: tuple[StockLevel, int], store: str | None = None) -> list[tuple[str, int]]:
    """(status, available units) of each line, with what the cart holds left out."""
    queries = [Query(level.product_id, None, quantity, None) for level, quantity in wanted]
    with CaptureQueriesContext(connection) as sent:
        answers = check_availability(ACTOR, store, queries, cart)
    assert len(sent) == 1
    return [(answer.status, answer.available) for answer in answers]


def test_what_the_cart_holds_is_available_to_it_and_to_no_other() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level, other = make_level(5), make_level(5)
    hold((level, 3), cart_id="c")
    hold((level, 2), (other, 1), cart_id="c")
    make_due(hold((other, 2), cart_id="c").id)  # Free for everybody, and counted once.
    hold((other, 1), cart_id="d")
    wanted = [(level, 5), (other, 4)]
    assert check_for(None, *wanted) == [("OUT_OF_STOCK", 0), ("INSUFFICIENT", 3)]
    assert check_for("c", *wanted) == [("AVAILABLE", 5), ("AVAILABLE", 4)]
    assert check_for("d", *wanted) == [("OUT_OF_STOCK", 0), ("AVAILABLE", 4)]
    assert check_for("never", *wanted) == check_for(None, *wanted)
    assert check_for("c", *wanted, store="outlet") == check_for(None, *wanted)


@pytest.mark.parametrize("change", ["safety", "product", "listing", "warehouse", "frozen", "left the store"])
def test_what_the_cart_holds_stays_with_it_whatever_may_no_longer_be_sold(change: str) -> None:
    level, empty = make_level(5), make_level(1, "wh-002")
    hold((level, 2), cart_id="c")
    hold((empty, 1), cart_id="d")
    warehouse = Warehouse.objects.filter(code="wh-001")
    match change:
        case "safety":
            StockLevel.objects.filter(pk=level.pk).update(min_stock_level=5)
        case "product":
            Product.objects.update(is_active=False)
        case "listing":
            Product.objects.update(listing_expires_at=timezone.now() + PAST)
        case "warehouse":
            warehouse.update(is_active=False)
        case "frozen":
            warehouse.update(frozen_at=timezone.now(), freeze_reason="recall")
        case _:
            StoreWarehouse.objects.filter(warehouse__code="wh-001").delete()
    forget_catalogue()
    assert check_for(None, (level, 1)) == [("OUT_OF_STOCK", 0)]
    assert check_for("c", (level, 2), (empty, 1)) == [("AVAILABLE", 2), ("OUT_OF_STOCK", 0)]
    assert check_for("c", (level, 3)) == [("INSUFFICIENT", 2)]
    assert isinstance(put_basket(hold_request((level, 2), cart_id="c")), PlacedHold)
    with pytest.raises(DomainError):
        put_basket(hold_request((level, 3), cart_id="c"))


def test_the_holder_of_the_last_unit_reads_available(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(1)
    hold((level, 1), cart_id="mine")
    body = {"items": lines((level, 1))}
    main, outlet = make_api(Role.CHECKOUT, stores=("main",)), make_api(Role.CHECKOUT, stores=("outlet",))

    def seen(api: Api, **fields: str) -> tuple[str, int]:
        (line,) = body_of(api.post("check-availability", {**body, **fields}))["items"]
        return line["status"], line["availableQuantity"]

    assert seen(main) == seen(main, cartId="other") == ("OUT_OF_STOCK", 0)
    assert seen(main, cartId="mine") == ("AVAILABLE", 1)
    assert seen(outlet, cartId="mine") == ("OUT_OF_STOCK", 0)
    assert main.post("check-availability", {**body, "cartId": "a\tb"}).status_code == 400
    assert main.post("check-availability", {**body, "cartId": "mine", "storeId": "outlet"}).status_code == 422


def test_all_warehouses_of_the_store_count_in_its_order_and_no_other() -> None:
    level = make_level(4, "wh-002")
    receive(level.product_id, 3, "wh-001")
    make_warehouse("wh-009")
    receive(level.product_id, 50, "wh-009")
    answer = check(level, 7)
    assert (answer.status, answer.by_warehouse) == ("AVAILABLE", (("wh-001", 3), ("wh-002", 4)))
    assert check(level, 1, "wh-009").status == "OUT_OF_STOCK"
    assert check(level, 4, "wh-001").status == "INSUFFICIENT"


def test_an_inactive_warehouse_does_not_count() -> None:
    level = make_level(4)
    receive(level.product_id, 3, "wh-002")
    Warehouse.objects.filter(code="wh-002").update(is_active=False)
    assert check(level).by_warehouse == (("wh-001", 4),)


PAST, FUTURE = timedelta(minutes=-1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("which", "fields", "sellable"),
    [
        ("product", {"is_active": False}, False),
        ("parent", {"is_active": False}, False),
        ("product", {"listing_expires_at": PAST}, False),
        ("parent", {"listing_expires_at": PAST}, False),
        ("product", {"listing_expires_at": FUTURE}, True),
        ("parent", {"listing_expires_at": FUTURE}, True),
    ],
)
def test_what_may_not_be_sold_is_out_of_stock(which: str, fields: dict[str, Any], sellable: bool) -> None:
    fields = {name: timezone.now() + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    parent = make_product()
    variant = make_variant(parent)
    make_warehouse()
    level = receive(variant, 5)
    Product.objects.filter(pk=parent.pk if which == "parent" else variant.pk).update(**fields)
    assert check(level).status == ("AVAILABLE" if sellable else "OUT_OF_STOCK")


def test_lines_of_one_product_are_decided_on_together(api: Api) -> None:
    level, other = make_level(10), make_level(10)
    body = {"items": lines((level, 6), (other, 10), (level, 5))}
    answer = api.post("check-availability", body).json()  # type: ignore[attr-defined]
    assert answer["available"] is False
    assert [line["status"] for line in answer["items"]] == ["INSUFFICIENT", "AVAILABLE", "INSUFFICIENT"]
    assert api.post("reserve", {"cartId": "c", **body}).status_code == 409


def test_named_lines_are_served_before_open_ones() -> None:
    level = make_level(10)
    receive(level.product_id, 2, "wh-002")
    named, free = Query(level.product_id, None, 9, "wh-001"), Query(level.product_id, None, 4, None)
    assert [answer.status for answer in check_availability(ACTOR, None, [free, named])] == ["INSUFFICIENT", "AVAILABLE"]


def test_an_unknown_product_is_a_line_not_an_error() -> None:
    product, variant = make_product(), make_variant(make_product())
    strange = Query(product.id, variant.id, 1, None)
    unknown = Query(make_level(1).warehouse_id, None, 1, None)
    assert [answer.status for answer in check_availability(ACTOR, None, [strange, unknown])] == ["UNKNOWN_PRODUCT"] * 2


def test_an_unknown_warehouse_is_a_line_not_an_error(api: Api) -> None:
    level = make_level(5)
    make_warehouse("wh-009")
    named = [{"warehouseId": code} for code in ("wh-001", "nowhere", "wh-009")]
    body = {"items": [line | lines((level, 1))[0] for line in named] + [{"productId": str(uuid7()), "quantity": 1}]}
    answer = api.post("check-availability", body).json()  # type: ignore[attr-defined]
    statuses = ["AVAILABLE", "UNKNOWN_WAREHOUSE", "OUT_OF_STOCK", "UNKNOWN_PRODUCT"]
    assert [line["status"] for line in answer["items"]] == statuses
    assert answer["available"] is False


def test_a_variant_is_returned_with_its_parent() -> None:
    parent = make_product()
    variant = make_variant(parent)
    make_warehouse()
    receive(variant, 5)
    for query in (
        Query(parent.id, variant.id, 1, None),
        Query(variant.id, None, 1, None),
        Query(variant.id, variant.id, 1, None),
    ):
        (answer,) = check_availability(ACTOR, None, [query])
        assert (answer.product_id, answer.variant_id, answer.available) == (parent.id, variant.id, 5)


def test_another_store_has_its_own_warehouses() -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(5)
    assert check(level, store="outlet").status == "OUT_OF_STOCK"
    with pytest.raises(UnknownStore):
        check(level, store="nowhere")


def test_a_client_of_one_store_asks_about_that_and_no_other(make_api: Any) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(5, "wh-003")
    api: Api = make_api(Role.CHECKOUT, stores=("outlet",))
    body = {"items": lines((level, 1))}
    assert api.post("check-availability", body).json()["available"] is True  # type: ignore[attr-defined]
    assert api.post("check-availability", {**body, "storeId": "main"}).status_code == 422


@pytest.mark.parametrize("count", [1, 20, 200])
def test_any_number_of_lines_is_one_query(count: int) -> None:
    level = make_level(5)
    with CaptureQueriesContext(connection) as queries:
        check_availability(ACTOR, None, [Query(level.product_id, None, 1, None)] * count)
    assert len(queries) == 1


def random_request(random: Random, levels: list[StockLevel]) -> CheckRequest:
    """A request by somebody about some of these levels' products, in some store, for some cart or none."""
    products = [*(level.product_id for level in levels), uuid7()]
    queries = [
        Query(
            random.choice(products),
            random.choice([None, None, *products]),
            random.randint(1, 4),
            random.choice([None, None, "wh-001", "wh-002", "wh-003", "nowhere"]),
        )
        for _ in range(random.randint(1, 5))
    ]
    actor = msgspec.structs.replace(
        ACTOR,
        store_codes=random.choice([(), (), ("main",), ("outlet", "main")]),
        warehouse_codes=random.choice([None, None, None, ("wh-001",)]),
    )
    store, cart = random.choice([None, None, "main", "outlet", "nowhere"]), random.choice([None, "c-1", "c-2"])
    return CheckRequest(actor, store, tuple(queries), cart)


def test_a_batch_answers_each_request_as_if_it_were_alone() -> None:
    make_store("outlet", "wh-003", "wh-001", is_default=False)
    random = Random(seed := uuid7().int)
    levels = [make_level(random.randint(2, 6), random.choice(["wh-001", "wh-002", "wh-003"])) for _ in range(6)]
    for level in random.sample(levels, 4):
        receive(level.product_id, random.randint(1, 3), "wh-002")
        store = "outlet" if level.warehouse.code == "wh-003" else "main"
        held = hold((level, 1), cart_id=random.choice(["c-1", "c-2"]), store=store)
        if random.random() < 0.3:
            make_due(held.id)
    StoreWarehouse.objects.filter(store__code="main", warehouse__code="wh-002").update(priority=0)
    for size in (1, 2, 7, 64):
        requests = [random_request(random, levels) for _ in range(size)]
        with CaptureQueriesContext(connection) as sent:
            together = check_all(requests)
        assert len(sent) <= 3, seed
        alone = [check_all([request])[0] for request in requests]
        assert [_comparable(each) for each in together] == [_comparable(each) for each in alone], seed


def _comparable(outcome: list[Availability] | DomainError) -> object:
    return (type(outcome), outcome.detail, outcome.faults) if isinstance(outcome, DomainError) else outcome


@pytest.mark.parametrize(("lines", "kind"), [(1, Reading), (50, Reading), (51, LongReading), (200, LongReading)])
def test_short_requests_share_a_statement_and_long_ones_have_their_own(lines: int, kind: type[Reading]) -> None:
    body = json.dumps({"items": [{"productId": str(uuid4()), "quantity": 1} for _ in range(lines)]}).encode()
    meta = {"CONTENT_TYPE": "application/json", "inventory.request_id": "r-1"}
    caller = Caller(uuid4(), "shop", "checkout", ())
    request = LoopRequest("POST", "/api/v1/inventory/check-availability", meta, body, caller)
    assert type(CheckAvailabilityView().post(request).submission) is kind

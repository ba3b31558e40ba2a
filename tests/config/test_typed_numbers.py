"""Every form of the console that takes a number takes digits alone, within the bounds of the API; nothing fails."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import Movement, Product, StockCountLine, Store, Transfer
from inventory.services.counts.opening import OpenRequest, open_count
from tests.drafts import begin_delivery, begin_transfer, draft_form, type_units
from tests.factories import ACTOR, counters, hold, make_level, make_warehouse, receive
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "without_menu")]

NO_NUMBERS = ["1.000", "1_0", "2147483648"]
"""One of each kind: tests/audit/test_whole_numbers.py has the others."""

Door = tuple[str, str, dict[str, Any], str]
"""The name of a form, its address, its other fields, and the name of its number."""


@pytest.fixture
def browser() -> Client:
    return browser_of(make_staff())


def url(name: str, *arguments: Any) -> str:
    return reverse(f"admin:{name}", args=arguments)


def doors(browser: Client) -> Iterator[Door]:
    """All forms with a number, on one product and one store."""
    level, store = make_level(10), Store.objects.get()
    make_warehouse("wh-002")
    for action in ("receive", "ship", "adjust", "transfer", "count"):
        address = url(f"inventory_stocklevel_{action}", level.pk)
        yield action, address, {"remark": "x", "to_warehouse": "wh-002"}, "quantity"
    for action in ("receive_rows", "transfer_rows"):
        fields = {"level": str(level.pk), "remark": "x", "to_warehouse": "wh-002"}
        yield action, url(f"inventory_stocklevel_{action}"), fields, f"units-{level.pk}"
    for name in ("reorder_point", "reorder_quantity", "min_stock_level", "max_stock_level"):
        yield name, url("inventory_stocklevel_set_rows"), {"level": str(level.pk)}, name
    for name in ("stale_days", "recount_percent"):
        fields = {"warehouse": "wh-001", "scope": "STALE"}
        yield name, url("inventory_stockcount_open_count"), fields, name
    counted = make_level(10, "wh-009")
    opened = open_count(OpenRequest(actor=ACTOR, warehouse="wh-009", scope="ALL"))
    count_id, line = opened.count.id, StockCountLine.objects.get(level=counted)  # type: ignore[union-attr]
    yield "walk", url("inventory_stockcount_walk", count_id), {"line": str(line.pk)}, "counted"
    held = hold((level, 1))
    yield "extend", url("reservations_reservation_extend", held.id), {}, "minutes"
    of_store = {"name": "n", "sources-TOTAL_FORMS": "1", "sources-INITIAL_FORMS": "0", "sources-0-warehouse": ""}
    of_store |= {"max_holds_per_customer": "1", "hold_window_minutes": "1", "sources-0-priority": "1"}
    of_store |= {"sources-0-warehouse": str(level.warehouse_id)}
    for name in ("ttl_minutes", "max_units_per_customer", "max_holds_per_customer", "hold_window_minutes"):
        yield name, url("inventory_store_change", store.pk), of_store, name
    yield "priority", url("inventory_store_change", store.pk), of_store, "sources-0-priority"
    inlines = {f"{prefix}-{part}_FORMS": "0" for prefix in ("variants", "levels") for part in ("TOTAL", "INITIAL")}
    address = url("inventory_product_change", level.product_id)
    yield "most of a product", address, {"sku": "s", "name": "n", **inlines}, "max_units_per_customer"


def state() -> Any:
    """What a form could have changed."""
    return (
        Movement.objects.count(),
        Transfer.objects.count(),
        list(Store.objects.values()),
        list(Product.objects.order_by("pk").values_list("max_units_per_customer", flat=True)),
        list(StockCountLine.objects.order_by("pk").values_list("counted", flat=True)),
    )


def errors_of(answer: Any) -> str:
    context = answer.context
    found = [str(context["form"].errors)] if "form" in context else []
    found += [str(context["errors"])] if context.get("errors") else []
    return " ".join(found)


@pytest.mark.parametrize("typed", NO_NUMBERS)
def test_number_that_is_none_is_refused_in_every_form(browser: Client, typed: str) -> None:
    before = None
    for name, address, fields, number in doors(browser):
        before = state()
        answer = browser.post(address, {"once": str(uuid4()), **fields, number: typed})
        assert answer.status_code in {200, 422}, (name, answer.status_code)
        assert "is not a whole number from" in errors_of(answer), name
        assert state() == before, name


@pytest.mark.parametrize("typed", [*NO_NUMBERS, "1000001", "-1"])
def test_number_that_is_none_is_refused_in_drafts(browser: Client, typed: str) -> None:
    level = make_level(10)
    make_warehouse("wh-002")
    for path in (begin_delivery(browser), begin_transfer(browser)):
        type_units(browser, path, {level.product_id: 7})
        shown = type_units(browser, path, {level.product_id: typed}, follow="1")
        page = shown.content.decode() if shown.content else browser.get(path).content.decode()
        assert "whole number" in page or "1,000,000" in page, (path, typed)
        assert draft_form(browser, path)[f"units-{level.product_id}"] == "7"


@pytest.mark.parametrize(
    ("action", "typed", "is_taken"),
    [
        ("receive", "1000000", True),
        ("receive", "1000001", False),
        ("receive", "+5", False),
        ("receive", "0", False),
        ("receive", "-5", False),
        ("ship", "-5", False),
        ("adjust", "−5", True),
        ("adjust", "+5", True),
        ("adjust", "0", False),
        ("adjust", "-1000001", False),
        ("count", "0", True),
        ("count", "2000000000", True),
        ("count", "2000000001", False),
        ("receive", " 5 ", True),
        ("receive", "05", True),
    ],
)
def test_bounds_of_a_line_are_those_of_the_api(browser: Client, action: str, typed: str, is_taken: bool) -> None:
    level = make_level(10)
    form = {"once": str(uuid4()), "quantity": typed, "remark": "x"}
    address = url(f"inventory_stocklevel_{action}", level.pk)
    answer = browser.post(address, form)
    if answer.status_code == 422 and answer.context["dialog"].doubts:
        answer = browser.post(address, {**form, "sure": answer.context["dialog"].sure})
    assert (answer.status_code == 302) is is_taken


def test_level_never_has_more_than_two_billion_units(browser: Client) -> None:
    level = make_level(10)
    type(level).objects.filter(pk=level.pk).update(on_hand=1_999_999_999)
    page = browser.post(
        url("inventory_stocklevel_receive", level.pk), {"once": str(uuid4()), "quantity": "2", "remark": "x"}
    )
    assert "A level has at most 2,000,000,000 units." in page.content.decode()
    receive(level.product, 1, "wh-001")
    assert counters(level)[0] == 2_000_000_000

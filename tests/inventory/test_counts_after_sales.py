"""A count's line says what was sold from it in the 24 hours before, once it is counted."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from msgspec import structs

from inventory.models import Movement, StockCountLine, StockLevel
from inventory.services.counts.documents import ProductRef, read_lines
from inventory.services.counts.entering import EnteredCount, EnterRequest, enter_counts
from inventory.services.counts.opening import OpenRequest, open_count
from inventory.services.counts.sold import sold_before
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.factories import ACTOR, hold, make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def sell(level: StockLevel, units: int) -> None:
    order = f"order-{units}"
    held = hold((level, units))
    consume_hold(ConsumeRequest(ACTOR, order, Selector(reservation_id=held.id)))


def moved(level: StockLevel, units: int, *, hours_ago: float = 1, **fields: Any) -> None:
    """A movement of the past, without its change of on hand."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        at = cursor.fetchone()[0] - timedelta(hours=hours_ago)
    given = {"type": "SHIPMENT", "reference_type": "order", "reference": "o", "actor": "shop", **fields}
    Movement.objects.create(
        level=level, quantity=-units, quantity_before=1000, quantity_after=1000 - units, created_at=at, **given
    )


def opened(*levels: StockLevel, **fields: Any) -> Any:
    refs = tuple(ProductRef(level.product_id) for level in levels)
    return open_count(OpenRequest(ACTOR, "wh-001", "PRODUCTS", products=refs, **fields)).count  # type: ignore[union-attr]


def test_sales_of_the_day_before_the_counting_are_summed() -> None:
    level, other = make_level(20), make_level(20)
    count = opened(level, other)
    sell(level, 3)
    moved(level, 4, hours_ago=23.9)
    moved(level, 100, hours_ago=24.1)
    moved(level, 100, reference_type="adjustment")
    moved(level, -100, type="RETURN")
    moved(level, 100, adjustment_id=count.id)  # Posted as shipped by the warehouse: it has left the shelf.
    entries = tuple(EnteredCount(ProductRef(each.product_id), 17) for each in (level, other))
    counted = enter_counts(EnterRequest(ACTOR, count.id, entries))
    by_level = {line.level_id: counted.sold[line.id] for line in counted.lines}  # type: ignore[union-attr]
    assert by_level == {level.id: 7, other.id: 0}
    sell(level, 2)  # Sold after the counting: it says nothing about the figure.
    lines = read_lines(count.id)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert {line.level_id: units for line in lines if (units := sold_before([line])[line.id])} == {level.id: 7}
    assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        assert sorted(sold_before(lines).values()) == [0, 7]
    assert len(queries) == 1


def test_a_line_that_is_counted_blind_says_nothing() -> None:
    uncounted, again = make_level(20), make_level(20)
    sell(uncounted, 1)
    sell(again, 2)
    count = opened(uncounted, again, recount_share=0)
    entry = EnteredCount(ProductRef(again.product_id), 5)
    assert enter_counts(EnterRequest(ACTOR, count.id, (entry,))).sold == {}  # type: ignore[union-attr]
    assert sold_before(read_lines(count.id)) == {}
    enter_counts(EnterRequest(ACTOR, count.id, (EnteredCount(ProductRef(again.product_id), 18, True),)))
    assert list(sold_before(StockCountLine.objects.filter(count=count)).values()) == [2]


def test_callers_read_it_after_entry(api: Api) -> None:
    level = make_level(20)
    sell(level, 3)
    count = opened(level).public_id

    def read() -> Any:
        [line] = api.get(f"counts/{count}").json()["lines"]["items"]  # type: ignore[attr-defined]
        return line["soldLast24Hours"]

    assert read() is None
    body = {"lines": [{"productId": str(level.product_id), "counted": 20}]}
    for _ in range(2):
        answer = api.put(f"counts/{count}/lines", body, Idempotency_Key="count-1").json()  # type: ignore[attr-defined]
        assert [line["soldLast24Hours"] for line in answer["lines"]] == [3]
    assert read() == 3


def test_staff_see_it_after_entry_alone() -> None:
    level, staff = make_level(20), make_staff("manager")
    sell(level, 13)
    count, browser = opened(level), browser_of(staff)

    def shown() -> tuple[bool, bool, bool]:
        """Whether it is on the walk, on the page that posts, and on the page of the count."""
        walk, post, page = (
            browser.get(reverse(f"admin:inventory_stockcount_{name}", args=[count.pk])).content.decode()
            for name in ("walk", "post_count", "change")
        )
        return (
            "13 sold in the 24 hours before" in walk,
            '<td class="flow-number">13</td>' in post,
            bool(re.search(r">\s*13\s*<", page)),
        )

    assert shown() == (False, False, False)
    entry = EnteredCount(ProductRef(level.product_id), 20)
    enter_counts(EnterRequest(structs.replace(ACTOR, name=staff.username), count.pk, (entry,)))
    assert shown() == (True, True, True)

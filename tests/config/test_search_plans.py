"""How the search on every page is answered: by indexes, at a few thousand rows as at millions."""

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory.models import Product
from tests.factories import make_product, make_store, make_warehouse
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db

BIG = {
    "inventory_product",
    "inventory_stocklevel",
    "inventory_stockdocument",
    "reservations_reservation",
    "reservations_reservationitem",
    "reservations_shortageincident",
    "reservations_brokenhold",
}
PRODUCTS = """
INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active, freeze_reason)
SELECT gen_random_uuid(), 'P-' || i, 'p-' || i, 'Blue mug ' || i, '', '', true, '' FROM generate_series(1, 3000) i
"""
LEVELS = """
INSERT INTO inventory_stocklevel
    (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, zone, aisle, shelf, version)
SELECT gen_random_uuid(), product.id, warehouse.id, 10, 0, 0, 'A', right(sku, 1), right(sku, 3), 1
FROM inventory_product product, inventory_warehouse warehouse
"""
RESERVATIONS = """
INSERT INTO reservations_reservation
    (id, store_id, status, cart_id, order_id, customer_id, created_at, expires_at, released_at, reason)
SELECT gen_random_uuid(), id, 'RELEASED', 'cart-' || i, 'ORD-' || i, 'Cust-' || i % 9, now(), now(), now(), ''
FROM inventory_store, generate_series(1, 6000) i
"""
DOCUMENTS = """
INSERT INTO inventory_stockdocument (id, kind, number, warehouse_codes, reference, reason, actor, created_at)
SELECT gen_random_uuid(), 'RC', i, ARRAY['wh-001'], 'REF-' || i, '', 'x', now() FROM generate_series(1001, 4000) i
"""
INCIDENTS = """
INSERT INTO reservations_shortageincident
    (id, level_id, missing_units, cause_type, cause_id, created_at, created_by, request_id, status)
SELECT gen_random_uuid(), id, 1, 'COUNT', gen_random_uuid(), now(), 'x', 'x', 'OPEN'
FROM inventory_stocklevel LIMIT 3000
"""
BROKEN = """
INSERT INTO reservations_brokenhold (id, incident_id, reservation_id, order_id, quantity)
SELECT gen_random_uuid(), id, gen_random_uuid(), 'LOST-' || row_number() OVER (), 1 FROM reservations_shortageincident
"""


@pytest.fixture
def many_rows() -> None:
    """A few thousand rows of each big table, with statistics: enough for a plan to prefer an index."""
    make_warehouse("wh-001")
    make_warehouse("wh-002")
    make_store("main", "wh-001")
    with connection.cursor() as cursor:
        for insert in (PRODUCTS, LEVELS, RESERVATIONS, DOCUMENTS, INCIDENTS, BROKEN):
            cursor.execute(insert)
        cursor.execute(f"ANALYZE {', '.join(sorted(BIG))}")
        # No autovacuum runs in tests: entries of other tests would wait here, and make the index look slow.
        cursor.execute("SELECT gin_clean_pending_list('product_words')")


def plans_of(queries: list[dict[str, str]], *, uses_indexes: bool = False) -> Iterator[str]:
    """The plans of queries; with ``uses_indexes``, a table is read whole only where no index would do."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL enable_seqscan = {'off' if uses_indexes else 'on'}")
        for query in queries:
            if query["sql"].lstrip().startswith(("SELECT", "WITH")) and "\\x00" not in query["sql"]:
                cursor.execute(f"EXPLAIN {query['sql']}")
                yield "\n".join(row[0] for row in cursor.fetchall())


def plans(browser: Client, text: str) -> list[str]:
    """The plans of the queries of a search, where a table is read whole only if no index would do."""
    with CaptureQueriesContext(connection) as caught:
        assert (
            browser.get(reverse("admin:find"), {"q": text}, headers={"Accept": "application/json"}).status_code == 200
        )
    return list(plans_of(caught.captured_queries, uses_indexes=True))


def tables_read_whole(browser: Client, text: str) -> set[str]:
    return {table for plan in plans(browser, text) for table in re.findall(r"Seq Scan on (\w+)", plan)} & BIG


TEXTS = ("blue mug", "mug 77", "p-77", "P-2999", "ord-77", "CART-", "cust-", "12345678", "1234", "RC-1234", "REF-1234")
TEXTS += ("A-1-1", "a-", "wh-001/A-1", "wh-002/Z-9", "lost-7", "zzz", "zzz qqq", "…abcdef12", "b")


@pytest.mark.usefixtures("many_rows")
def test_no_search_reads_a_big_table_whole() -> None:
    for user in (make_staff(name="root"), make_staff("manager", "wh-001", name="limited")):
        browser = browser_of(user)
        assert {text: found for text in TEXTS if (found := tables_read_whole(browser, text))} == {}


@pytest.mark.usefixtures("many_rows")
def test_lists_of_products_find_words_by_their_index() -> None:
    make_product(sku="RARE", name="Something unheard-of")
    for text in ("unheard", "P-2999", "blue 77"):
        with CaptureQueriesContext(connection) as caught:
            assert list(Product.objects.meant(text).order_by("sku")[:25])
        found = list(plans_of(caught.captured_queries))
        assert not any("Seq Scan on inventory_product" in plan for plan in found), "\n".join([text, *found])
        worded = [query["sql"] for query in caught.captured_queries if "to_tsvector" in query["sql"]]
        assert worded
        assert all("MATERIALIZED" in sql for sql in worded), "with a limit or an order, many rows change the plan"


@pytest.mark.usefixtures("many_rows")
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("A-1-1", "level_place"),
        ("wh-001/A-1", "level_place"),
        ("wh-002/Z-9", "level_place"),
        ("lost-7", "broken_hold_order"),
        ("…abcdef12", "incident_id_end"),
    ],
)
def test_places_and_incidents_have_indexes_of_their_own(text: str, index: str) -> None:
    assert any(index in plan for plan in plans(browser_of(make_staff(name="root")), text))

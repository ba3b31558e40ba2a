"""Search of products by words, through an index."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import Product
from tests.factories import make_product

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("rain jack", {"JKT-RAIN-M"}),
        ("RAIN", {"JKT-RAIN-M"}),
        ("jkt-rain", {"JKT-RAIN-M"}),
        ("gas-23", {"GAS-230"}),
        ("230", {"GAS-230"}),
        ("can", {"GAS-230", "CAN"}),
        ("2000000000015", {"GAS-230"}),
        ("200000000001", set()),
        ("iné", {"CAN"}),
        ("émin", {"CAN"}),
        ("o'bri", {"CAN"}),
        ("anister", {"GAS-230"}),
        ("jacket gas", set()),
        ("' | 'rain", {"JKT-RAIN-M"}),
        ("\\", set()),
        ("%", set()),
        ("-", {"JKT-RAIN-M", "GAS-230"}),
    ],
)
def test_what_is_typed_is_meant_as_words_then_as_a_part(typed: str, found: set[str]) -> None:
    make_product(sku="JKT-RAIN-M", name="Rain jacket, M")
    make_product(sku="GAS-230", name="Gas canister, 230 g", barcode="2000000000015")
    make_product(sku="CAN", name="O'Brien's éminé can")
    assert set(Product.objects.meant(typed).values_list("sku", flat=True)) == found


def test_words_are_looked_up_in_their_index() -> None:
    make_product(name="Rain jacket")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    with CaptureQueriesContext(connection) as sent:
        assert len(Product.objects.meant("rain")) == 1
    lookup = next(query["sql"] for query in sent if "to_tsvector" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {lookup}")
        assert "product_words" in str(cursor.fetchall())

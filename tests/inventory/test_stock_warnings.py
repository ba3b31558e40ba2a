"""Warnings about goods: frozen, discontinued, or in a closed warehouse."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from inventory.models import Product, Warehouse
from inventory.services.catalogue.stock_warnings import in_words, warnings_of, warnings_of_levels
from tests.factories import make_level, make_product, make_store, make_variant, receive

pytestmark = [pytest.mark.django_db]
PAST, FUTURE = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("product", "warehouse", "expected"),
    [
        ({}, {}, ""),
        ({"frozen_at": PAST, "freeze_reason": "lot 7"}, {}, "Frozen: lot 7"),
        ({"frozen_at": PAST - timedelta(days=1), "frozen_until": PAST, "freeze_reason": "over"}, {}, ""),
        ({"is_active": False}, {}, "Discontinued"),
        ({"listing_expires_at": PAST}, {}, "Listing ended"),
        ({"listing_expires_at": FUTURE}, {}, ""),
        ({"is_active": False, "frozen_at": PAST}, {}, "Frozen · Discontinued"),
        ({}, {"is_active": False}, "Warehouse closed"),
        ({}, {"frozen_at": PAST, "freeze_reason": "flood"}, "Warehouse frozen: flood"),
    ],
)
def test_each_reason_not_to_sell_is_a_warning_of_product_variant_and_level(
    product: dict[str, Any], warehouse: dict[str, Any], expected: str
) -> None:
    make_store()
    level = make_level(5)
    variant = make_variant(level.product)
    of_variant = receive(variant, 1)
    Product.objects.filter(pk=level.product_id).update(**product)
    Warehouse.objects.filter(code="wh-001").update(**warehouse)
    ids = [level.product_id, variant.pk]
    assert [in_words(warnings_of(ids, "wh-001").get(id_, ())) for id_ in ids] == [expected] * 2
    levels = [level.pk, of_variant.pk]
    assert [in_words(warnings_of_levels(levels).get(id_, ())) for id_ in levels] == [expected] * 2
    if warehouse:
        assert warnings_of(ids) == {}, "no warehouse was named"


def test_nothing_is_read_for_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert warnings_of([]) == warnings_of_levels([]) == {}
    ids = [make_product().pk for _ in range(3)]
    with django_assert_num_queries(1):
        assert warnings_of(ids) == {}

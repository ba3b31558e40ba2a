"""Rules of changing settings of levels, and products, many at a time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from audit.errors import Invalid, NotFound, VersionConflict
from audit.idempotency import Claim, StoredAnswer
from inventory.errors import SkuTaken, UnknownProduct
from inventory.models import Product, StockLevel
from inventory.services.catalogue import master_data
from inventory.services.catalogue.master_data import ProductChange, ProductFields, fields_of, put_products
from inventory.services.stock.level_settings import LevelChange, SetLevels, set_levels
from tests.factories import ACTOR, make_level, make_product, make_variant, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def refuse(level: Any) -> None:
    """The precondition of somebody who saw another version."""
    raise VersionConflict(f"It has version {level.version}.")


def change_of(level: StockLevel, **more: Any) -> LevelChange:
    return LevelChange(level.product_id, "wh-001", {"reorder_point": 7}, **more)


def claim_of(key: str) -> Claim:
    return Claim(uuid7(), key, b"print", lambda result: StoredAnswer(200, b'"done"'))


def test_settings_of_many_levels_are_changed_and_recorded() -> None:
    first, second = make_level(1, reorder_point=1, zone="A"), make_level(1, min_stock_level=4)
    changes = [
        LevelChange(first.product_id, "wh-001", {"reorder_point": None, "shelf": "9"}),
        LevelChange(second.product_id, "wh-001", {"max_stock_level": 30}),
    ]
    assert set_levels(ACTOR, changes, claim=None) == SetLevels((first.pk, second.pk))
    before = first.version
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.reorder_point, first.zone, first.shelf, first.version) == (None, "A", "9", before + 1)
    assert (second.max_stock_level, second.min_stock_level) == (30, 4)
    by_level = {entry.subject_id: entry.changes for entry in recorded("inventory_level_changed")}
    assert by_level == {
        first.pk: {"reorder_point": [1, None], "shelf": ["", "9"]},
        second.pk: {"max_stock_level": [None, 30]},
    }


def test_statements_do_not_grow_with_the_levels_or_products() -> None:
    counts = []
    for number in (1, 30):
        levels = [make_level(1) for _ in range(number)]
        new = [ProductChange(uuid7(), ProductFields(f"N-{number}-{i}", "New")) for i in range(number)]
        old = [ProductChange(level.product_id, ProductFields(f"O-{number}-{i}", "x")) for i, level in enumerate(levels)]
        with CaptureQueriesContext(connection) as asked:
            set_levels(ACTOR, [change_of(level) for level in levels], claim=claim_of(f"a-{number}"))
            put_products(ACTOR, [*new, *old], claim=claim_of(f"b-{number}"))
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_one_level_that_is_missing_or_changed_stops_all() -> None:
    level = make_level(1, reorder_point=3)
    nowhere = LevelChange(level.product_id, "wh-404", {"reorder_point": 7})
    with pytest.raises(NotFound) as missing:
        set_levels(ACTOR, [change_of(level), nowhere], claim=None)
    assert [fault.pointer for fault in missing.value.faults] == ["/levels/1"]
    other = make_level(1)
    for stale in (change_of(level, seen={"reorder_point": 2}), change_of(level, precondition=refuse)):
        with pytest.raises(VersionConflict) as conflict:
            set_levels(ACTOR, [change_of(other), stale], claim=None)
        assert [fault.pointer for fault in conflict.value.faults] == ["/levels/1"]
    set_levels(ACTOR, [change_of(level, seen={"reorder_point": 3})], claim=None)
    level.refresh_from_db()
    other.refresh_from_db()
    assert (level.reorder_point, other.reorder_point) == (7, None)
    assert len(recorded("inventory_level_changed")) == 1


def test_claimed_change_is_done_once() -> None:
    level, claim = make_level(1), claim_of("once")
    assert isinstance(set_levels(ACTOR, [change_of(level)], claim=claim), SetLevels)
    assert isinstance(set_levels(ACTOR, [change_of(level)], claim=claim), StoredAnswer)
    assert len(recorded("inventory_level_changed")) == 1


def test_products_and_their_variants_are_made_and_changed_together() -> None:
    old = make_product(sku="OLD", barcode="123")
    parent, variant, until = uuid7(), uuid7(), datetime(2031, 1, 1, tzinfo=UTC)
    changes = [
        ProductChange(variant, ProductFields("NEW-S", "Small", parent_id=parent)),
        ProductChange(parent, ProductFields("NEW", "New", listing_expires_at=until, max_units_per_customer=3)),
        ProductChange(old.pk, ProductFields("OLD", "Older", barcode=""), fields_of(old)),
    ]
    saved = put_products(ACTOR, changes, claim=None)
    assert saved == master_data.SavedProducts(created=2, changed=1)
    assert Product.objects.get(sku="NEW-S").parent == Product.objects.get(sku="NEW")
    assert fields_of(Product.objects.get(sku="NEW")) == changes[1].fields
    assert Product.objects.with_freezes().get(sku="NEW").is_frozen is False
    assert recorded("inventory_product_changed")[-1].changes == {
        "name": [old.name, "Older"],
        "barcode": ["123", ""],
    }
    assert {entry.subject_id for entry in recorded("inventory_product_created")} == {parent, variant}


def test_rules_of_variants_hold_for_all_of_a_request_together() -> None:
    parent = make_product(sku="PARENT")
    variant, alone = make_variant(parent, sku="VARIANT"), make_product(sku="ALONE")

    def refused(kind: type[Exception], *changes: ProductChange) -> list[str]:
        with pytest.raises(kind) as error:
            put_products(ACTOR, changes, claim=None)
        return [fault.pointer for fault in error.value.faults]  # type: ignore[attr-defined]

    def moved(product: Product, parent_id: Any) -> ProductChange:
        return ProductChange(product.pk, ProductFields(product.sku, "moved", parent_id=parent_id))

    new = ProductChange(uuid7(), ProductFields("NEW", "New"))
    assert refused(Invalid, new, moved(alone, variant.pk)) == ["/products/1"]
    assert refused(Invalid, moved(parent, alone.pk)) == ["/products/0"]
    assert refused(Invalid, moved(alone, alone.pk)) == ["/products/0"]
    assert refused(Invalid, moved(parent, new.id), new) == ["/products/0"]
    assert refused(UnknownProduct, moved(alone, uuid7())) == ["/products/0"]
    assert refused(SkuTaken, new, ProductChange(uuid7(), ProductFields("ALONE", "Thief"))) == ["/products/1"]
    stale = ProductChange(alone.pk, ProductFields("ALONE", "x"), ProductFields("ALONE", "seen before"))
    assert refused(VersionConflict, new, stale) == ["/products/1"]
    assert set(Product.objects.values_list("sku", flat=True)) == {"PARENT", "VARIANT", "ALONE"}
    put_products(ACTOR, [moved(variant, None), moved(parent, variant.pk)], claim=None)
    parent.refresh_from_db()
    assert parent.parent_id == variant.pk

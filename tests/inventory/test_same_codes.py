"""Codes that several products have, and texts that were stored before they were cleaned."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from audit.errors import Invalid
from inventory.errors import SkuTaken
from inventory.models import AdjustmentReason, Product, StockLevel, Warehouse
from inventory.services.catalogue.codes import products_by_code, products_by_sku, skus_sharing
from inventory.services.catalogue.master_data import ProductChange, ProductFields, fields_of, put_product, put_products
from tests.factories import ACTOR, make_level, make_product, recorded

pytestmark = pytest.mark.django_db

UPC = "036000291452"
EAN = f"0{UPC}"


def put(sku: str, product_id: Any = None, **fields: Any) -> Product:
    """Save a product as the API does."""
    given = {"name": "n", "barcode": "", "is_active": True, **fields}
    saved = put_product(ACTOR, product_id or uuid4(), parent_id=None, claim=None, sku=sku, **given)
    return saved.row  # type: ignore[union-attr, no-any-return]


def skus(products: list[Product]) -> list[str]:
    """The SKUs of products, in their order."""
    return [product.sku for product in products]


@pytest.fixture
def twins() -> tuple[Product, Product]:
    """Two products whose SKUs differ in case alone, as they may be in an old database."""
    older, younger = make_product(sku="F12"), make_product(sku="rename me")
    Product.objects.filter(pk=younger.pk).update(sku="f12", sku_key="f12", sku_twin=1)
    return older, younger


# ------------------------------------------------------------------------------------------------------ what is saved


def test_texts_of_a_product_are_cleaned_when_it_is_saved() -> None:
    product = put(" F12\u00a0", name="\tCafe\u0301\u00a0cups", barcode=f"{UPC}\r\n")
    assert (product.sku, product.name, product.barcode) == ("F12", "Café cups", UPC)
    assert (product.sku_key, product.barcode_key) == ("f12", f"00{UPC}")


def test_refused_characters_and_empty_texts_are_named_all_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        put(" \u00a0", name="a\u202eb", barcode="1\0")
    assert {fault.pointer: fault.detail.partition(",")[0] for fault in refused.value.faults} == {
        "/sku": "The SKU is empty.",
        "/name": "The name has the character U+202E RIGHT-TO-LEFT OVERRIDE in position 2",
        "/barcode": "The barcode has the character U+0000 NULL in position 2",
    }
    change = ProductChange(uuid4(), ProductFields("G\u200b1", "n"))
    with pytest.raises(Invalid) as refused:
        put_products(ACTOR, [ProductChange(uuid4(), ProductFields("G2", "n")), change], claim=None)
    assert [fault.pointer for fault in refused.value.faults] == ["/products/1"]
    assert not Product.objects.exists()


def test_no_product_gets_a_sku_that_another_has_in_another_case() -> None:
    put("F12")
    with pytest.raises(SkuTaken, match="F12"):
        put("f12 ")
    new = [ProductChange(uuid4(), ProductFields(sku, "n")) for sku in ("Ärmel", "F12", "ÄRMEL")]
    with pytest.raises(SkuTaken) as refused:
        put_products(ACTOR, new, claim=None)
    assert [fault.pointer for fault in refused.value.faults] == ["/products/0", "/products/1", "/products/2"]


def test_the_database_refuses_a_sku_in_another_case_as_well() -> None:
    make_product(sku="F12")
    with pytest.raises(IntegrityError, match="product_sku_once"), transaction.atomic():
        make_product(sku="f12")
    with pytest.raises(IntegrityError, match="product_sku_once"), transaction.atomic():
        Product.objects.bulk_create([Product(sku="f12", name="n")])


def test_a_product_may_change_the_case_of_its_own_sku() -> None:
    product = put("f12")
    assert put("F12", product.pk).sku_key == "f12"
    change = ProductChange(product.pk, ProductFields("f12", "n"), fields_of(Product.objects.get()))
    put_products(ACTOR, [change], claim=None)
    assert Product.objects.get().sku == "f12"
    put("G1", product.pk)
    assert Product.objects.get().sku_key == "g1"


# ------------------------------------------------------------------------------------------------------- what is found


def test_a_code_finds_all_its_products_those_by_sku_first() -> None:
    zero = make_product(sku="Z", barcode=UPC)
    other = make_product(sku="B", barcode=EAN)
    named = make_product(sku=f"00{UPC}")
    make_product(sku="unlike", barcode="")
    for code in (UPC, EAN, f"00{UPC}", f" {EAN}\n"):
        assert products_by_code(code) == [named, other, zero]
    assert skus(products_by_code("b")) == ["B"]
    assert products_by_code("") == products_by_code("\u200b") == products_by_code("\0") == []
    assert products_by_code(UPC[:-1]) == products_by_code(UPC[:-1] + "3") == []


def test_a_barcode_with_a_wrong_check_digit_is_compared_as_a_text() -> None:
    make_product(sku="A", barcode="036000291453")
    assert skus(products_by_code("036000291453")) == ["A"]
    assert products_by_code("0036000291453") == []


def test_a_file_finds_a_sku_in_any_case_and_prefers_its_own_spelling(twins: tuple[Product, Product]) -> None:
    make_product(sku="G1", barcode="F12")
    found = products_by_sku(["F12", "f12", "g1", "missing"])
    assert {sku: skus(products) for sku, products in found.items()} == {"F12": ["F12"], "f12": ["f12"], "g1": ["G1"]}
    Product.objects.filter(sku="f12").update(sku="F12\u200b")
    assert skus(products_by_sku(["f12"])["f12"]) == ["F12", "F12\u200b"]


def test_products_that_share_a_code_are_known_by_it() -> None:
    one = make_product(sku="A", barcode=UPC)
    two = make_product(sku=EAN)
    make_product(sku="B", barcode="")
    assert skus_sharing({one.pk: ("A", UPC)}) == {one.pk: [EAN]}
    assert skus_sharing({two.pk: (EAN, "")}) == {two.pk: ["A"]}
    assert skus_sharing({one.pk: ("A", "")}) == skus_sharing({uuid4(): ("C", "")}) == {}
    new = uuid4()
    assert skus_sharing({new: ("C", "x"), one.pk: ("X", UPC)}) == {new: ["X"], one.pk: [EAN, "C"]}


def test_lookups_by_code_use_indexes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Product.objects.coded(UPC).explain()
    assert "product_barcode_key" in plan
    assert "product_sku_once" in plan


# ------------------------------------------------------------------------------------------------ what was there before


def test_twins_are_both_found_and_can_be_changed(twins: tuple[Product, Product]) -> None:
    _older, younger = twins
    assert skus(products_by_code("F12")) == ["F12", "f12"]
    assert put("f12", younger.pk, name="other").name == "other"
    with pytest.raises(SkuTaken):
        put("F12 ")


@pytest.mark.parametrize("renamed", [0, 1])
def test_a_twin_is_alone_once_the_other_has_another_sku(twins: tuple[Product, Product], renamed: int) -> None:
    one, other = twins[renamed], twins[1 - renamed]
    put("G1", one.pk)
    with pytest.raises(SkuTaken):
        put("F12 ")
    put_products(ACTOR, [ProductChange(other.pk, ProductFields("H1", "n"))], claim=None)
    assert set(Product.objects.values_list("sku_key", "sku_twin")) == {("g1", 0), ("h1", 0)}
    assert put("f12").sku == "f12"


class Schema:
    """What a migration's function is given."""

    connection = connection


def migrate() -> None:
    """Clean the rows as the migration does."""
    module = import_module("inventory.migrations.0015_clean_texts")
    module.clean_products(apps, Schema)
    module.clean_texts(apps, Schema)


@pytest.fixture
def stored() -> Iterator[Any]:
    """A function that stores a product with exactly these values, as an old version did."""

    def store(sku: str, **fields: str) -> Product:
        product = make_product()
        Product.objects.filter(pk=product.pk).update(sku=sku, sku_key=str(product.pk), **fields)
        return product

    return store


def test_migration_cleans_what_nobody_else_has(stored: Any) -> None:
    stored("F12 ", name=" A\u200b name\ufffe", barcode=f"{UPC}\u00a0")
    stored("G\u202e1", barcode=EAN)
    fine = stored("Größe 5")
    migrate()
    rows = Product.objects.order_by("sku").values_list("sku", "sku_key", "sku_twin", "barcode", "barcode_key")
    assert list(rows) == [
        ("F12", "f12", 0, UPC, f"00{UPC}"),
        ("G1", "g1", 0, EAN, f"00{UPC}"),
        ("Größe 5", "größe 5".casefold(), 0, "", ""),
    ]
    assert Product.objects.get(sku="F12").name == "A name"
    changes = [entry.changes for entry in recorded("inventory_product_changed")]
    assert {"sku": "F12", "name": "A name", "barcode": UPC} in changes
    assert not [entry for entry in recorded("inventory_product_changed") if entry.subject_id == fine.pk]


def test_migration_keeps_products_whose_codes_would_be_the_same(stored: Any) -> None:
    stored("F12\u200b")
    stored("F12")
    stored("f12")
    stored("\u200b")
    stored("\u200d")
    migrate()
    kept = dict(Product.objects.values_list("sku", "sku_twin"))
    assert kept == {"F12": 0, "f12": 1, "F12\u200b": 2, "\u200b": 0, "\u200d": 1}
    assert skus(products_by_code("F12")) == ["F12", "F12\u200b", "f12"]


def test_migration_cleans_places_and_names() -> None:
    level = make_level(1)
    StockLevel.objects.update(zone="A\u00a0", aisle="0\u200b1", shelf="\u200b")
    Warehouse.objects.update(name="Main\ufffe hall ")
    AdjustmentReason.objects.create(text="Broken\u200b", kinds=["ADJUST"])
    AdjustmentReason.objects.create(text="Lost ", kinds=["ADJUST"])
    migrate()
    level.refresh_from_db()
    assert (level.zone, level.aisle, level.shelf) == ("A", "01", "")
    assert Warehouse.objects.get().name == "Main hall"
    # "Lost" is there already.
    assert {"Broken", "Lost", "Lost "} <= set(AdjustmentReason.objects.values_list("text", flat=True))

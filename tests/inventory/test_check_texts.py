"""The command ``check_texts``."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from audit.models import ApiClient
from inventory.models import AdjustmentReason, Product, StockLevel, Store, Warehouse
from tests.factories import make_level, make_product, make_store

pytestmark = pytest.mark.django_db


def checked(*options: str) -> tuple[list[str], int]:
    """The lines that the command prints, and its exit status."""
    written, status = StringIO(), 0
    try:
        call_command("check_texts", *options, stdout=written)
    except SystemExit as ended:
        status = int(str(ended.code))
    return written.getvalue().splitlines(), status


def test_nothing_is_wrong_in_a_clean_database() -> None:
    make_level(1, zone="A é")
    make_product(sku="Größe 5–6", name="Café ❤", barcode="0036000291452")
    assert checked() == (["0 texts to change."], 0)


def test_skus_that_are_the_same_are_listed_with_the_oldest() -> None:
    older, younger = make_product(sku="F12"), make_product()
    Product.objects.filter(pk=younger.pk).update(sku="f12", sku_twin=1)
    lines, status = checked()
    wrong = f"product {younger.pk}: sku 'f12' is the same as 'F12' of product {older.pk}."
    assert lines == [f"{wrong} Give one of the two another SKU.", "1 texts to change."]
    assert status == 1


def test_each_unclean_text_is_listed_with_what_is_wrong() -> None:
    level = make_level(1, zone="A\u00a0", aisle="\u200b1")
    store = make_store()
    Product.objects.update(sku="F\ufffe1", name=" n", barcode="1 ")
    Warehouse.objects.update(name="a\u202eb")
    Store.objects.update(name="\u00adm")
    AdjustmentReason.objects.filter(text="Lost").update(text="Lost\u2060")
    client = ApiClient.objects.create(name="till ", role="checkout")
    user = User.objects.create(username="bob", last_name="B\u200db")
    lines, status = checked()
    said = "\n".join(lines)
    for row, what in {
        f"product {level.product_id}: sku": "'F\\ufffe1' has the character U+FFFE NO CHARACTER in position 2. Save it",
        f"product {level.product_id}: name": "' n' would be 'n' today",
        f"product {level.product_id}: barcode": "'1 ' would be '1' today",
        f"warehouse {level.warehouse_id}: name": "U+202E RIGHT-TO-LEFT OVERRIDE in position 2",
        f"store {store.pk}: name": "U+00AD SOFT HYPHEN in position 1",
        f"{StockLevel._meta.verbose_name} {level.pk}: zone": "'A\\xa0' would be 'A' today",
        f"{StockLevel._meta.verbose_name} {level.pk}: aisle": "U+200B ZERO WIDTH SPACE",
        f"{ApiClient._meta.verbose_name} {client.pk}: name": "'till ' would be 'till' today. Make a client with",
        f"{User._meta.verbose_name} {user.pk}: last_name": "U+200D ZERO WIDTH JOINER in position 2. Save the account",
        "text": "'Lost\\u2060' has the character U+2060 WORD JOINER",
    }.items():
        assert any(row in line and what in line for line in lines), (row, said)
    assert said.isascii()
    assert (lines[-1], status) == ("10 texts to change.", 1)
    assert StockLevel.objects.get(pk=level.pk).zone == "A\u00a0"


def test_a_product_that_was_written_past_the_service_is_listed() -> None:
    product = make_product(sku="F12")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_product SET sku = 'G1'")
    lines, status = checked()
    assert lines[0].startswith(f"product {product.pk}: sku 'G1' was not saved by the service")
    assert status == 1
    product.sku = "G1"
    product.save()
    assert checked()[1] == 0


def test_codes_that_products_share_are_listed_when_asked_for() -> None:
    make_product(sku="A", barcode="036000291452")
    make_product(sku="0036000291452")
    make_product(sku="B", barcode="b")
    assert checked("--shared") == (
        ["'00036000291452' is a code of several products: '0036000291452', 'A'.", "0 texts to change."],
        0,
    )

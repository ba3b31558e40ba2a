"""A code of several products finds all of them, on each list on which products are searched for."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inventory.models import (
    LowStockAlert,
    Product,
    ReconciliationFinding,
    ReconciliationRun,
    StockCountLine,
    StockLevel,
)
from reservations.models import ShortageIncident
from tests.conftest import Api
from tests.factories import make_level, make_product

pytestmark = pytest.mark.django_db

UPC, EAN = "036000291452", "0036000291452"
Levels = tuple[StockLevel, StockLevel]


def give_code(level: StockLevel, **codes: str) -> None:
    """Give the level's product a code."""
    product = Product.objects.get(pk=level.product_id)
    for name, code in codes.items():
        setattr(product, name, code)
    product.save(update_fields=list(codes))


@pytest.fixture
def levels() -> Levels:
    """A level of a product whose SKU is the code, and one of a product whose barcode it is; a third has neither."""
    one, other, third = make_level(10, reorder_point=1), make_level(10, reorder_point=1), make_level(10)
    give_code(one, sku=UPC)
    give_code(other, barcode=EAN)
    run = ReconciliationRun.objects.create(started_at=timezone.now(), actor="tests")
    for level in (one, other, third):
        LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
        ReconciliationFinding.objects.create(run=run, kind="ON_HAND", subject_id=level.pk, level=level)
        ShortageIncident.objects.create(
            level=level, missing_units=1, cause_type="COUNT", cause_id=uuid4(), created_at=timezone.now()
        )
    return one, other


def found(client: Client, model: str, term: str) -> list[Any]:
    """The rows that a list's search finds."""
    page = client.get(reverse(f"admin:{model}_changelist"), {"q": term})
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


@pytest.mark.parametrize("term", [UPC, EAN, f" {EAN}\u00a0", f"\u200b{UPC}"])
def test_each_list_finds_the_rows_of_both(admin_client: Client, levels: Levels, term: str) -> None:
    wanted = {level.product_id for level in levels}
    assert {row.pk for row in found(admin_client, "inventory_product", term)} == wanted
    assert {row.product_id for row in found(admin_client, "inventory_stocklevel", term)} == wanted
    for model in (
        "inventory_movement",
        "inventory_lowstockalert",
        "inventory_reconciliationfinding",
        "reservations_shortageincident",
    ):
        assert {row.level.product_id for row in found(admin_client, model, term)} == wanted, model


def test_choosing_a_product_by_code_offers_both(admin_client: Client, levels: Levels) -> None:
    asked = {"app_label": "inventory", "model_name": "product", "field_name": "parent", "term": EAN}
    answer = admin_client.get(reverse("admin:autocomplete"), asked)
    assert {row["id"] for row in answer.json()["results"]} == {str(level.product_id) for level in levels}


def test_the_only_level_of_a_code_is_opened_unless_other_products_have_the_code(admin_client: Client) -> None:
    level = make_level(10)
    give_code(level, barcode=EAN)
    address = reverse("admin:inventory_stocklevel_changelist")
    opened = admin_client.get(address, {"q": UPC})
    assert opened.headers["Location"] == reverse("admin:inventory_stocklevel_change", args=[level.pk])
    make_product(sku=UPC, name="Never received")
    page = admin_client.get(address, {"q": UPC})
    assert page.status_code == 200
    assert "is a code of several products" in page.content.decode()
    assert "Never received" in page.content.decode()


def test_the_api_finds_products_by_any_spelling(api: Api, levels: Levels) -> None:
    shirt = make_product(sku="Shirt-Ä")

    def asked(query: str) -> set[str]:
        answer = api.get(f"/api/v1/products?{query}")
        assert answer.status_code == 200, answer.content
        return {row["productId"] for row in answer.json()["items"]}

    assert asked("sku=shirt-%C3%A4") == asked("sku=SHIRT-A%CC%88%20") == {str(shirt.pk)}
    assert asked(f"sku={UPC}") == {str(levels[0].product_id)}
    assert asked(f"search={UPC}") == asked(f"search={EAN}") == {str(level.product_id) for level in levels}
    assert asked(f"code={UPC}") == asked(f"code={EAN}") == {str(level.product_id) for level in levels}
    assert asked("code=SHIRT-%C3%84") == {str(shirt.pk)}
    assert asked("code=unknown") == set()


def test_reconcile_asks_which_product_is_meant(levels: Levels) -> None:
    with pytest.raises(CommandError, match="is a code of several products") as refused:
        call_command("reconcile", product=UPC)
    assert all(str(level.product_id) in str(refused.value) for level in levels)
    call_command("reconcile", product=str(levels[1].product_id))
    make_product(sku="Shirt")
    call_command("reconcile", product="SHIRT ")
    with pytest.raises(CommandError, match="There is no product"):
        call_command("reconcile", product="\0")


def test_a_count_of_products_asks_which_are_meant(admin_client: Client, levels: Levels) -> None:
    address = reverse("admin:inventory_stockcount_open_count")
    sent = {"once": str(uuid4()), "warehouse": "wh-001", "scope": "PRODUCTS", "products": f"{EAN}\nunknown"}
    page = admin_client.post(address, sent)
    assert page.status_code == 422
    assert f"Several products have the code {EAN}." in page.content.decode()
    assert "unknown is not the code of one product" in page.content.decode()
    offered = {key for key, _text in page.context["form"].fields["meant"].choices}
    assert offered == {str(level.product_id) for level in levels}
    meant = levels[1]
    sent |= {"products": EAN, "meant": [str(meant.product_id), str(uuid4())]}
    assert admin_client.post(address, sent).status_code == 302
    (line,) = StockCountLine.objects.all()
    assert line.level_id == meant.pk


def test_saving_a_product_says_who_has_its_code(admin_client: Client) -> None:
    make_product(sku="OTHER", barcode=EAN)
    sent = {"sku": "new", "name": "n", "barcode": UPC, "is_active": "on"}
    page = admin_client.post(reverse("admin:inventory_product_add"), sent, follow=True)
    assert "new (OTHER)" in page.content.decode()
    product = Product.objects.get(sku="new")
    sent["barcode"] = ""
    page = admin_client.post(reverse("admin:inventory_product_change", args=[product.pk]), sent, follow=True)
    assert "(OTHER)" not in page.content.decode()
    page = admin_client.post(reverse("admin:inventory_product_add"), sent | {"sku": "NEW"})
    assert "Another product has this SKU." in page.content.decode()

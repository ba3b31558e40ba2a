"""The history of a row: what changed from what to what, in words, within the reader's reach."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.console.changes import changes_in_words
from audit.models import AuditEntry
from inventory import actions
from inventory.services.access.people import put_access
from inventory.services.catalogue.master_data import put_product, put_warehouse
from inventory.services.stock.level_settings import set_level
from tests.factories import ACTOR, make_level, make_product, make_warehouse
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db


def history(browser: Client, row: Any, **query: str) -> str:
    """The text of a row's history, without the menu and the filters."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_history", args=[row.pk])
    answer = browser.get(url, query)
    assert answer.status_code == 200
    page = answer.content.decode().partition('<ol class="console-history">')[2].partition("</ol>")[0]
    text = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|[{}\[\]]|\d\d:\d\d:\d\d\.\d|\+00:00", text), text
    return text


def test_the_history_of_a_product_has_old_and_new_values_and_its_stock() -> None:
    level = make_level(10)
    product, parent = level.product, make_product(sku="SHIRT")
    put_product(ACTOR, product.pk, claim=None, sku=product.sku, name="Blue mug", parent_id=parent.pk, is_active=False)
    set_level(ACTOR, product.pk, "wh-001", changes={"reorder_point": 8, "max_stock_level": 5000}, claim=None)
    text = history(browser_of(make_staff("viewer")), product)
    assert f"Name {product.name} → to Blue mug" in text
    assert "Active yes → to no" in text
    assert "Variant of – → to SHIRT" in text
    assert "Stock settings changed · wh-001" in text
    assert "Reorder point – → to 8" in text
    assert "Maximum stock – → to 5,000" in text
    assert "On hand 0 → to 10" in text
    assert "by tests with a command" in text


def test_codes_are_shown_in_words_and_codes_of_products_as_they_are() -> None:
    changes = {"scope": "ZONE", "sku": "ZONE", "status": ["PENDING", "IN_TRANSIT"], "type": "NONE"}
    shown = changes_in_words(AuditEntry(action=actions.COUNT_OPENED.name, changes=changes), (), {})
    assert [tuple(map(str, change)) for change in shown] == [
        ("Scope", "None", "A zone"),
        ("SKU", "None", "ZONE"),
        ("Status", "Pending", "In transit"),
        ("Type", "None", "NONE"),
    ]


def test_the_history_of_a_product_leaves_out_other_warehouses() -> None:
    level = make_level(10)
    set_level(ACTOR, level.product_id, "wh-001", changes={"reorder_point": 8}, claim=None)
    make_warehouse("wh-002")
    stranger = browser_of(make_staff("warehouse", "wh-002"))
    assert "Reorder point" not in history(stranger, level.product)
    url = reverse("admin:inventory_stocklevel_history", args=[level.pk])
    assert stranger.get(url).status_code == 404
    assert "Reorder point" in history(browser_of(make_staff("warehouse", "wh-001")), level)


def test_the_history_of_a_warehouse_and_of_a_person() -> None:
    warehouse = make_warehouse("wh-001", name="Old", address={"city": "Bern"})
    put_warehouse(
        ACTOR,
        "wh-001",
        claim=None,
        name="New",
        type="MAIN",
        is_active=True,
        address={"city": "Basel"},
        contact_info=None,
        capabilities=None,
    )
    text = history(browser_of(make_staff("viewer", "wh-001")), warehouse)
    assert "Name Old → to New" in text
    assert "Address City: Bern → to City: Basel" in text
    clerk = make_staff("warehouse", name="bob")
    put_access(ACTOR, clerk.pk, warehouse_codes=["wh-001"], is_new=False, account_changes={"first_name": ["", "Bob"]})
    text = history(browser_of(make_staff("administrator")), clerk)
    assert "First name – → to Bob" in text
    assert "Warehouses all → to wh-001" in text


def test_the_history_is_filtered_by_person_and_days() -> None:
    product = make_product(name="One")
    put_product(ACTOR, product.pk, claim=None, sku=product.sku, name="Two", parent_id=None)
    browser = browser_of(make_staff("viewer"))
    assert "One → to Two" in history(browser, product, actor="tests", day="7")
    assert "Nothing was changed in these days." in history(browser, product, actor="nobody")
    page = browser.get(reverse("admin:inventory_product_history", args=[product.pk]))
    days = {str(name): text for text, name in page.context["days"]}
    assert "Nothing was changed" in history(browser, product, day=days["Yesterday"])
    for wrong in ({"day": "x"}, {"p": "0"}, {"p": "x"}, {"actor": "\u200b"}):
        history(browser, product, **wrong)


def test_pages_link_to_the_history_and_audit_entries_are_shown_in_words(admin_client: Client) -> None:
    product = make_product(name="One")
    put_product(ACTOR, product.pk, claim=None, sku=product.sku, name="Two", parent_id=None)
    page = admin_client.get(reverse("admin:inventory_product_change", args=[product.pk])).content.decode()
    assert reverse("admin:inventory_product_history", args=[product.pk]) in page
    found = history(admin_client, product)
    assert "Details" in found
    entry = admin_client.get(reverse("admin:inventory_product_history", args=[product.pk])).context["rows"][0].entry
    shown = admin_client.get(reverse("admin:audit_auditentry_change", args=[entry.pk])).content.decode()
    assert "Name One → Two" in shown
    assert "console-json" not in shown

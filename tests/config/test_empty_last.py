"""Rows without a value come last in both directions of every list."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from audit.console.lists import ConsoleList
from inventory.models import Product
from tests.factories import make_product

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def skus(browser: Client, order: str) -> list[str]:
    found = browser.get(reverse("admin:inventory_product_changelist"), {"o": order}).context["cl"]
    return [row.sku for row in found.result_list]


def test_empty_dates_and_parents_are_last_in_both_directions(manager: Client) -> None:
    parent = make_product(sku="A", listing_expires_at=datetime(2030, 1, 1, tzinfo=UTC))
    make_product(sku="B", listing_expires_at=datetime(2031, 1, 1, tzinfo=UTC), parent=parent)
    make_product(sku="C")
    shown: Any = manager.get(reverse("admin:inventory_product_changelist")).context["cl"].list_display
    ends, parents = shown.index("listing_expires_at"), shown.index("parent_sku")
    assert skus(manager, str(ends)) == ["A", "B", "C"]
    assert skus(manager, f"-{ends}") == ["B", "A", "C"]
    assert skus(manager, str(parents))[0] == skus(manager, f"-{parents}")[0] == "B"
    assert Product.objects.count() == 3


def test_every_list_orders_so_in_every_column(manager: Client) -> None:
    for model, page in admin.site._registry.items():
        assert issubclass(page.get_changelist(None), ConsoleList), model
        listed = manager.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        if listed.status_code != 200:
            continue
        for index in range(1, len(listed.context["cl"].list_display)):
            for order in (str(index), f"-{index}"):
                assert manager.get(listed.request["PATH_INFO"], {"o": order}).status_code == 200, (model, order)

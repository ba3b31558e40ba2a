"""Wordings of refusals: the wording of one page is never shown on another."""

from collections.abc import Mapping
from html import unescape
from typing import Any, ClassVar

import pytest
from django.test import Client
from django.urls import reverse

from audit.console.wording import LazyText, Worded, share_wordings, wording_of
from audit.errors import Busy, Fault, NotFound
from inventory.admin.catalogue.product_files import ProductImport
from inventory.admin.catalogue.products import ProductAdmin
from inventory.admin.catalogue.stores import StoreAdmin
from inventory.admin.stock.receiving import DeliveryPage
from inventory.errors import UnknownProduct, UnknownWarehouse
from inventory.models import QUANTITY_LIMIT, StockLevel
from inventory.services.counts import opening
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.opening import OpenRequest
from tests.drafts import begin_delivery, begin_transfer, review_and_post, type_units
from tests.factories import ACTOR, make_level, make_warehouse


def refused(browser: Client, action: str, *arguments: Any, **given: Any) -> str:
    """The page with a form that was refused."""
    path = reverse(f"admin:{action}", args=arguments)
    once = browser.get(path).context["form"].initial["once"]
    answer = browser.post(path, {"once": once, **given})
    assert answer.status_code == 422
    return unescape(answer.content.decode())


def count_elsewhere(level: StockLevel) -> None:
    """Put a level's product into an open count."""
    products = (ProductRef(level.product_id),)
    opening.open_count(OpenRequest(ACTOR, level.warehouse.code, "PRODUCTS", products=products))


# --- one code, two pages ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_scanned_transfer_of_too_many_says_that_reserved_units_stay(clerk: Client) -> None:
    level = make_level(5)
    make_warehouse("wh-002")
    page = posted(clerk, begin_transfer(clerk), level, 6, "send")
    assert "Not enough available: reserved units can't leave." in page
    assert f"{level.product.sku}: 6 wanted, 5 free." in page


@pytest.mark.django_db
def test_scanned_delivery_of_too_many_says_so_of_the_place(clerk: Client) -> None:
    level = make_level(QUANTITY_LIMIT)
    page = posted(clerk, begin_delivery(clerk), level, 1, "receive")
    assert "That would be more than one place can have." in page


def posted(browser: Client, path: str, level: StockLevel, units: int, ending: str) -> str:
    """The page after a draft with one line was posted."""
    type_units(browser, path, {level.product_id: units})
    return unescape(review_and_post(browser, path, ending).content.decode())


@pytest.mark.django_db
def test_new_count_names_the_open_count_that_has_a_product(clerk: Client) -> None:
    level = make_level(5)
    count_elsewhere(level)
    asked = {"warehouse": "wh-001", "scope": "PRODUCTS", "products": level.product.sku}
    page = refused(clerk, "inventory_stockcount_open_count", **asked)
    assert "One of these products is in another open count. Finish that first." in page


@pytest.mark.django_db
def test_count_of_one_level_says_where_to_enter_it(clerk: Client) -> None:
    level = make_level(5)
    count_elsewhere(level)
    page = refused(clerk, "inventory_stocklevel_count", level.pk, quantity="4")
    assert "This product is in an open count already. Enter what you counted there." in page


@pytest.mark.parametrize("page", [ProductAdmin, ProductImport, StoreAdmin])
def test_page_of_the_catalogue_does_not_claim_that_a_product_was_there(page: type[Worded]) -> None:
    assert page.wording_of(UnknownProduct("no product x")) == "There is no such product."
    assert DeliveryPage.wording_of(UnknownProduct("no product x")) == "This product no longer exists."


@pytest.mark.parametrize("page", [ProductAdmin, ProductImport, StoreAdmin])
def test_page_of_the_catalogue_does_not_claim_that_a_warehouse_was_there(page: type[Worded]) -> None:
    assert page.wording_of(UnknownWarehouse("no warehouse x")) == "There is no such warehouse."
    assert DeliveryPage.wording_of(UnknownWarehouse("no warehouse x")) == "This warehouse no longer exists."


# --- look-up of wordings ---------------------------------------------------------------------------------------------


class Base(Worded):
    """A page with two sentences."""

    wordings: ClassVar[Mapping[str, LazyText]] = {"busy": "base, busy", "not_found": "base, not found"}


class Nearer(Base):
    """A page with one of its own."""

    wordings: ClassVar[Mapping[str, LazyText]] = {"busy": "nearer, busy"}


def test_nearest_class_words_a_refusal() -> None:
    assert Nearer.wording_of(Busy("detail")) == "nearer, busy"
    assert Nearer.wording_of(NotFound("detail")) == "base, not found"
    assert Base.wording_of(Busy("detail")) == "base, busy"


def test_fault_is_worded_as_an_error_of_its_code() -> None:
    assert Nearer.wording_of(Fault("/lines/0", "busy", "detail")) == "nearer, busy"


def test_refusal_without_a_page_wording_has_the_shared_one_or_its_detail() -> None:
    assert Worded.wording_of(NotFound("detail")) == wording_of(NotFound("detail")) != "detail"
    assert Nearer.wording_of(Fault("", "of_no_page", "detail")) == wording_of(Fault("", "of_no_page", "detail"))
    assert wording_of(Fault("", "of_no_page", "detail")) == "detail"


def test_shared_sentence_is_never_replaced() -> None:
    before = wording_of(Busy("detail"))
    with pytest.raises(ValueError, match="busy"):
        share_wordings({"busy": "something else", "of_no_page": "not added either"})
    assert wording_of(Busy("detail")) == before
    assert wording_of(Fault("", "of_no_page", "detail")) == "detail"

"""The search on every page: what it finds, within whose reach, and which actions it offers to whom."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from inventory.models import Product, StockCount, StockDocument, StockLevel, Transfer
from reservations.models import BrokenHold, ShortageIncident
from reservations.services.holds.sourcing import RequestLine
from tests.config.test_admin import MAKE_ONE
from tests.factories import hold, make_due, make_level, make_product, make_store, make_warehouse, receive
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db
Groups = dict[str, dict[str, list[str]]]


def search(browser: Client, text: str) -> Groups:
    """The titles of the results, and the labels of their actions, by group."""
    answer = browser.get(reverse("admin:find"), {"q": text}, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    return {
        group["label"]: {row["title"]: [action["label"] for action in row["actions"]] for row in group["results"]}
        for group in answer.json()["groups"]
        if group["results"]
    }


def named(sku: str, **fields: Any) -> StockLevel:
    """A level of a product with this SKU."""
    level = make_level(10)
    product = Product.objects.get(pk=level.product_id)
    for name, value in {"sku": sku, **fields}.items():
        setattr(product, name, value)
    product.save()
    return StockLevel.objects.select_related("product").get(pk=level.pk)


@pytest.mark.parametrize("text", ["mug-01", "MUG-01", "4006381333931", "porc", "blue mu", "\u200bMUG-01\u00a0"])
def test_products_are_found_by_any_code_and_by_words(admin_client: Client, text: str) -> None:
    named("MUG-01", name="Blue mug, porcelain", barcode="4006381333931")
    make_product(sku="CUP-01", name="Red cup")
    found = search(admin_client, text)
    assert list(found["Products"]) == ["MUG-01"]
    assert list(found["Stock"]) == ["MUG-01 in wh-001"]


@pytest.mark.parametrize("text", ["b-02-1", "B-02-1", "wh-001/b-02-1", "WH-001/B-02-1"])
def test_places_are_found_by_their_labels(text: str) -> None:
    for code in ("wh-001", "wh-002"):
        make_level(3, code, zone="B", aisle="02", shelf="1")
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    assert search(clerk, text)["Places"] == {"wh-001/B-02-1": ["Put away here"]}
    assert "Places" not in search(clerk, "wh-002/B-02-1")


def test_places_are_found_by_the_beginning_of_their_names_each_once() -> None:
    for code, zone, aisle, shelf in (
        ("wh-001", "B", "02", "1"),
        ("wh-001", "b", "02", "1"),
        ("wh-001", "B", "02", "10"),
        ("wh-001", "B", "", "7"),
        ("wh-001", "", "Küche", ""),
        ("wh-002", "B", "02", "2"),
    ):
        make_level(3, code, zone=zone, aisle=aisle, shelf=shelf)
    make_level(3)
    clerk, boss = browser_of(make_staff("warehouse", "wh-001")), browser_of(make_staff("manager"))

    def found(browser: Client, text: str) -> list[str]:
        return [title.removeprefix("wh-001/") for title in search(browser, text).get("Places", {})]

    assert [name.upper() for name in found(clerk, "b-02")] == ["B-02-1", "B-02-10"]
    assert [name.upper() for name in found(clerk, "B-02-1")] == ["B-02-1", "B-02-10"]
    assert found(clerk, "b-7") == ["B-7"]
    assert found(clerk, "küch") == ["Küche"]
    assert [name.upper() for name in found(boss, "B-0")] == ["B-02-1", "B-02-10", "WH-002/B-02-2"]
    assert found(boss, "wh-002/b") == ["wh-002/B-02-2"]
    assert found(clerk, "wh-002/b") == found(clerk, "B-02-2") == found(clerk, "02") == found(clerk, "b%") == []
    for number in range(6):
        make_level(1, zone="C", shelf=str(number))
    answer = clerk.get(reverse("admin:find"), {"q": "c-"}, headers={"Accept": "application/json"}).json()
    (places,) = [group for group in answer["groups"] if group["label"] == "Places"]
    assert (len(places["results"]), places["hint"]) == (5, "There are more. Type more to narrow the search.")


def test_people_are_found_by_those_who_may_see_accounts() -> None:
    ada = make_staff("warehouse", "wh-001", name="ada")
    named = {"first_name": "Ada", "last_name": "van Lovelace", "email": "ada@shop.test"}
    User.objects.filter(pk=ada.pk).update(**named)
    User.objects.filter(pk=make_staff("viewer", name="gone").pk).update(last_name="Lovett", is_active=False)
    boss = browser_of(make_staff("administrator", name="boss"))
    for text in ("ad", "ADA@SHOP", "lovel", "ada love", "van l", "Ada van Lovelace"):
        assert list(search(boss, text)["People"]) == ["ada"], text
    assert list(search(boss, "lov")["People"]) == ["ada", "gone"]
    assert "People" not in search(boss, "elace")
    answer = boss.get(reverse("admin:find"), {"q": "ada"}, headers={"Accept": "application/json"}).json()
    (person,) = next(group for group in answer["groups"] if group["label"] == "People")["results"]
    assert person["note"] == "Ada van Lovelace · warehouse"
    assert person["address"] == reverse("admin:auth_user_change", args=[ada.pk])
    assert all(boss.get(action["address"]).status_code == 200 for action in person["actions"])
    for browser in (browser_of(ada), browser_of(make_staff("manager", "wh-001"))):
        assert "People" not in search(browser, "ada")


def test_incidents_are_found_by_id_order_and_product() -> None:
    make_store()
    next(make for made, make in MAKE_ONE.items() if made is ShortageIncident)()
    incident = ShortageIncident.objects.get()
    BrokenHold.objects.all().delete()
    BrokenHold.objects.create(incident=incident, reservation_id=incident.pk, order_id="LOST-7", quantity=1)
    clerk, stranger = browser_of(make_staff("manager", "wh-001")), browser_of(make_staff("manager", "wh-009"))
    end = str(incident.pk)[-8:]
    for text in (incident.public_id, str(incident.pk), f"…{end}", end.upper(), "lost-7", incident.level.product.sku):
        assert search(clerk, text)["Incidents"] == {f"Incident …{end}": ["Resolve"]}, text
        assert "Incidents" not in search(stranger, text)
    viewer = search(browser_of(make_staff("viewer")), "LOST-7")
    assert viewer["Incidents"] == {f"Incident …{end}": []}


@pytest.mark.parametrize("text", ["shop-4", "SHOP-42", "Shop-42a", "sHoP"])
@pytest.mark.parametrize(
    ("field", "label", "title"),
    [
        ("cart_id", "Carts", "Cart Shop-42a"),
        ("order_id", "Orders", "Order Shop-42a"),
        ("customer_id", "Customers", "Customer Shop-42a"),
    ],
)
def test_ids_of_shops_are_found_by_their_beginning_in_any_case(
    admin_client: Client, text: str, field: str, label: str, title: str
) -> None:
    make_store()
    level = named("A")
    ids = {"cart_id": "c", "order_id": "o", "customer_id": "k", field: "Shop-42a"}
    hold((level, 1), **ids)
    hold((level, 1), cart_id="other", order_id="different")
    found = search(admin_client, text)
    assert found == {label: {title: ["Release", "Extend", "Sell for an order"]}}


def test_ids_in_several_spellings_are_all_found_and_others_not(admin_client: Client) -> None:
    make_store()
    level = named("A")
    for cart in ("ab-1", "AB-2", "aB-3", "Ab-4", "ba-5", "a%-6", "ab_7"):
        hold((level, 1), cart_id=cart)
    assert set(search(admin_client, "ab-")["Carts"]) == {"Cart ab-1", "Cart AB-2", "Cart aB-3", "Cart Ab-4"}
    assert set(search(admin_client, "a%")["Carts"]) == {"Cart a%-6"}
    assert "Carts" not in search(admin_client, "_b")


def test_an_id_of_several_reservations_is_one_result(admin_client: Client) -> None:
    make_store()
    level = named("A")
    for _ in range(3):
        hold((level, 1), cart_id="cart-9", customer_id="Cust-1")
    answer = admin_client.get(reverse("admin:find"), {"q": "cust-"}, headers={"Accept": "application/json"})
    (group,) = answer.json()["groups"]
    (result,) = group["results"]
    assert result["title"] == "Customer Cust-1"
    assert len(admin_client.get(result["address"]).context["cl"].result_list) == 3


def test_reservations_are_found_by_the_end_of_their_id_and_by_product(admin_client: Client) -> None:
    make_store()
    level = named("MUG-01")
    held = hold((level, 1), cart_id="c-1")
    end = str(held.id)[-8:]
    for text in (end, end.upper(), f"…{end}", str(held.id), f"res-{held.id}", "mug-01"):
        assert list(search(admin_client, text)["Reservations"]) == [f"Reservation …{end}"], text


def test_hint_names_what_was_not_searched(admin_client: Client) -> None:
    answer = admin_client.get(reverse("admin:find"), {"q": "…00000000"}, headers={"Accept": "application/json"}).json()
    (group,) = answer["groups"]
    assert group["results"] == []
    assert group["hint"] == "Short ids are found among the newest 20,000 reservations and the active ones."


def test_a_due_hold_is_found_as_expired(admin_client: Client) -> None:
    make_store()
    held = hold((named("MUG-01"), 1), cart_id="c-1")
    make_due(held.id)
    answer = admin_client.get(reverse("admin:find"), {"q": "c-1"}, headers={"Accept": "application/json"})
    (result,) = answer.json()["groups"][0]["results"]
    assert "expired" in result["note"]
    assert "Extend" not in [action["label"] for action in result["actions"]]


@pytest.mark.parametrize(
    ("model", "label"), [(StockDocument, "Documents"), (Transfer, "Transfers"), (StockCount, "Counts")]
)
def test_documents_are_found_by_their_numbers(model: Any, label: str) -> None:
    make_one = next(make for made, make in MAKE_ONE.items() if made is model)
    make_warehouse()
    make_one()
    row = model.objects.get()
    clerk, stranger = browser_of(make_staff("warehouse", "wh-001")), browser_of(make_staff("warehouse", "wh-009"))
    for text in (row.short_number, row.short_number.lower(), row.short_number.replace("-", " "), str(row.number)):
        assert list(search(clerk, text)[label]) == [row.short_number], text
        assert label not in search(stranger, text)
    assert search(clerk, "XX-1001") == {}


def test_only_what_is_in_reach_is_found() -> None:
    make_store("main", "wh-001", "wh-002")
    product = make_product(sku="MUG-01", name="Mug")
    here, there = make_warehouse("wh-001"), make_warehouse("wh-002")
    receive(product, 10, here.code)
    level = receive(product, 10, there.code)
    held = hold(lines=(RequestLine(product.pk, None, 1, there.code),), cart_id="cart-there")
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    assert search(clerk, "mug")["Stock"] == {"MUG-01 in wh-001": ["Receive", "Move", "Count", "Adjust"]}
    assert list(search(clerk, "wh-")["Warehouses"]) == ["wh-001"]
    for text in ("cart-", str(held.id), str(held.id)[-8:], str(level.pk)):
        assert search(clerk, text) == {}, text
    boss = browser_of(make_staff("manager"))
    assert list(search(boss, "cart-")["Carts"]) == ["Cart cart-there"]


def test_actions_are_those_that_the_person_may_take() -> None:
    make_store()
    hold((named("MUG-01"), 1), cart_id="cart-1")
    viewer = search(browser_of(make_staff("viewer")), "mug")
    assert viewer["Stock"] == {"MUG-01 in wh-001": []}
    assert viewer["Products"] == {"MUG-01": ["Stock", "Movements", "Reservations"]}
    assert list(search(browser_of(make_staff("viewer")), "cart-")["Carts"].values()) == [[]]
    nobody = browser_of(make_staff("auditor"))
    assert search(nobody, "mug")["Stock"] == {"MUG-01 in wh-001": []}


def test_each_address_that_is_offered_opens(admin_client: Client) -> None:
    make_store()
    hold((named("MUG-01"), 1), cart_id="mug-cart", order_id="mug-order", customer_id="mug-customer")
    make_warehouse("mug")
    answer = admin_client.get(reverse("admin:find"), {"q": "mug"}, headers={"Accept": "application/json"})
    groups = {group["label"]: group["results"] for group in answer.json()["groups"]}
    assert groups.keys() >= {"Products", "Stock", "Orders", "Carts", "Customers", "Warehouses"}
    for result in (row for rows in groups.values() for row in rows):
        for address in (result["address"], *(action["address"] for action in result["actions"])):
            assert admin_client.get(address, follow=True).status_code == 200, address


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "%", "_", "'", "\\", "a" * 500, "ß", "İ", "\ud83d", "\U0001f600", "'; DROP", "res-", "…"]
)
def test_no_text_fails(admin_client: Client, text: str) -> None:
    make_store()
    hold((named("MUG-01"), 1), cart_id="c-1")
    text = text.encode("utf-8", "replace").decode()
    for headers in ({"Accept": "application/json"}, {"Accept": "text/html"}):
        assert admin_client.get(reverse("admin:find"), {"q": text}, headers=headers).status_code == 200


def test_the_page_without_scripts_shows_the_same_results(admin_client: Client) -> None:
    named("MUG-01", name="<b>Mug</b>")
    page = admin_client.get(reverse("admin:find"), {"q": "mug"}).content.decode()
    assert "MUG-01 in wh-001" in page
    assert "&lt;b&gt;Mug" in page
    assert "<b>Mug" not in page


def test_the_search_is_for_staff_alone(client: Client) -> None:
    assert client.get(reverse("admin:find"), {"q": "a"}).status_code == 302

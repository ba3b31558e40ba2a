"""Permissions and reach in the console, for lists, search and guessed addresses."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import config.urls  # noqa: F401 - registers the console's pages, which are asked for below
from audit.models import ApiClient, ApiToken, AuditEntry, IdempotencyKey, OutboxEvent, StaffAccess
from inventory.models import Movement, Product, StockLevel, Store, Warehouse
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation, ReservationItem
from tests.factories import ACTOR, hold, make_level, make_store, recorded
from tests.forms import save_form
from tests.staff import GROUPS, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

LISTS = {
    "viewer": {
        "lowstockalert",
        "movement",
        "product",
        "reservation",
        "shortageincident",
        "stockcount",
        "stockdocument",
        "stocklevel",
        "store",
        "transfer",
        "warehouse",
    }
}
LISTS["warehouse"] = LISTS["viewer"]
LISTS["manager"] = LISTS["viewer"] | {"adjustmentreason", "auditentry", "reconciliationfinding", "reconciliationrun"}
LISTS["administrator"] = LISTS["manager"] | {
    "apiclient",
    "apitoken",
    "deadletter",
    "group",
    "idempotencykey",
    "outboxevent",
    "receivedevent",
    "user",
    "webhookattempt",
    "webhooksubscription",
}
LISTS["auditor"] = LISTS["administrator"]
CHANGES = {
    "viewer": set(),
    "warehouse": set(),
    "manager": {"adjustmentreason", "product", "store", "warehouse"},
    "administrator": {
        "adjustmentreason",
        "apiclient",
        "product",
        "store",
        "user",
        "warehouse",
        "webhooksubscription",
    },
    "auditor": set(),
}


def listing(model: Any, name: str = "changelist", *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("group", GROUPS)
def test_lists_and_forms_of_a_group_are_those_it_needs(group: str) -> None:
    browser = browser_of(make_staff(group))
    models = list(admin.site._registry)
    opened = {m._meta.model_name for m in models if browser.get(listing(m)).status_code == 200}
    added = {m._meta.model_name for m in models if browser.get(listing(m, "add")).status_code == 200}
    assert (opened, added) == (LISTS[group], CHANGES[group])


def test_only_staff_can_log_in() -> None:
    shopper = User.objects.create_user("shopper")
    for browser in (Client(headers={"Host": "localhost"}), browser_of(shopper)):
        answer = browser.get(listing(StockLevel))
        assert answer.status_code == 302
        assert "/login/" in answer.headers["Location"]


@pytest.fixture
def two_places() -> tuple[StockLevel, StockLevel, Client]:
    """A level in reach, one out of it, and the browser of a clerk of the first one's warehouse."""
    return make_level(10, "wh-001"), make_level(10, "wh-009"), browser_of(make_staff("warehouse", "wh-001"))


def test_clerk_of_one_warehouse_sees_its_rows_alone(two_places: tuple[StockLevel, StockLevel, Client]) -> None:
    mine, other, browser = two_places
    make_store("far", "wh-009", is_default=False)
    hold((other, 1), store="far")
    seen = hold((mine, 1))
    for model, expected in (
        (StockLevel, {mine.pk}),
        (Movement, set(Movement.objects.filter(level=mine).values_list("pk", flat=True))),
        (Reservation, {seen.id}),
        (Warehouse, {mine.warehouse_id}),
        (Store, {Store.objects.get(code="main").pk}),
    ):
        found = browser.get(listing(model)).context["cl"].result_list
        assert {row.pk for row in found} == expected, model
    shown = browser.get(listing(StockLevel)).content.decode()
    assert "wh-001" in shown
    assert "wh-009" not in shown


def test_what_is_out_of_reach_is_not_found_by_address_search_or_filter(
    two_places: tuple[StockLevel, StockLevel, Client],
) -> None:
    mine, other, browser = two_places
    assert browser.get(listing(StockLevel, "change", mine.pk)).status_code == 200
    assert browser.get(listing(StockLevel, "change", other.pk)).status_code == 404
    assert browser.get(listing(Warehouse, "change", other.warehouse_id)).status_code == 404
    for asked in ({"q": str(other.pk)}, {"q": other.product.sku}, {"warehouse__id__exact": str(other.warehouse_id)}):
        found = browser.get(listing(StockLevel), asked).context["cl"].result_list
        assert other not in found, asked
    page = browser.get(listing(Product, "change", other.product_id)).content.decode()
    assert "wh-009" not in page


def test_search_takes_no_reference_that_is_out_of_reach(two_places: tuple[StockLevel, StockLevel, Client]) -> None:
    mine, other, browser = two_places
    line = Adjustment(other.product_id, None, "wh-009", 1, "RECEIPT", "r", reference=mine.product.sku)
    apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))
    found = browser.get(listing(Movement), {"q": mine.product.sku}).context["cl"].result_list
    assert {row.level_id for row in found} == {mine.pk}


def test_hold_over_two_warehouses_shows_only_the_items_in_reach(
    two_places: tuple[StockLevel, StockLevel, Client],
) -> None:
    mine, other, browser = two_places
    make_store("both", "wh-001", "wh-009", is_default=False)
    held = hold((mine, 1), (other, 1), store="both")
    page = browser.get(listing(Reservation, "change", held.id)).content.decode()
    assert ReservationItem.objects.filter(reservation=held.id).count() == 2
    assert mine.product.sku in page
    assert other.product.sku not in page


def test_pages_for_all_warehouses_are_closed_to_limited_users() -> None:
    browser = browser_of(make_staff("administrator", "wh-001"))
    for model in (ApiClient, ApiToken, AuditEntry, IdempotencyKey, OutboxEvent, User):
        assert browser.get(listing(model)).status_code == 403, model
    for model in (Product, Warehouse, Store, User, ApiClient):
        assert browser.get(listing(model, "add")).status_code == 403, model
        assert browser.post(listing(model, "add"), {"username": "x"}).status_code == 403, model


def test_sidebar_names_what_the_user_may_open() -> None:
    def titles(user: User) -> set[str]:
        groups = browser_of(user).get("/admin/").context["sidebar_navigation"]
        return {str(item["title"]) for group in groups for item in group["items"]}

    assert {"Dashboard", "Stock", "Receiving", "Products"} <= titles(make_staff("viewer"))
    assert not {"Audit", "API clients", "People"} & titles(make_staff("warehouse"))
    assert {"API clients", "People", "Audit"} <= titles(make_staff("administrator"))
    assert not {"API clients", "People", "Audit"} & titles(make_staff("administrator", "wh-001"))


def person(user: User, **changes: Any) -> dict[str, Any]:
    """The fields of the form of an account."""
    return {"username": user.username, "is_active": "on", "is_staff": "on", **changes}


def test_administrator_limits_a_user_to_warehouses_and_it_is_recorded() -> None:
    boss, clerk = make_staff("administrator"), make_staff("warehouse", name="bob")
    group = clerk.groups.get().pk
    answer = save_form(
        browser_of(boss),
        listing(User, "change", clerk.pk),
        person(clerk, groups=[group], reach="some", warehouses=["wh-001"]),
    )
    assert answer.status_code == 302
    access = StaffAccess.objects.get(user=clerk)
    assert access.warehouse_codes == ["wh-001"]
    entry = recorded("inventory_user_changed")[-1]
    assert (entry.subject_id, entry.actor) == (access.pk, boss.username)
    assert entry.changes["warehouses"] == ["all", ["wh-001"]]


def test_administrator_takes_over_no_superuser_and_becomes_none() -> None:
    boss, root = make_staff("administrator"), make_staff()
    browser = browser_of(boss)
    assert browser.post(listing(User, "change", root.pk), person(root)).status_code == 403
    assert browser.get(f"/admin/auth/user/{root.pk}/password/").status_code == 403
    permission = User._meta.get_field("user_permissions").related_model.objects.get(codename="delete_user")
    sent = person(boss, groups=[boss.groups.get().pk], is_superuser="on", user_permissions=[permission.pk])
    assert save_form(browser, listing(User, "change", boss.pk), sent).status_code == 302
    boss.refresh_from_db()
    assert not boss.is_superuser
    assert not boss.user_permissions.exists()


def test_no_account_can_be_deleted() -> None:
    leaver = make_staff("viewer")
    browser = browser_of(make_staff())
    assert browser.post(listing(User, "delete", leaver.pk), {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=leaver.pk).exists()

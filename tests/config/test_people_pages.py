"""Pages of accounts and groups in the console."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from audit.models import StaffAccess
from inventory.models import AlertSubscription, StockLevel
from tests.factories import make_level, make_warehouse, recorded
from tests.forms import save_form
from tests.staff import PASSWORD, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

FRAMEWORK = (
    "Designates",
    "Required. 150",
    "Raw passwords",
    "Password-based",
    "log into this admin",
    "more user options",
)


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:auth_user_{name}", args=arguments)


def test_pages_of_an_account_use_the_words_of_the_console() -> None:
    clerk, root = make_staff("warehouse", "wh-001", name="carl"), make_staff(name="root")
    administrator = browser_of(make_staff("administrator", name="ada"))
    pages = [(administrator, at("add"))]
    for browser in (administrator, browser_of(root)):
        pages += [(browser, at("change", user.pk)) for user in (clerk, root)]
    for browser, path in pages:
        page = browser.get(path).content.decode()
        assert [words for words in FRAMEWORK if words in page] == [], path
    page = administrator.get(at("change", clerk.pk)).content.decode()
    assert "Switch off for people who leave." in page
    assert at("password_change", clerk.pk) in page


def test_account_of_a_superuser_is_for_an_administrator_to_read_alone(administrator: Client) -> None:
    root = make_staff(name="root")
    page = administrator.get(at("change", root.pk)).content.decode()
    assert "root" in page
    assert 'name="_save"' not in page
    assert at("password_change", root.pk) not in page


def test_new_account_needs_a_password(administrator: Client) -> None:
    sent = {"username": "carl", "usable_password": "false"}
    assert administrator.post(at("add"), sent).status_code == 200
    assert not User.objects.filter(username="carl").exists()
    sent |= {"password1": PASSWORD, "password2": PASSWORD}
    refused = administrator.post(at("add"), sent)
    assert "Choose all warehouses, or only these." in refused.content.decode()
    assert not User.objects.filter(username="carl").exists()
    answer = administrator.post(at("add"), {**sent, "reach": "all"})
    made = User.objects.get(username="carl")
    assert answer.headers["Location"] == at("change", made.pk)
    assert made.check_password(PASSWORD)


def test_saving_an_account_keeps_its_password(administrator: Client) -> None:
    clerk = make_staff("warehouse", name="carl", password=PASSWORD)
    sent = {"username": "carl", "is_active": "on", "is_staff": "on", "first_name": "Carl"}
    sent |= {"groups": [clerk.groups.get().pk], "reach": "all"}
    assert save_form(administrator, at("change", clerk.pk), sent).status_code == 302
    clerk.refresh_from_db()
    assert (clerk.first_name, clerk.check_password(PASSWORD)) == ("Carl", True)


def test_page_of_a_group_lists_its_permissions(administrator: Client) -> None:
    group = Group.objects.get(name="warehouse")
    page = administrator.get(reverse("admin:auth_group_change", args=[group.pk])).content.decode()
    assert "receive stock" in page
    assert "inventory |" not in page


# ------------------------------------------------------------------------------------------------- reach, and mail


@pytest.mark.parametrize(
    ("given", "stored", "sees"),
    [
        ({"reach": "all"}, (True, []), {"wh-001", "wh-002"}),
        ({"reach": "some", "warehouses": ["wh-002"]}, (False, ["wh-002"]), {"wh-002"}),
        ({"reach": "some"}, (False, []), set()),
    ],
)
def test_account_reaches_the_ticked_warehouses_and_none_without_a_tick(
    administrator: Client, given: dict[str, Any], stored: tuple[bool, list[str]], sees: set[str]
) -> None:
    make_level(3, "wh-001")
    make_level(3, "wh-002")
    password = {"password1": PASSWORD, "password2": PASSWORD}
    administrator.post(at("add"), {"username": "carl", **password, **given})
    carl = User.objects.get(username="carl")
    assert (carl.staff_access.all_warehouses, carl.staff_access.warehouse_codes) == stored
    expected = "all" if stored[0] else stored[1]
    assert recorded("inventory_user_created")[0].changes["warehouses"] == expected
    carl.groups.add(Group.objects.get(name="warehouse"))
    listed = browser_of(carl).get(reverse("admin:inventory_stocklevel_changelist"))
    assert {level.warehouse.code for level in listed.context["cl"].result_list} == sees
    assert browser_of(carl).get("/admin/").status_code == 200
    assert browser_of(carl).get(reverse("admin:inventory_warehouse_changelist")).status_code == 200
    shown = administrator.get(at("changelist")).content.decode()
    assert ("none" if not sees else "wh-002" if len(sees) == 1 else "all") in shown


def test_account_that_was_never_given_any_warehouse_reaches_none_but_a_superuser_all() -> None:
    level = make_level(3)
    for user, sees in ((make_staff("manager"), 404), (make_staff(), 200)):
        StaffAccess.objects.filter(user=user).delete()
        page = browser_of(user).get(reverse("admin:inventory_stocklevel_change", args=[level.pk]))
        assert page.status_code == sees, user
    assert StockLevel.objects.count() == 1


def test_superuser_that_was_given_some_warehouses_reaches_these_alone(administrator: Client) -> None:
    here, there = make_level(3), make_level(3, "wh-002")
    user = make_staff("", "wh-001", name="sue")
    found = [browser_of(user).get(reverse("admin:inventory_stocklevel_change", args=[row.pk])) for row in (here, there)]
    assert [page.status_code for page in found] == [200, 404]
    assert "wh-001" in administrator.get(at("changelist")).content.decode()
    wanted = "All permissions, in the warehouses of the account, whatever its groups."
    assert wanted in browser_of(make_staff()).get(at("change", user.pk)).content.decode()


def test_all_warehouses_and_some_of_them_is_a_contradiction(administrator: Client) -> None:
    clerk = make_staff("warehouse", "wh-001", name="carl")
    answer = save_form(administrator, at("change", clerk.pk), form_of(clerk, reach="all", warehouses=["wh-001"]))
    assert "Clear the ticks here" in answer.content.decode()
    clerk.staff_access.refresh_from_db()
    assert clerk.staff_access.warehouse_codes == ["wh-001"]


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    """The fields of the form of an account, with its warehouses."""
    access = user.staff_access
    reach = {"reach": "all"} if access.all_warehouses else {"reach": "some", "warehouses": access.warehouse_codes}
    groups = [group.pk for group in user.groups.all()]
    fields = {"username": user.username, "is_active": "on", "is_staff": "on", "email": user.email, "groups": groups}
    merged = {**fields, **reach, **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"warehouses": ["wh-002"]}, ["wh-002"]),
        ({"warehouses": []}, []),
        ({"is_staff": None}, []),
        ({"is_active": None}, []),
        ({"groups": []}, []),
        ({"email": ""}, []),
        ({"email": "new@example.com"}, ["wh-001", "wh-002"]),
        ({"reach": "all", "warehouses": []}, ["wh-001", "wh-002"]),
    ],
)
def test_mail_follows_the_account_at_once_and_its_page_lists_it(
    administrator: Client, change: dict[str, Any], kept: list[str]
) -> None:
    clerk = make_staff("warehouse", "wh-001", "wh-002", name="carl")
    User.objects.filter(pk=clerk.pk).update(email="carl@example.com")
    clerk.refresh_from_db()
    for code in ("wh-001", "wh-002"):
        AlertSubscription.objects.create(warehouse=make_warehouse(code), email="carl@example.com", user=clerk)
        AlertSubscription.objects.create(warehouse=make_warehouse(code), email="boss@example.com")
    page = administrator.get(at("change", clerk.pk)).content.decode()
    assert "Low stock in wh-001, wh-002, to carl@example.com" in page
    assert save_form(administrator, at("change", clerk.pk), form_of(clerk, **change)).status_code == 302
    left = AlertSubscription.objects.filter(user=clerk).order_by("warehouse__code")
    assert list(left.values_list("warehouse__code", flat=True)) == kept
    address = change.get("email", clerk.email)
    assert {row.email for row in left} <= {address}
    assert AlertSubscription.objects.filter(user=None).count() == 2
    ended = [entry.changes["warehouseId"] for entry in recorded("inventory_alerts_chosen")]
    assert ended == [code for code in ("wh-001", "wh-002") if code not in kept]
    page = administrator.get(at("change", clerk.pk)).content.decode()
    assert (f"Low stock in {', '.join(kept)}, to {address}" if kept else "None. Members of staff ask") in page

"""The console's frame: saving through services, dialogs that act once, login, refusals in words."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.authentication import find_caller, forget_cached_tokens, issue_token
from audit.models import ApiClient, ApiToken, IdempotencyKey
from inventory.models import Product, Store, Warehouse
from tests.factories import make_client, make_product, make_warehouse, recorded
from tests.forms import save_form
from tests.staff import PASSWORD, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def product_form(**fields: str) -> dict[str, str]:
    return {"sku": "NEW-1", "name": "New", "barcode": "", "parent": "", "is_active": "on", **fields}


def test_product_is_made_by_the_service_and_recorded(manager: Client) -> None:
    answer = manager.post(reverse("admin:inventory_product_add"), product_form())
    assert answer.status_code == 302
    made = Product.objects.get(sku="NEW-1")
    entry = recorded("inventory_product_created")[-1]
    assert (entry.subject_id, entry.actor, entry.source) == (made.pk, "mia", "admin")


def test_refusal_of_the_service_is_shown_in_the_form(manager: Client) -> None:
    parent = make_product(sku="PARENT")
    variant = make_product(sku="VARIANT", parent=parent)
    sent = product_form(sku="DEEPER", parent=str(variant.pk))
    answer = manager.post(reverse("admin:inventory_product_add"), sent)
    assert answer.status_code == 200
    assert "A variant has no variants of its own." in answer.content.decode()
    assert not Product.objects.filter(sku="DEEPER").exists()
    assert manager.post(reverse("admin:inventory_product_add"), product_form(sku="PARENT")).status_code == 200


def test_variant_is_added_from_its_product(manager: Client) -> None:
    parent = make_product()
    answer = manager.get(reverse("admin:inventory_product_add_variant", args=[parent.pk]), follow=True)
    assert answer.status_code == 200
    assert parent.sku in answer.content.decode()


def warehouse_form(**fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("street", "postal_code", "country", "contact_name", "contact_phone"), "")
    return {"name": "North", "type": "MAIN", "is_active": "on", "city": "Graz", "contact_email": "", **empty, **fields}


def test_warehouse_keeps_what_its_form_does_not_know(manager: Client) -> None:
    warehouse = make_warehouse(
        "wh-north",
        address={"city": "Wien", "street": "Ring 1", "gate": 7},
        capabilities={"pick": True, "robots": 12, "returns": True},
        contact_info={"name": "Ada"},
    )
    sent = warehouse_form(can=["pick", "pack"])
    assert save_form(manager, reverse("admin:inventory_warehouse_change", args=[warehouse.pk]), sent).status_code == 302
    warehouse.refresh_from_db()
    assert warehouse.address == {"city": "Graz", "gate": 7}
    assert warehouse.capabilities == {"pick": True, "pack": True, "robots": 12}
    assert warehouse.contact_info is None
    assert recorded("inventory_warehouse_changed")


def test_code_of_a_warehouse_is_unique_and_never_changes(manager: Client) -> None:
    known = Warehouse.objects.get(code="wh-001")
    save_form(manager, reverse("admin:inventory_warehouse_change", args=[known.pk]), warehouse_form(code="other"))
    assert Warehouse.objects.get(pk=known.pk).code == "wh-001"
    answer = manager.post(reverse("admin:inventory_warehouse_add"), warehouse_form(code="wh-001", name="Thief"))
    assert answer.status_code == 200
    assert Warehouse.objects.get(pk=known.pk).name == "North"


def store_form(store: Store, **fields: Any) -> dict[str, Any]:
    first, second = store.sources.order_by("priority")
    return {
        "name": "Main shop",
        "ttl_minutes": "20",
        "sources-TOTAL_FORMS": "2",
        "sources-INITIAL_FORMS": "2",
        "sources-0-id": str(first.pk),
        "sources-0-store": str(store.pk),
        "sources-0-priority": "9",
        "sources-0-warehouse": str(first.warehouse_id),
        "sources-1-id": str(second.pk),
        "sources-1-store": str(store.pk),
        "sources-1-priority": "1",
        "sources-1-warehouse": str(second.warehouse_id),
        **fields,
    }


def test_store_gets_its_warehouses_and_priorities(manager: Client) -> None:
    store = Store.objects.get(code="main")
    answer = save_form(manager, reverse("admin:inventory_store_change", args=[store.pk]), store_form(store))
    assert answer.status_code == 302
    store.refresh_from_db()
    assert (store.name, store.ttl_minutes) == ("Main shop", 20)
    assert list(store.sources.order_by("priority").values_list("warehouse__code", flat=True)) == ["wh-002", "wh-001"]
    assert recorded("inventory_store_changed")[-1].changes["name"] == ["main", "Main shop"]


def test_limits_of_stores_and_products_are_kept(manager: Client) -> None:
    store = Store.objects.get(code="main")
    url = reverse("admin:inventory_store_change", args=[store.pk])
    without_window = store_form(store, max_units_per_customer="3", max_holds_per_customer="9")
    assert save_form(manager, url, without_window).status_code == 200
    assert save_form(manager, url, {**without_window, "hold_window_minutes": "60"}).status_code == 302
    store.refresh_from_db()
    assert (store.max_units_per_customer, store.max_holds_per_customer, store.hold_window_minutes) == (3, 9, 60)
    sent = product_form(sku="LIMITED", max_units_per_customer="2")
    assert manager.post(reverse("admin:inventory_product_add"), sent).status_code == 302
    assert Product.objects.get(sku="LIMITED").max_units_per_customer == 2


# ------------------------------------------------------------------------------------------------- clients and tokens


def test_client_is_kept_and_recorded(administrator: Client) -> None:
    sent = {"name": "till", "role": "checkout", "stores": ["main"]}
    assert administrator.post(reverse("admin:audit_apiclient_add"), sent).status_code == 302
    made = ApiClient.objects.get(name="till")
    assert (made.role, made.store_codes) == ("checkout", ["main"])
    entry = recorded("inventory_client_created")[-1]
    assert (entry.subject_id, entry.actor, entry.changes["store_codes"]) == (made.pk, "ada", ["main"])
    url = reverse("admin:audit_apiclient_change", args=[made.pk])
    tokens = {"tokens-TOTAL_FORMS": "0", "tokens-INITIAL_FORMS": "0"}
    changed = {"name": "other", "role": "manager", **tokens}
    assert save_form(administrator, url, {**changed, "reach": "some"}).status_code == 200
    made.refresh_from_db()
    assert (made.role, made.store_codes) == ("checkout", ["main"]), "no store was ticked"
    assert save_form(administrator, url, {**changed, "reach": "all"}).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.role, made.store_codes) == ("till", "manager", [])


def test_a_new_client_is_given_all_stores_or_some_of_them(administrator: Client) -> None:
    url = reverse("admin:audit_apiclient_add")
    for given in ({}, {"reach": "some"}, {"reach": "all", "stores": ["main"]}):
        assert administrator.post(url, {"name": "till", "role": "checkout", **given}).status_code == 200, given
    assert not ApiClient.objects.filter(name="till").exists()
    assert administrator.post(url, {"name": "till", "role": "checkout", "reach": "all"}).status_code == 302
    assert ApiClient.objects.get(name="till").store_codes == []


def issue_url(client: ApiClient) -> str:
    return reverse("admin:audit_apiclient_issue_token", args=[client.pk])


def test_token_is_shown_once_and_issued_once(administrator: Client) -> None:
    client = make_client(name="till")
    form = administrator.get(issue_url(client)).context["form"]
    sent = {"once": str(form.initial["once"]), "days": "30"}
    answer = administrator.post(issue_url(client), sent)
    token = answer.context["issued"].token
    assert token in answer.content.decode()
    assert find_caller(token) is not None
    again = administrator.post(issue_url(client), sent, follow=True)
    assert ApiToken.objects.count() == 1
    assert token not in again.content.decode()
    assert "can&#x27;t be shown again" in again.content.decode()
    assert all(token.encode() not in bytes(key.body) for key in IdempotencyKey.objects.all())
    assert recorded("inventory_token_issued")[-1].subject_id == ApiToken.objects.get().pk


def test_token_is_revoked_after_a_confirmation_and_recorded_once(administrator: Client) -> None:
    used, other = issue_token(make_client(name="till")), issue_token(make_client(name="scanner"))
    chosen = ApiToken.objects.get(client__name="till")
    url = reverse("admin:audit_apitoken_revoke", args=[chosen.pk])
    assert "can&#x27;t be undone" in administrator.get(url).content.decode()
    assert ApiToken.objects.get(pk=chosen.pk).revoked_at is None
    for once in (uuid4(), uuid4()):
        assert administrator.post(url, {"once": str(once)}).status_code == 302
    forget_cached_tokens()
    assert find_caller(used) is None
    assert find_caller(other) is not None
    (entry,) = recorded("inventory_token_revoked")
    assert (entry.subject_id, entry.actor, entry.source) == (chosen.pk, "ada", "admin")


def test_form_sent_again_with_other_figures_is_refused(administrator: Client) -> None:
    client, once = make_client(), str(uuid4())
    administrator.post(issue_url(client), {"once": once, "days": "30"})
    answer = administrator.post(issue_url(client), {"once": once, "days": "90"})
    assert answer.status_code == 422
    assert "was sent before" in answer.content.decode()
    assert ApiToken.objects.count() == 1


def test_dialog_leads_back_to_this_host_alone(administrator: Client) -> None:
    token = issue_token(make_client())
    url = reverse("admin:audit_apitoken_revoke", args=[ApiToken.objects.get(prefix=token[:16]).pk])
    back = {"/admin/audit/apitoken/?q=a": "/admin/audit/apitoken/?q=a"}
    for asked, expected in {
        **back,
        **dict.fromkeys(["//evil.example/", "https://evil.example/", "0001-01-01T00:00", "a:b"]),
    }.items():
        answer = administrator.post(url, {"once": str(uuid4()), "next": asked})
        location = answer.headers["Location"]
        assert location == expected if expected else location.startswith("/admin/")


def test_managers_issue_and_revoke_nothing(manager: Client) -> None:
    client = make_client()
    issue_token(client)
    assert manager.post(issue_url(client), {"once": str(uuid4())}).status_code == 403
    url = reverse("admin:audit_apitoken_revoke", args=[ApiToken.objects.get().pk])
    assert manager.post(url, {"once": str(uuid4())}).status_code == 403
    assert ApiToken.objects.get().revoked_at is None


# -------------------------------------------------------------------------------------------------------------- doors


def log_in(password: str, *, name: str = "bob", address: str = "10.0.0.1") -> int:
    browser = Client(headers={"Host": "localhost"}, REMOTE_ADDR=address)
    return browser.post("/admin/login/", {"username": name, "password": password}).status_code


def test_too_many_failures_lock_out_this_name_at_this_address() -> None:
    make_staff("viewer", name="bob", password=PASSWORD)
    make_staff("viewer", name="eve", password=PASSWORD)
    assert [log_in("wrong") for _ in range(4)] == [200] * 4
    assert log_in("wrong") == 429
    assert log_in(PASSWORD) == 429
    assert log_in(PASSWORD, address="10.0.0.2") == 302
    assert log_in(PASSWORD, name="eve") == 302


def test_an_address_that_guesses_many_names_is_locked_out_and_of_ipv6_its_whole_network(settings: Any) -> None:
    settings.LOGIN_FAILURES_PER_ADDRESS = 3
    make_staff("viewer", name="bob", password=PASSWORD)
    guessed = [log_in("wrong", name=f"n{number}", address=f"2001:db8::{number}") for number in range(3)]
    assert guessed == [200] * 3
    assert log_in(PASSWORD, address="2001:db8::99") == 429
    assert log_in(PASSWORD, address="2001:db8:0:1::1") == 302


def test_a_name_that_is_guessed_from_many_addresses_is_locked_out(settings: Any) -> None:
    settings.LOGIN_FAILURES_PER_NAME = 3
    make_staff("viewer", name="bob", password=PASSWORD)
    make_staff("viewer", name="eve", password=PASSWORD)
    assert [log_in("wrong", address=f"10.0.0.{number}") for number in range(3)] == [200] * 3
    assert log_in(PASSWORD, address="10.0.0.99") == 429
    assert log_in(PASSWORD, name="eve", address="10.0.0.99") == 302


def test_an_address_that_is_none_is_counted_as_one() -> None:
    assert [log_in("wrong", address="?") for _ in range(5)] == [200] * 4 + [429]


def test_guessing_the_old_password_is_limited_as_logging_in_is_and_keeps_no_password() -> None:
    browser = browser_of(make_staff("viewer", name="bob", password=PASSWORD))
    new = "another good password"
    sent = {"old_password": "a wrong guess", "new_password1": new, "new_password2": new}
    guesses = [browser.post("/admin/password_change/", sent).status_code for _ in range(5)]
    assert guesses == [200] * 4 + [429]
    assert browser.post("/admin/password_change/", sent | {"old_password": PASSWORD}).status_code == 429
    kept = str(list(AccessAttempt.objects.values()))
    assert "bob" in kept
    assert "wrong guess" not in kept
    assert new not in kept


def test_success_forgets_the_failures_before() -> None:
    make_staff("viewer", name="bob", password=PASSWORD)
    for _ in range(2):
        assert [log_in("wrong") for _ in range(4)] == [200] * 4
        assert log_in(PASSWORD) == 302


def test_wrong_name_and_wrong_password_get_the_same_message() -> None:
    make_staff("viewer", name="bob", password=PASSWORD)
    browser = Client(headers={"Host": "localhost"})
    for name in ("bob", "nobody"):
        page = browser.post("/admin/login/", {"username": name, "password": "wrong"}).content.decode()
        assert "The username or password is wrong." in page
        assert "staff account" not in page


def test_logged_out_user_sees_a_message(manager: Client) -> None:
    page = manager.post("/admin/logout/").content.decode()
    assert "You are logged out" in page
    assert "quality time" not in page
    assert manager.get("/admin/").status_code == 302


def test_own_password_is_changed_by_its_owner() -> None:
    user = make_staff("viewer", name="bob", password=PASSWORD)
    browser = browser_of(user)
    page = browser.get("/admin/password_change/").content.decode()
    assert "Type the old password once" in page
    new = "another good password"
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert browser.post("/admin/password_change/", sent, follow=True).status_code == 200
    user.refresh_from_db()
    assert user.check_password(new)


def test_lockout_page_has_the_console_layout() -> None:
    browser = Client(headers={"Host": "localhost"})
    for _ in range(5):
        answer = browser.post("/admin/login/", {"username": "nobody", "password": "x"})
    assert answer.status_code == 429
    assert "Too many attempts" in answer.content.decode()
    assert "console.css" in answer.content.decode()


def test_weak_passwords_are_refused(administrator: Client) -> None:
    sent = {
        "username": "new",
        "usable_password": "true",
        "password1": "short1x",
        "password2": "short1x",
        "reach": "all",
    }
    answer = administrator.post(reverse("admin:auth_user_add"), sent)
    assert answer.status_code == 200
    assert not User.objects.filter(username="new").exists()
    sent |= {"password1": PASSWORD, "password2": PASSWORD}
    assert administrator.post(reverse("admin:auth_user_add"), sent).status_code == 302
    assert User.objects.get(username="new").is_staff
    assert recorded("inventory_user_created")[-1].changes["username"] == "new"
    assert PASSWORD not in str(recorded("inventory_user_created")[-1].changes)


def test_session_slides(manager: Client, settings: Any) -> None:
    answer = manager.get("/admin/")
    assert answer.cookies["sessionid"]["max-age"] == settings.SESSION_COOKIE_AGE == 8 * 3600


def test_pages_of_the_console_may_connect_to_this_host_alone(manager: Client, client: Client) -> None:
    policy = manager.get("/admin/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "'unsafe-eval'" in policy
    assert "http" not in policy
    assert "Content-Security-Policy" not in client.get("/api/docs/", headers={"Host": "localhost"}).headers


def test_big_pages_are_compressed(manager: Client) -> None:
    answer = manager.get("/admin/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("zone", ["Europe/Vienna", "Mars/Olympus", "../etc/passwd", ""])
def test_times_are_in_the_browsers_zone_and_any_name_is_harmless(manager: Client, zone: str) -> None:
    made = make_product()
    Product.objects.filter(pk=made.pk).update(updated_at=datetime(2026, 7, 1, 12, 0, tzinfo=UTC))
    manager.cookies["console_zone"] = zone
    shown = manager.get(reverse("admin:inventory_product_changelist")).content.decode()
    assert ("1 Jul 2026, 14:00" in shown) == (zone == "Europe/Vienna")


def test_error_pages_have_the_console_layout(manager: Client) -> None:
    missing = manager.get(reverse("admin:inventory_product_change", args=[uuid4()]))
    assert (missing.status_code, "There is nothing here" in missing.content.decode()) == (404, True)
    closed = manager.get(reverse("admin:auth_user_changelist"))
    assert (closed.status_code, "have access" in closed.content.decode()) == (403, True)
    strict = Client(headers={"Host": "localhost"}, enforce_csrf_checks=True)
    forged = strict.post("/admin/login/", {"username": "x", "password": "y"})
    assert (forged.status_code, "too old" in forged.content.decode()) == (403, True)

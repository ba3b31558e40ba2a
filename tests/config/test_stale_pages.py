"""Forms of the console carry the values that they were opened with: no save overwrites somebody else's change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from audit.console import seen
from audit.models import ApiClient, StaffAccess, WebhookSubscription
from inventory.admin.stock import reasons
from inventory.models import (
    AdjustmentReason,
    Product,
    Store,
    StoreWarehouse,
    Warehouse,
)
from inventory.services.catalogue import master_data
from tests.config.stale_pages import text_of
from tests.config.test_admin import make_webhook
from tests.factories import make_client, make_product, make_warehouse
from tests.forms import filled_in, form_on, open_form
from tests.staff import PASSWORD, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

REFUSED = "Somebody else has changed this since you opened it."


@dataclass(frozen=True)
class Subject:
    """A row with a form: the field that two people change, and another one that somebody else changes."""

    row: Any
    field: str
    theirs: Any
    mine: Any
    other: Callable[[Any], Any]
    """Changes another field, and returns a function that says whether the change is still there."""

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.row._meta.app_label}_{self.row._meta.model_name}_change", args=[self.row.pk])

    def value(self) -> Any:
        return getattr(type(self.row)._default_manager.get(pk=self.row.pk), self.field)

    def change(self, **fields: Any) -> None:
        type(self.row)._default_manager.filter(pk=self.row.pk).update(**fields)


def updates(**fields: Any) -> Callable[[Any], Callable[[], bool]]:
    def change(row: Any) -> Callable[[], bool]:
        rows = type(row)._default_manager.filter(pk=row.pk)
        rows.update(**fields)
        return rows.filter(**fields).exists

    return change


def _product() -> Subject:
    return Subject(make_product(sku="P-1", name="Seen"), "name", "Theirs", "Mine", updates(is_active=False))


def _warehouse() -> Subject:
    return Subject(make_warehouse("wh-9", name="Seen"), "name", "Theirs", "Mine", updates(capabilities={"pack": True}))


def _store() -> Subject:
    def first_in_line(store: Store) -> Callable[[], bool]:
        store.sources.filter(warehouse__code="wh-001").update(priority=99)
        return lambda: store.sources.filter(warehouse__code="wh-001", priority=99).exists()

    return Subject(Store.objects.get(code="main"), "name", "Theirs", "Mine", first_in_line)


def _reason() -> Subject:
    row = AdjustmentReason.objects.create(text="Seen", kinds=["RECEIVE"])
    return Subject(row, "text", "Theirs", "Mine", updates(is_active=False))


def _client() -> Subject:
    return Subject(make_client(), "role", "warehouse", "checkout", updates(store_codes=["main"]))


def _webhook() -> Subject:
    return Subject(make_webhook(), "name", "Theirs", "Mine", updates(fifo=True))


def _account() -> Subject:
    carl = make_staff("warehouse", name="carl")
    return Subject(carl, "email", "theirs@a.test", "mine@a.test", updates(is_active=False))


MAKERS: dict[type[Model], Callable[[], Subject]] = {
    Product: _product,
    Warehouse: _warehouse,
    Store: _store,
    AdjustmentReason: _reason,
    ApiClient: _client,
    WebhookSubscription: _webhook,
    User: _account,
}


@pytest.fixture(params=MAKERS.values(), ids=[model.__name__ for model in MAKERS])
def subject(request: pytest.FixtureRequest) -> Subject:
    make: Callable[[], Subject] = request.param
    return make()


def test_every_form_of_a_row_is_in_these_tests(root: Client) -> None:
    request = root.get("/admin/").wsgi_request
    changeable = {model for model, page in admin.site._registry.items() if page.has_change_permission(request)}
    assert changeable == set(MAKERS)
    for model, page in admin.site._registry.items():
        assert isinstance(page, seen.CarriesSeen), model


def test_a_stale_form_is_refused_with_both_values_and_can_be_sent_again(root: Client, subject: Subject) -> None:
    form = open_form(root, subject.url, **{subject.field: subject.mine})
    was = subject.value()
    subject.change(**{subject.field: subject.theirs})
    is_kept = subject.other(subject.row)
    page = root.post(subject.url, form)
    assert page.status_code == 200
    assert subject.value() == subject.theirs
    assert is_kept()
    text = text_of(page)
    assert REFUSED in text
    if subject.field != "role":
        assert f"you saw “{was or '–'}”, it is now “{subject.theirs}”" in text
        assert f"you wrote “{subject.mine}”" in text
    shown = form_on(page)
    assert shown[subject.field] == [subject.mine], "what was typed is kept"
    assert root.post(subject.url, shown).status_code == 302
    assert subject.value() == subject.mine
    assert is_kept(), "what was not touched is what it is now"


def test_a_change_of_another_field_is_not_undone(root: Client, subject: Subject) -> None:
    form = open_form(root, subject.url, **{subject.field: subject.mine})
    is_kept = subject.other(subject.row)
    page = root.post(subject.url, form)
    assert page.status_code == 200
    assert "The form shows it now." in text_of(page)
    assert subject.value() != subject.mine
    assert root.post(subject.url, form_on(page)).status_code == 302
    assert subject.value() == subject.mine
    assert is_kept()


def test_an_unchanged_row_is_saved_and_the_same_change_is_no_conflict(root: Client, subject: Subject) -> None:
    form = open_form(root, subject.url)
    changed = filled_in(form, **{subject.field: subject.mine})
    assert root.post(subject.url, changed).status_code == 302
    assert root.post(subject.url, changed).status_code == 302, "a double click"
    assert root.post(subject.url, filled_in(form, **{subject.field: subject.theirs})).status_code == 200
    assert subject.value() == subject.mine


def test_a_form_without_what_it_was_opened_with_is_refused(root: Client, subject: Subject) -> None:
    form = open_form(root, subject.url, **{subject.field: subject.mine})
    of_another = open_form(root, reverse("admin:inventory_warehouse_change", args=[make_warehouse("other").pk]))
    for token in (None, "", "x", "é", "e30:1:x", of_another["seen"]):
        page = root.post(subject.url, filled_in(form, seen=token))
        assert page.status_code == 200
        assert "you wrote “" in text_of(page)
        assert subject.value() != subject.mine
    assert root.post(subject.url, form_on(page)).status_code == 302
    assert subject.value() == subject.mine


def test_a_change_between_the_comparison_and_the_lock_is_seen(
    root: Client, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = seen.CarriesSeen._compare
    compared = []

    def then_changed(*arguments: Any) -> None:
        compare(*arguments)
        if not compared:
            subject.change(**{subject.field: subject.theirs})
        compared.append(arguments)

    form = open_form(root, subject.url, **{subject.field: subject.mine})
    monkeypatch.setattr(seen.CarriesSeen, "_compare", then_changed)
    page = root.post(subject.url, form)
    assert (page.status_code, len(compared)) == (200, 2)
    assert REFUSED in text_of(page)
    assert subject.value() == subject.theirs
    assert root.post(subject.url, form_on(page)).status_code == 302


def test_another_mistake_does_not_make_a_stale_form_a_fresh_one(root: Client) -> None:
    subject = _product()
    form = open_form(root, subject.url, sku="", name="Mine")
    page = root.post(subject.url, form)
    assert "This field is required." in text_of(page)
    subject.change(name="Theirs")
    again = root.post(subject.url, {**form_on(page), "sku": "P-1"})
    assert "it is now “Theirs”" in text_of(again)
    both = root.post(subject.url, filled_in(form, sku=""))
    assert "This field is required." in text_of(both)
    assert "it is now “Theirs”" in text_of(both)


def test_a_switched_off_account_stays_off(root: Client) -> None:
    user = make_staff("warehouse", "wh-001", name="carl")
    url = reverse("admin:auth_user_change", args=[user.pk])
    stale = open_form(root, url, first_name="Carl")
    groups = Group.objects.filter(name__in=["viewer", "auditor"])
    ada = browser_of(make_staff("administrator", name="ada"))
    changes = {"is_active": None, "groups": [str(group.pk) for group in groups], "reach": "all", "warehouses": None}
    assert ada.post(url, open_form(ada, url, **changes)).status_code == 302
    page = root.post(url, stale)
    text = text_of(page)
    assert "Active: you saw “Yes”, it is now “No” (changed by ada," in text
    assert "you saw “warehouse”, it is now “auditor, viewer” (changed by ada," in text
    assert "it is now “All warehouses”" in text
    user.refresh_from_db()
    assert not user.is_active
    assert root.post(url, form_on(page)).status_code == 302
    user.refresh_from_db()
    assert (user.is_active, user.first_name, set(user.groups.all())) == (False, "Carl", set(groups))
    assert StaffAccess.objects.get(user=user).all_warehouses
    assert not Client().login(request=RequestFactory().post("/"), username="carl", password=PASSWORD)


def test_a_password_that_is_set_meanwhile_stays(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = _account()
    form = open_form(root, subject.url, email="new@a.test")
    carried = seen.signing.loads(form["seen"][0], salt=f"seen auth.user {subject.row.pk}")
    assert carried["username"] == "carl"
    assert "password" not in carried
    save_model = seen.CarriesSeen.save_model

    def set_before(*arguments: Any) -> None:
        subject.change(password="just set")
        save_model(*arguments)

    monkeypatch.setattr(seen.CarriesSeen, "save_model", set_before)
    assert root.post(subject.url, form).status_code == 302
    subject.row.refresh_from_db()
    assert (subject.row.email, subject.row.password) == ("new@a.test", "just set")


def test_warehouses_of_a_store_are_compared_as_a_whole(root: Client) -> None:
    store = Store.objects.get(code="main")
    url = reverse("admin:inventory_store_change", args=[store.pk])
    form = open_form(root, url)
    (gone,) = [key for key, value in form.items() if value == [str(store.sources.get(warehouse__code="wh-002").pk)]]
    assert gone.endswith("-id")
    store.sources.filter(warehouse__code="wh-002").delete()
    third = make_warehouse("wh-003")
    StoreWarehouse.objects.create(store=store, warehouse=third, priority=5)
    page = root.post(url, {**form, "sources-0-priority": "7"})
    text = text_of(page)
    assert "you saw “1 wh-001; 2 wh-002”, it is now “1 wh-001; 5 wh-003”" in text
    assert "you wrote “2 wh-002; 7 wh-001”" in text
    assert root.post(url, form_on(page)).status_code == 302
    assert sorted(store.sources.values_list("warehouse__code", "priority")) == [("wh-001", 7), ("wh-002", 2)]
    untouched = root.post(url, {**form, "name": "Mine"})
    assert root.post(url, form_on(untouched)).status_code == 302
    store.refresh_from_db()
    assert store.name == "Mine"
    assert sorted(store.sources.values_list("warehouse__code", "priority")) == [("wh-001", 7), ("wh-002", 2)]
    twice = open_form(root, url, **{"sources-0-warehouse": str(third.pk), "sources-1-warehouse": str(third.pk)})
    assert root.post(url, twice).status_code == 200, "a warehouse stands once"
    wrong = {**form, "sources-0-priority": "x", "sources-1-warehouse": "no id"}
    assert "rows with mistakes" in text_of(root.post(url, wrong))
    for total in ("", "x", "-1"):
        assert root.post(url, {**form, "sources-TOTAL_FORMS": total}).status_code in (200, 302)


def test_what_the_form_of_a_warehouse_does_not_show_stays(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = _warehouse()
    form = open_form(root, subject.url, city="Graz")
    put_warehouse = master_data.put_warehouse
    calls: list[Any] = []

    def after_another(*arguments: Any, **fields: Any) -> Any:
        calls.append(fields)
        if len(calls) == 1:
            subject.change(address={"gate": 7})
        return put_warehouse(*arguments, **fields)

    monkeypatch.setattr(master_data, "put_warehouse", after_another)
    assert root.post(subject.url, form).status_code == 302
    assert len(calls) == 2
    assert Warehouse.objects.get(pk=subject.row.pk).address == {"gate": 7, "city": "Graz"}


def test_a_service_that_does_not_ask_is_a_mistake_of_the_page(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = _reason()
    put_reason = reasons.put_reason

    def forgetful(*arguments: Any, precondition: Any, **fields: Any) -> Any:
        return put_reason(*arguments, **fields)

    monkeypatch.setattr(reasons, "put_reason", forgetful)
    with pytest.raises(ImproperlyConfigured):
        root.post(subject.url, open_form(root, subject.url, text="Mine"))


def test_who_may_only_look_gets_no_values(root: Client) -> None:
    subject = _product()
    viewer = browser_of(make_staff("viewer"))
    page = viewer.get(subject.url)
    assert page.status_code == 200
    assert "seen" not in form_on(page)
    assert viewer.post(subject.url, open_form(root, subject.url, name="Mine")).status_code == 403
    assert root.post(reverse("admin:inventory_product_change", args=[make_client().pk]), {}).status_code == 404

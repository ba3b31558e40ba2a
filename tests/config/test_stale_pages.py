"""Forms of the console carry the values that they were opened with: no save overwrites somebody else's change."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any, cast
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from audit.console import seen
from audit.console.dialogs import Dialog, SharedDialog
from audit.console.edit_dialogs import EditDialog
from audit.console.imports.page import ImportPage
from audit.models import ApiClient, StaffAccess, WebhookSubscription
from inventory.admin.stock import reasons
from inventory.admin.stock.dialogs import StockDialog
from inventory.admin.stock.row_dialogs import RowsDialog
from inventory.admin.stock.scanning import ScanPage
from inventory.models import (
    AdjustmentReason,
    AlertSubscription,
    LowStockAlert,
    Product,
    StockLevel,
    Store,
    StoreWarehouse,
    Transfer,
    TransferLine,
    Warehouse,
)
from inventory.services.catalogue import freezing, master_data
from inventory.services.catalogue.freezing import freeze
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    draft_transfer,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.admin.holds.dialogs import HoldsDialog
from tests.config.test_admin import make_webhook
from tests.factories import ACTOR, make_client, make_level, make_product, make_warehouse
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


@pytest.fixture
def root() -> Client:
    return browser_of(make_staff(name="root"))


@pytest.fixture(params=MAKERS.values(), ids=[model.__name__ for model in MAKERS])
def subject(request: pytest.FixtureRequest) -> Subject:
    make: Callable[[], Subject] = request.param
    return make()


def text_of(page: HttpResponse) -> str:
    return unescape(page.content.decode())


def test_every_form_of_a_row_is_in_these_tests(root: Client) -> None:
    request = root.get("/admin/").wsgi_request
    edited = {model for model, page in admin.site._registry.items() if page.has_change_permission(request)}
    assert edited == set(MAKERS)
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


# ------------------------------------------------------------------------------------------------------------- dialogs

ADDS: dict[str, str] = {
    "TakeOverDialog": "takes a draft over that an account left behind, once",
    "SendBackDialog": "sends back what a transfer brought, once",
    "SendDialog": "sends a draft as it was seen: its version is compared",
    "AcknowledgeDialog": "only the first takes an alert: a later one changes nothing",
    "BeginPage": "begins a draft",
    "DiscardDialog": "deletes the user's own draft",
    "IssueTokenDialog": "adds a token",
    "NewTransferPage": "begins a draft",
    "OpenCountPage": "opens a count",
    "ReverseDialog": "reverses a document, once",
    "RevokeTokenDialog": "revokes for good, once",
    "SendTestDialog": "sends a test event",
    "PauseDialog": "asks for a state, whatever it was before",
    "ResumeDialog": "asks for a state, whatever it was before",
    "ReplayDialog": "receives an event again; one that was applied changes nothing",
    "ResendDialog": "adds events to be sent again",
    "ReplaceSecretDialog": "adds a secret beside the ones that there are",
    "DeleteDialog": "deletes for good, once",
}
"""Dialogs that replace nothing, beside those that move stock or end a document, by name, with the reason."""


def subclasses_of(kind: type) -> set[type]:
    found = {one for each in kind.__subclasses__() for one in (each, *subclasses_of(each))}
    return {each for each in found if not getattr(each, "__abstractmethods__", None)}


def test_every_dialog_carries_what_it_replaces_or_replaces_nothing() -> None:
    moves_stock = (
        subclasses_of(StockDialog) | subclasses_of(RowsDialog) | subclasses_of(ImportPage) | subclasses_of(ScanPage)
    )
    moves_stock.add(ImportPage)
    checked = subclasses_of(EditDialog) | subclasses_of(SharedDialog) | moves_stock | subclasses_of(HoldsDialog)
    others = {kind.__name__ for kind in subclasses_of(Dialog) - checked if not kind.__name__.startswith("_")}
    assert others == set(ADDS)


def edited(kind: str) -> tuple[str, dict[str, Any], Callable[[], Any], Callable[[], Any]]:
    """The address of a dialog, what is sent, somebody else's change, and the present value."""
    level = make_level(10)
    product = level.product
    if kind == "settings":
        url = f"{reverse('admin:inventory_stocklevel_set_rows')}?level={level.pk}"
        rows = type(level).objects.filter(pk=level.pk)
        sent = {"level": str(level.pk), "reorder_point": "7"}
        return url, sent, lambda: rows.update(reorder_point=3), lambda: rows.get().reorder_point
    if kind == "snooze":
        alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
        alerts = LowStockAlert.objects.filter(pk=alert.pk)
        url, sent = reverse("admin:inventory_lowstockalert_snooze", args=[alert.pk]), {"until": "2090-01-01T08:00"}
        until = datetime(2080, 1, 1, tzinfo=UTC)
        return url, sent, lambda: alerts.update(snoozed_until=until), lambda: alerts.get().snoozed_until
    if kind == "subscribe":
        user = User.objects.get(username="root")
        User.objects.filter(pk=user.pk).update(email="root@a.test")
        mine = AlertSubscription.objects.filter(user=user)
        url, sent = reverse("admin:inventory_lowstockalert_subscribe"), {"warehouses": ["wh-002"]}

        def also_here() -> None:
            AlertSubscription.objects.create(user=user, email="root@a.test", warehouse=level.warehouse)

        return url, sent, also_here, lambda: sorted(mine.values_list("warehouse__code", flat=True))
    if kind == "redirect":
        make_warehouse("wh-003")
        made = send_off(level)
        moving = Transfer.objects.filter(pk=made)
        url, sent = reverse("admin:inventory_transfer_redirect", args=[made]), {"to_warehouse": "wh-003", "reason": ""}
        theirs = make_warehouse("wh-004")
        return url, sent, lambda: moving.update(to_warehouse=theirs), lambda: moving.get().to_warehouse.code
    if kind == "cancel":
        made = send_off(level)
        moving = Transfer.objects.filter(pk=made)
        arrived = ReceiveRequest(ACTOR, made, (Arrived(level.product_id, None, 1),))
        url, sent = reverse("admin:inventory_transfer_cancel", args=[made]), {"reason": "mine"}
        return url, sent, lambda: receive_transfer(arrived), lambda: moving.get().status
    if kind == "unfreeze":
        freeze(ACTOR, freezing.product(product.pk), reason="first")
    rows = Product.objects.filter(pk=product.pk)
    url, sent = reverse(f"admin:inventory_product_{kind}", args=[product.pk]), {"reason": "mine", "until": ""}
    return (
        url,
        sent,
        lambda: freeze(ACTOR, freezing.product(product.pk), reason="theirs"),
        lambda: rows.get().freeze_reason,
    )


def send_off(level: StockLevel, *, is_draft: bool = False) -> UUID:
    """Send 4 units to wh-002, or draft it."""
    request = TransferRequest(ACTOR, (MoveLine(level.product_id, None, 4, "wh-001", "wh-002"),))
    made = draft_transfer(request) if is_draft else start_transfer(request)
    return cast(Transferred, made).document.id


@pytest.mark.parametrize("kind", ["settings", "snooze", "subscribe", "freeze", "unfreeze", "redirect", "cancel"])
def test_a_stale_dialog_is_refused_with_both_values_and_can_be_sent_again(root: Client, kind: str) -> None:
    url, sent, change, value = edited(kind)
    form = {**form_on(root.get(url)), **sent}
    change()
    theirs = value()
    page = root.post(url, form)
    assert page.status_code == 422
    assert "you saw “" in text_of(page)
    assert "”, it is now “" in text_of(page)
    assert value() == theirs
    assert root.post(url, filled_in(form, seen=None)).status_code == 422, "it doesn't say what it saw"
    assert value() == theirs
    again = form_on(page)
    for name, typed in sent.items():
        assert again.get(name, [""]) == (typed if isinstance(typed, list) else [typed])
    assert root.post(url, again).status_code == 302
    assert value() != theirs
    assert root.post(url, again).status_code == 302, "a double click gets the first answer"


def test_a_draft_of_a_transfer_is_sent_as_it_was_seen(root: Client) -> None:
    level = make_level(10)
    draft_id = send_off(level, is_draft=True)
    url = reverse("admin:inventory_transfer_send", args=[draft_id])
    form = form_on(root.get(url))
    TransferLine.objects.filter(transfer=draft_id).update(quantity=9)
    for version in (form["version"], "", "x"):
        page = root.post(url, {**form, "version": version})
        assert page.status_code == 422
        assert "Somebody else has changed it." in text_of(page)
        assert Transfer.objects.get().status == "PENDING"
    assert root.post(url, form_on(page)).status_code == 302
    assert Transfer.objects.get().status == "IN_TRANSIT"


def test_cancelling_a_transfer_needs_a_reason_and_the_lines_that_were_seen(root: Client) -> None:
    level = make_level(10)
    draft_id = send_off(level, is_draft=True)
    url = reverse("admin:inventory_transfer_cancel", args=[draft_id])
    form = form_on(root.get(url))
    for reason in ("", "   "):
        page = root.post(url, {**form, "reason": reason})
        assert (page.status_code, "reason" in page.context["form"].errors) == (422, True)
    added = make_product(sku="LATER")
    TransferLine.objects.filter(transfer=draft_id).delete()
    TransferLine.objects.create(transfer_id=draft_id, product=added, quantity=3)
    page = root.post(url, {**form, "reason": "not needed"})
    text = text_of(page)
    assert (page.status_code, Transfer.objects.get().status) == (422, "PENDING")
    assert f"{level.product.sku}, units: you saw “4”, it is now “–”" in text
    assert "LATER, units: it is now “3”" in text
    again = form_on(page)
    assert again["reason"] == ["not needed"]
    assert root.post(url, again).status_code == 302
    assert Transfer.objects.get().status == "CANCELLED"

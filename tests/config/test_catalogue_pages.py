"""Catalogue pages of the console: freezing, limits, labels."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from inventory.admin.catalogue import printing, products
from inventory.admin.catalogue.label_codes import code_128, qr_code
from inventory.models import Product, Store, Warehouse
from tests.factories import make_level, make_product, make_warehouse, recorded
from tests.forms import edit, form_on, save_form
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def address(model: type, name: str, *arguments: Any) -> str:
    return reverse(f"admin:inventory_{model.__name__.lower()}_{name}", args=arguments)


@pytest.mark.parametrize("model", [Product, Warehouse, Store])
def test_freeze_is_shown_and_lifted(manager: Client, model: Any) -> None:
    make_product()
    row = model.objects.first()
    answer = edit(manager, address(model, "freeze", row.pk), reason="recall", until="")
    assert "is frozen until the freeze is lifted." in answer.content.decode()
    assert model.objects.with_freezes().get(pk=row.pk).is_frozen
    entry = recorded(f"inventory_{model.__name__.lower()}_frozen")[-1]
    assert (entry.subject_id, entry.actor, entry.source, entry.changes["reason"]) == (row.pk, "mia", "admin", "recall")
    assert "Frozen" in manager.get(address(model, "changelist")).content.decode()
    assert "recall" in manager.get(address(model, "change", row.pk)).content.decode()
    edit(manager, address(model, "unfreeze", row.pk))
    assert not model.objects.with_freezes().get(pk=row.pk).is_frozen


@pytest.mark.parametrize("model", [Product, Warehouse, Store])
def test_freeze_is_offered_until_it_is_frozen_and_lift_after_that(manager: Client, model: Any) -> None:
    make_product()
    row = model.objects.first()

    def offered() -> tuple[bool, bool]:
        page = manager.get(address(model, "change", row.pk)).content.decode()
        return address(model, "freeze", row.pk) in page, address(model, "unfreeze", row.pk) in page

    assert offered() == (True, False)
    edit(manager, address(model, "freeze", row.pk), reason="recall", until="")
    assert offered() == (False, True)
    ended = timezone.now() - timedelta(minutes=1)
    model.objects.filter(pk=row.pk).update(frozen_at=ended - timedelta(hours=1), frozen_until=ended)
    assert offered() == (True, False)


def test_only_what_a_user_may_do_is_offered_on_a_product() -> None:
    parent = make_product()
    variant = make_product(parent=parent)

    def offered(browser: Client, product: Product) -> set[str]:
        page = browser.get(address(Product, "change", product.pk)).content.decode()
        names = ("add_variant", "label", "freeze", "unfreeze")
        return {name for name in names if f'href="{address(Product, name, product.pk)}"' in page}

    manager, limited = browser_of(make_staff("manager")), browser_of(make_staff("manager", "wh-001"))
    assert offered(manager, parent) == {"add_variant", "label", "freeze"}
    assert offered(manager, variant) == {"label", "freeze"}
    assert offered(limited, parent) == offered(browser_of(make_staff("viewer")), parent) == {"label"}


def test_product_without_stock_says_how_stock_comes(manager: Client) -> None:
    bare, kept = make_product(), make_level(3).product
    hint = "No stock in any warehouse yet."
    assert hint in manager.get(address(Product, "change", bare.pk)).content.decode()
    assert hint not in manager.get(address(Product, "change", kept.pk)).content.decode()


def test_end_of_a_freeze_is_formatted_as_all_times(manager: Client) -> None:
    manager.cookies["console_zone"] = "Asia/Tokyo"
    product = make_product()
    answer = edit(manager, address(Product, "freeze", product.pk), reason="recall", until="2090-07-01T09:00")
    assert "is frozen until 1 Jul 2090, 09:00." in answer.content.decode()
    product.refresh_from_db()
    assert product.frozen_until == datetime(2090, 7, 1, tzinfo=UTC)


def test_freeze_that_ends_in_the_past_is_refused(manager: Client) -> None:
    answer = edit(manager, address(Product, "freeze", make_product().pk), reason="x", until="2020-01-01T08:00")
    assert answer.status_code == 422
    assert "A freeze must end in the future." in answer.content.decode()


def test_only_who_may_freezes_and_only_in_reach() -> None:
    product, mine, other = make_product(), make_warehouse("wh-001"), make_warehouse("wh-009")
    clerk = browser_of(make_staff("warehouse"))
    assert edit(clerk, address(Product, "freeze", product.pk), reason="x").status_code == 403
    limited = browser_of(make_staff("manager", "wh-001"))
    assert edit(limited, address(Product, "freeze", product.pk), reason="x").status_code == 403
    assert edit(limited, address(Warehouse, "freeze", other.pk), reason="x").status_code == 404
    assert edit(limited, address(Warehouse, "freeze", mine.pk), reason="x").status_code == 200
    frozen = Warehouse.objects.filter(frozen_at__isnull=False)
    assert list(frozen) == [mine]
    assert not Product.objects.filter(frozen_at__isnull=False).exists()


def test_limits_are_kept_by_the_services(manager: Client) -> None:
    product = make_product(sku="LAMP")
    inlines = {f"{name}-{part}_FORMS": "0" for name in ("variants", "levels") for part in ("TOTAL", "INITIAL")}
    form = {"sku": "LAMP", "name": "Lamp", "is_active": "on", "max_units_per_customer": "3", **inlines}
    assert save_form(manager, address(Product, "change", product.pk), form).status_code == 302
    product.refresh_from_db()
    assert product.max_units_per_customer == 3
    store = Store.objects.get(code="main")
    form = {"name": "Main", "sources-TOTAL_FORMS": "0", "sources-INITIAL_FORMS": "0"}
    limits = {"max_units_per_customer": "9", "max_holds_per_customer": "2", "hold_window_minutes": "60"}
    assert save_form(manager, address(Store, "change", store.pk), {**form, **limits}).status_code == 302
    store.refresh_from_db()
    assert (store.max_units_per_customer, store.max_holds_per_customer, store.hold_window_minutes) == (9, 2, 60)
    assert (
        save_form(manager, address(Store, "change", store.pk), {**form, "max_holds_per_customer": "2"}).status_code
        == 200
    )


# -------------------------------------------------------------------------------------------------------------- labels


def test_code_128_has_a_quiet_zone_and_refuses_what_it_cannot_write() -> None:
    drawn = code_128("LAMP-1")
    assert drawn.startswith("<svg")
    assert 'd="M10 0h' in drawn
    assert code_128("Lämp") == ""
    assert code_128("x" * 49) == ""
    assert "<svg" in qr_code("Lämp")


@pytest.mark.parametrize("size", ["", "62x29", "100x50", "70x37", "99x68", "nonsense"])
def test_labels_of_products_are_printed_in_every_size(manager: Client, size: str) -> None:
    lamp, chair = make_product(sku="LAMP", name="<b>Lamp</b>"), make_product(sku="CHAIR")
    answer = manager.get(address(Product, "labels"), {"id": [str(lamp.pk)], "size": size})
    page = answer.content.decode()
    assert "&lt;b&gt;Lamp" in page
    assert chair.sku not in page
    assert page.count("<article") == 1
    assert page.count("<svg") == 2


def test_chosen_products_lead_to_their_labels(manager: Client) -> None:
    lamp = make_product(sku="LAMP")
    make_product(sku="CHAIR")
    sent = {"action": "print_labels", "_selected_action": [str(lamp.pk)]}
    answer = manager.post(address(Product, "changelist"), sent, follow=True)
    assert [label.title for label in answer.context["labels"]] == ["LAMP"]
    resized = manager.post(address(Product, "changelist"), {**form_on(answer), "size": "70x37"})
    assert resized.context["size"].name == "70x37"
    assert [label.title for label in resized.context["labels"]] == ["LAMP"]
    answer = manager.get(address(Product, "label", lamp.pk), follow=True)
    assert [label.title for label in answer.context["labels"]] == ["LAMP"]


def test_labels_are_all_that_were_asked_for_or_the_page_says_how_many_are_missing(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make_product() for _ in range(30)]
    every = {"action": "print_labels", "select_across": "1", "index": "0", "_selected_action": [str(made[0].pk)]}
    answer = manager.post(address(Product, "changelist"), every)
    assert len(answer.context["labels"]) == 30
    assert "labels are shown" not in answer.content.decode()
    gone = manager.get(address(Product, "labels"), {"id": [str(made[0].pk), str(uuid7()), "nonsense"]}).content.decode()
    assert "1 of 3 labels are shown." in " ".join(gone.split())
    assert "The others are no longer available." in gone
    for module in (printing, products):
        monkeypatch.setattr(module, "MOST", 20)
    level = make_level(1, zone="A", shelf="1")
    for place in range(20):
        make_level(1, zone="B", shelf=str(place))
    for answer, asked in (
        (manager.post(address(Product, "changelist"), every), 51),
        (manager.get(address(Product, "labels")), 51),
        (manager.get(address(Warehouse, "labels", level.warehouse_id)), 21),
    ):
        page = " ".join(answer.content.decode().split())
        assert f"20 of {asked} labels are shown. At most 20 are printed at a time" in page


def test_places_of_a_warehouse_are_labelled_once_each(manager: Client) -> None:
    make_level(1, zone="A", aisle="01", shelf="3")
    warehouse = make_level(1, zone="A", aisle="01", shelf="3").warehouse
    make_level(1)
    labels = manager.get(address(Warehouse, "labels", warehouse.pk)).context["labels"]
    assert [(label.title, label.code) for label in labels] == [("A-01-3", "wh-001/A-01-3")]
    empty = manager.get(address(Warehouse, "labels", make_warehouse("wh-009").pk))
    assert "nothing to label yet" in empty.content.decode()
    limited = browser_of(make_staff("viewer", "wh-001"))
    assert limited.get(address(Warehouse, "labels", make_warehouse("wh-009").pk)).status_code == 404

"""Frozen and discontinued goods in the console: where they show, how they leave by hand, and the recall page."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inventory.models import Product, StockLevel, Warehouse
from reservations.models import Reservation
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api, body_of
from tests.drafts import begin_delivery, begin_transfer, draft_form
from tests.factories import ACTOR, counters, hold, make_level, make_variant, receive, recorded
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def freeze(product: Product, reason: str = "lot 7") -> None:
    Product.objects.filter(pk=product.pk).update(frozen_at=timezone.now(), freeze_reason=reason)


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:{name}", args=arguments)


def text_of(browser: Client, url: str, **asked: str) -> str:
    answer = browser.get(url, asked)
    assert answer.status_code == 200
    return answer.content.decode()


# ----------------------------------------------------------------------------------------------------- where they show


@pytest.mark.parametrize(
    ("change", "mark"),
    [
        ({"frozen_at": timezone.now(), "freeze_reason": "lot 7"}, "Frozen"),
        ({"is_active": False}, "Discontinued"),
        ({"listing_expires_at": timezone.now() - timedelta(days=1)}, "Listing ended"),
    ],
)
def test_frozen_and_discontinued_show_in_lists_pages_dialogs_and_scan_lines(
    clerk: Client, change: dict[str, Any], mark: str
) -> None:
    parent = make_level(5, reorder_point=1)
    level, plain = receive(make_variant(parent.product), 22), make_level(3)
    Product.objects.filter(pk=parent.product_id).update(**change)
    listed = clerk.get(at("inventory_stocklevel_changelist"))
    marks = {row.pk: row.warned for row in listed.context["cl"].result_list}
    assert (marks[level.pk].startswith(mark), marks[parent.pk].startswith(mark), marks[plain.pk]) == (True, True, "")
    assert listed.content.decode().count(f">{mark}</span>") == 2
    products = text_of(clerk, at("inventory_product_changelist"))
    assert products.count(f">{mark}</span>") == 2
    page = text_of(clerk, at("inventory_stocklevel_change", level.pk))
    assert f"<dt>{mark}</dt>" in page
    assert "−</span>22" in page
    for action in ("receive", "ship", "adjust", "transfer", "count"):
        assert mark in text_of(clerk, at(f"inventory_stocklevel_{action}", level.pk)), action
    rows = text_of(clerk, at("inventory_stocklevel_receive_rows"), level=str(level.pk))
    assert mark in rows
    sku = level.product.sku
    for begin in (begin_transfer, begin_delivery):
        draft = begin(clerk)
        given = draft_form(clerk, draft) | {"do": "add", "code": sku}
        scanned = clerk.post(draft, given, follow=True).content.decode()
        assert scanned.count(mark) >= 2, "in the line, and in what was said of the scan"
        assert mark in text_of(clerk, draft, review="")
        body = json.dumps({"scans": [{"id": str(uuid4()), "code": sku}]})
        address = re.search('data-scan-url="([^"]+)"', text_of(clerk, draft))
        assert address is not None
        (outcome,) = clerk.post(address[1], body, content_type="application/json").json()["outcomes"]
        assert (mark in outcome["message"], mark in outcome["line"]["text"]) == (True, True)
    found = clerk.get(at("inventory_stocklevel_changelist"), {"q": sku}, follow=True).content.decode()
    assert mark in found


def test_dashboard_counts_frozen_goods_and_discontinued_ones_with_stock(manager: Client) -> None:
    frozen, gone = make_level(5), make_level(4)
    assert "Nothing is frozen or discontinued." in text_of(manager, "/admin/")
    freeze(frozen.product)
    Product.objects.filter(pk=gone.product_id).update(is_active=False)
    Warehouse.objects.filter(code="wh-002").update(frozen_at=timezone.now())
    cache.clear()
    page = manager.get("/admin/")
    (card,) = [each for each in page.context["cards"] if str(each.title) == "Frozen and discontinued"]
    figures = {str(figure.label): (figure.value, figure.link) for figure in card.figures}
    assert [value for value, _ in figures.values()] == [1, 1, 0, 1]
    for value, link in figures.values():
        assert manager.get(link).context["cl"].result_count == value, link
    listed = manager.get(figures["Discontinued, with stock"][1])
    assert [row.pk for row in listed.context["cl"].result_list] == [gone.pk]
    listed = manager.get(at("inventory_stocklevel_changelist"), {"state": "frozen"})
    assert [row.pk for row in listed.context["cl"].result_list] == [frozen.pk]


def test_marks_take_no_query_for_each_row(clerk: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        freeze(make_level(5).product)
    with django_assert_max_num_queries(25):
        assert text_of(clerk, at("inventory_stocklevel_changelist")).count(">Frozen</span>") == 20


# ------------------------------------------------------------------------------------------ shipped and sold by hand


def test_frozen_stock_is_shipped_by_hand_with_a_managers_reason_alone(clerk: Client, manager: Client) -> None:
    level = make_level(10)
    url = at("inventory_stocklevel_ship", level.pk)
    assert "freeze_override" not in clerk.get(url).context["form"].fields
    freeze(level.product)
    for browser, sent in ((clerk, {}), (clerk, {"freeze_override": "me"}), (manager, {})):
        answer = post(browser, url, quantity="2", remark="sample", **sent)
        assert answer.status_code == 422, sent
        assert counters(level) == (10, 0)
    assert "A manager can ship it anyway" in post(clerk, url, quantity="2", remark="sample").content.decode()
    post(manager, url, quantity="2", remark="sample", freeze_override="back to the maker")
    assert counters(level) == (8, 0)
    assert recorded("inventory_stock_adjusted")[-1].changes["freezeOverride"] == "back to the maker"
    post(clerk, at("inventory_stocklevel_adjust", level.pk), quantity="-1", remark="broken")
    post(clerk, at("inventory_stocklevel_receive", level.pk), quantity="3", remark="back")
    assert counters(level) == (10, 0), "corrections and receipts are not affected"


@pytest.mark.parametrize("what", ["parent", "warehouse"])
def test_stock_frozen_by_its_parent_or_warehouse_is_refused_the_same(clerk: Client, what: str) -> None:
    parent = make_level(1).product
    level = receive(make_variant(parent), 10)
    if what == "parent":
        freeze(parent)
    else:
        Warehouse.objects.filter(code="wh-001").update(frozen_at=timezone.now(), freeze_reason="flood")
    answer = post(clerk, at("inventory_stocklevel_ship", level.pk), quantity="2", remark="sample")
    assert answer.status_code == 422
    assert counters(level) == (10, 0)


def test_frozen_stock_is_not_shipped_by_a_file(manager: Client) -> None:
    frozen, plain = make_level(10), make_level(10)
    freeze(frozen.product)
    rows = [f"{level.product.sku},wh-001,SHIPMENT,1,x" for level in (frozen, plain)]
    content = "\n".join(["sku,warehouse,type,quantity,reason", *rows]).encode()
    url = at("inventory_stocklevel_import_changes")
    looked = manager.post(url, {"do": "look", "file": SimpleUploadedFile("f.csv", content)})
    faults = looked.context["dialog"].preview.faults
    assert [(fault.row, fault.column) for fault in faults] == [(2, "sku")]
    assert "is frozen" in faults[0].detail


def test_programs_ship_and_sell_what_is_frozen_as_before(api: Api) -> None:
    level = make_level(10)
    held = hold((level, 2), order_id="o-1")
    freeze(level.product)
    line = {"productId": str(level.product_id), "warehouseId": "wh-001", "quantity": 1, "type": "SHIPMENT"}
    body_of(api.put("adjust", {"adjustments": [{**line, "reason": "picked"}]}))
    body_of(api.post("consume", {"reservationId": held.public_id, "orderId": "o-1"}))
    assert counters(level) == (7, 0)


def test_frozen_reservation_is_sold_by_hand_with_a_reason_alone(manager: Client) -> None:
    frozen, plain = make_level(10), make_level(10)
    held, other = hold((frozen, 2), order_id="o-1"), hold((plain, 1), order_id="o-1")
    url = at("reservations_reservation_consume", held.id)
    assert "freeze_override" not in manager.get(url).context["form"].fields
    freeze(frozen.product)
    assert post(manager, url, order_id="o-1").status_code == 422
    seller = make_staff("viewer")
    seller.user_permissions.add(*_permissions("consume_reservation"))
    refused = post(browser_of(seller), url, order_id="o-1", freeze_override="mine")
    assert "A manager can ship it anyway" in refused.content.decode()
    assert Reservation.objects.get(pk=held.id).status == "ACTIVE"
    both = {"chosen": f"{held.id},{other.id}", "order_id": "o-1"}
    many = post(browser_of(seller), at("reservations_reservation_chosen_consume"), **both)
    assert {one.id: one.is_done for one in many.context["results"]} == {held.id: False, other.id: True}
    post(manager, url, order_id="o-1", freeze_override="tested, fine")
    assert Reservation.objects.get(pk=held.id).status == "CONSUMED"
    entries = [entry for entry in recorded("inventory_reservation_consumed") if entry.subject_id == held.id]
    assert entries[0].changes["freezeOverride"] == "tested, fine"


def _permissions(*names: str) -> Any:
    return Permission.objects.filter(codename__in=names)


# -------------------------------------------------------------------------------------------------------------- recall


def test_recall_lists_places_holds_and_orders_of_the_days_asked_for(manager: Client) -> None:
    parent = make_level(10)
    there = receive(parent.product, 4, "wh-002")
    variant = receive(make_variant(parent.product), 6)
    StockLevel.objects.filter(pk=parent.pk).update(zone="B", aisle="02", shelf="1")
    sold = hold((variant, 2), order_id="o-77", customer_id="carla")
    consume_hold(ConsumeRequest(ACTOR, "o-77", Selector(reservation_id=sold.id)))
    hold((parent, 3), order_id="o-78", customer_id="dora")
    post(manager, at("inventory_stocklevel_ship", there.pk), quantity="1", remark="sample", reference="DN-5")
    freeze(parent.product)
    url = at("inventory_product_recall", parent.product_id)
    assert url in text_of(manager, at("inventory_product_change", parent.product_id))
    answer = manager.get(url, {"days": "7"})
    recall = answer.context["recall"]
    assert (recall.on_hand, recall.held, recall.shipped) == (10 + 3 + 4, 3, 3)
    assert [(line.order, line.customer, line.units) for line in recall.shipments] == [("", "", 1), ("o-77", "carla", 2)]
    page = answer.content.decode()
    for fact in ("B-02-1", "o-77", "carla", "o-78", "dora", "DN-5", "Frozen: lot 7", "data-print", "17 on hand"):
        assert fact in page, fact
    assert text_of(manager, url, days="x").count("selected") == 1


def test_recall_shows_only_what_is_in_reach() -> None:
    here = make_level(10)
    there = receive(here.product, 4, "wh-002")
    hold((here, 1), order_id="mine")
    for name, store_level in (("sold-here", here), ("sold-there", there)):
        held = hold((store_level, 1), order_id=name) if store_level is here else None
        if held:
            consume_hold(ConsumeRequest(ACTOR, name, Selector(reservation_id=held.id)))
    url = at("inventory_product_recall", here.product_id)
    recall = browser_of(make_staff("warehouse", "wh-002")).get(url).context["recall"]
    assert ([level.pk for level in recall.levels], recall.holds, recall.shipments) == ([there.pk], (), ())
    assert browser_of(make_staff("warehouse")).get(url).status_code == 200
    nobody = make_staff("")
    nobody.is_superuser = False
    nobody.save()
    assert browser_of(nobody).get(url).status_code == 403

"""A closed warehouse takes nothing in, what is on its way there is redirected or cancelled, and people of one warehouse
send to any active one."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from inventory.errors import WarehouseInactive
from inventory.models import Movement, StockLevel, Transfer, TransferLine, Warehouse
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import import_stock
from inventory.services.transfers.commands import MoveLine, TransferRequest, draft_transfer, start_transfer
from inventory.services.transfers.moves import Transferred
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.factories import ACTOR, lines, make_level, make_product, make_warehouse, published, receive, recorded
from tests.forms import edit, form_on
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def close(code: str = "wh-002") -> None:
    Warehouse.objects.filter(code=code).update(is_active=False)


def sent(level: StockLevel, units: int, to: str = "wh-002", *, is_draft: bool = False) -> Transfer:
    request = TransferRequest(ACTOR, (MoveLine(level.product_id, None, units, level.warehouse.code, to),))
    made = draft_transfer(request) if is_draft else start_transfer(request)
    assert isinstance(made, Transferred)
    return Transfer.objects.get(pk=made.document.id)


def adjustment(level: StockLevel, kind: str, quantity: int = 2, warehouse: str = "wh-002") -> dict[str, Any]:
    line = {"productId": str(level.product_id), "warehouseId": warehouse, "quantity": quantity, "type": kind}
    return {"adjustments": [{**line, "reason": "test"}]}


# -------------------------------------------------------------------------------------------------------- takes nothing


def test_closed_warehouse_takes_no_receipts_and_no_transfers_in_the_api(api: Api) -> None:
    there = make_level(10, "wh-002")
    here = make_level(10, "wh-001")
    draft = sent(here, 1, is_draft=True)
    moving = sent(here, 2)
    close()
    route = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
    body = {"items": lines((here, 1), **route)}
    before = Movement.objects.count()
    refused = [
        api.put("adjust", adjustment(there, "RECEIPT")),
        api.put("adjust", adjustment(there, "RETURN")),
        api.put("adjust", adjustment(here, "RECEIPT")),
        api.post("transfer", body),
        api.post("transfer", {**body, "draft": True}),
        api.put(f"transfer/{draft.public_id}", body),
        api.post(f"transfer/{draft.public_id}/send", None),
        api.post(f"transfer/{moving.public_id}/receive", {}),
        api.post(f"transfer/{moving.public_id}/redirect", {"toWarehouseId": "wh-002"}),
    ]
    codes = [body_of(answer, answer.status_code)["code"] for answer in refused]
    assert codes == [*["warehouse_inactive"] * 8, "invalid"]
    pointers = [body_of(answer, 409)["errors"][0]["pointer"] for answer in refused[:5]]
    assert pointers == [*["/adjustments/0/warehouseId"] * 3, *["/items/0/toWarehouseId"] * 2]
    assert Movement.objects.count() == before
    mixed = adjustment(here, "RECEIPT", warehouse="wh-001")
    mixed["adjustments"] += adjustment(there, "RECEIPT")["adjustments"] + adjustment(there, "RETURN")["adjustments"]
    assert [fault["pointer"] for fault in body_of(api.put("adjust", mixed), 409)["errors"]] == [
        "/adjustments/1/warehouseId",
        "/adjustments/2/warehouseId",
    ]


def test_closed_warehouse_is_still_corrected_and_emptied(api: Api) -> None:
    there = make_level(10, "wh-002")
    close()
    body_of(api.put("adjust", adjustment(there, "ADJUSTMENT", 1)))
    body_of(api.put("adjust", adjustment(there, "SHIPMENT", 3)))
    route = {"fromWarehouseId": "wh-002", "toWarehouseId": "wh-001"}
    made = body_of(api.post("transfer", {"items": lines((there, 8), **route)}), 201)
    body_of(api.post(f"transfer/{made['transferId']}/cancel", {}))
    assert_books_balance()


def test_closed_warehouse_takes_nothing_from_files_dialogs_and_scanned_lines(manager: Client) -> None:
    there = make_level(10, "wh-002")
    sku = there.product.sku
    close()
    booked = [f"{sku},wh-002,{kind},1,x" for kind in ("RECEIPT", "RETURN", "SHIPMENT")]
    content = "\n".join(["sku,warehouse,type,quantity,reason", *booked])
    outcome = import_stock(ACTOR, read_file("f.csv", content.encode()), skip_bad=True)
    assert ([(fault.row, fault.column) for fault in outcome.bad], outcome.applied) == (
        [(2, "warehouse"), (3, "warehouse")],
        1,
    )
    url = reverse("admin:inventory_stocklevel_import_changes")
    content = "\n".join(["sku,warehouse,type,quantity,reason", booked[0]])
    looked = manager.post(url, {"do": "look", "file": SimpleUploadedFile("f.csv", content.encode())})
    assert "wh-002 is closed" in looked.content.decode()
    url = reverse("admin:inventory_stocklevel_receive", args=[there.pk])
    answer = post(manager, url, quantity="1", remark="x")
    assert answer.status_code == 422
    assert "This warehouse is closed" in answer.content.decode()
    form = manager.get(reverse("admin:inventory_stocklevel_transfer", args=[make_level(5).pk])).context["form"]
    assert "wh-002" not in dict(form.fields["to_warehouse"].choices)


# ------------------------------------------------------------------------------------------- redirected or cancelled


@pytest.mark.parametrize("received", [0, 2])
def test_what_is_on_its_way_to_a_closed_warehouse_is_redirected(api: Api, received: int) -> None:
    level, other = make_level(10), make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=8)
    make_warehouse("wh-003")
    body = {"items": lines((level, 5), (other, 1), fromWarehouseId="wh-001", toWarehouseId="wh-002")}
    made = body_of(api.post("transfer", body), 201)
    if received:
        arrived = [_all_of(level, received), _all_of(other, 1)]
        body_of(api.post(f"transfer/{made['transferId']}/receive", {"items": arrived}))
    close()
    path = f"transfer/{made['transferId']}/redirect"
    alerts = len(published("LowStockAlertEvent"))
    asked = {"toWarehouseId": "wh-003", "reason": "closed"}
    done = body_of(api.post(path, asked, Idempotency_Key="r1"))
    assert body_of(api.post(path, asked, Idempotency_Key="r1")) == done, "replayed"
    assert (done["fromWarehouseId"], done["toWarehouseId"], done["status"]) == ("wh-001", "wh-003", "IN_TRANSIT")
    assert (done["transferId"] == made["transferId"]) == (not received)
    (item,) = (each for each in done["items"] if each["productId"] == str(level.product_id))
    assert (item["quantityInTransit"], item["toWarehouse"]["expectedQuantity"]) == (5 - received, 5 - received)
    if received:
        before = body_of(api.get(f"transfer/{made['transferId']}"))
        assert (before["status"], before["toWarehouseId"]) == ("RECEIVED", "wh-002")
        assert before["items"][0]["quantityReturned"] == 5 - received
    assert len(published("LowStockAlertEvent")) == alerts, "nothing changed at the source"
    assert_books_balance()
    found = body_of(api.get(str(level.product_id)))["warehouses"]
    incoming = {row["warehouseId"]: row["incomingQuantity"] for row in found}
    assert incoming == {"wh-001": 0, "wh-002": 0, "wh-003": 5 - received}
    event = published("InventoryTransferredEvent")[-1]
    assert (event["change"], event["toWarehouseId"]) == ("SENT" if received else "REDIRECTED", "wh-003")
    body_of(api.post(f"transfer/{done['transferId']}/receive", {}))
    on_hand = dict(StockLevel.objects.filter(product=level.product).values_list("warehouse__code", "on_hand"))
    assert on_hand == {"wh-001": 5, "wh-002": received, "wh-003": 5 - received}
    assert_books_balance()
    (entry,) = recorded(f"inventory_transfer_{'cancelled' if received else 'redirected'}")
    assert (entry.changes["toWarehouseId"], entry.changes["reason"]) == (["wh-002", "wh-003"], "closed")


def _all_of(level: StockLevel, units: int) -> dict[str, Any]:
    return {"productId": str(level.product_id), "quantityReceived": units}


def test_redirecting_to_the_source_or_the_same_destination_is_refused(api: Api) -> None:
    level = make_level(10)
    make_warehouse("wh-003", is_active=False)
    moving, draft = sent(level, 2), sent(level, 2, is_draft=True)
    path = f"transfer/{moving.public_id}/redirect"
    expected = {"wh-001": (400, "invalid"), "wh-404": (422, "unknown_warehouse"), "wh-003": (409, "warehouse_inactive")}
    for code, (status, name) in expected.items():
        assert body_of(api.post(path, {"toWarehouseId": code}), status)["code"] == name
    body = {"toWarehouseId": "wh-001"}
    assert body_of(api.post(f"transfer/{draft.public_id}/redirect", body), 409)["code"] == "transfer_not_sent"
    body_of(api.post(f"transfer/{moving.public_id}/cancel", {}))
    assert body_of(api.post(path, body), 409)["code"] == "transfer_closed"
    assert TransferLine.objects.filter(transfer=moving).get().in_transit == 0


def test_closed_destination_is_left_by_cancelling_or_giving_up(api: Api) -> None:
    level = make_level(10)
    first, second = sent(level, 2), sent(level, 3)
    close()
    body_of(api.post(f"transfer/{first.public_id}/cancel", {}))
    nothing = {"items": [_all_of(level, 0)], "close": True, "reason": "lost"}
    assert body_of(api.post(f"transfer/{second.public_id}/receive", nothing))["status"] == "RECEIVED"
    assert_books_balance()


def test_clerk_redirects_in_the_console_what_leaves_from_their_warehouse() -> None:
    level = make_level(10)
    make_warehouse("wh-003")
    moving = sent(level, 4)
    close()
    url = reverse("admin:inventory_transfer_redirect", args=[moving.pk])
    assert browser_of(make_staff("warehouse", "wh-002")).get(url).status_code == 404
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    page = clerk.get(reverse("admin:inventory_transfer_change", args=[moving.pk])).content.decode()
    assert url in page
    form = clerk.get(url).context["form"]
    assert list(dict(form.fields["to_warehouse"].choices)) == ["wh-003"]
    answer = edit(clerk, url, to_warehouse="wh-003", reason="closed")
    assert "Redirected: 4 units are on their way to wh-003." in answer.content.decode()
    moving.refresh_from_db()
    assert moving.to_warehouse.code == "wh-003"


# ------------------------------------------------------------------------------------------- sending to any warehouse


def test_clerk_of_one_warehouse_sends_to_any_active_one_and_sees_nothing_of_it() -> None:
    level = make_level(10)
    there = receive(level.product, 7, "wh-002")
    make_warehouse("wh-003", is_active=False)
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    url = reverse("admin:inventory_stocklevel_transfer", args=[level.pk])
    assert list(dict(clerk.get(url).context["form"].fields["to_warehouse"].choices)) == ["wh-002"]
    answer = post(clerk, url, quantity="3", to_warehouse="wh-002")
    assert "3 of" in answer.content.decode()
    moving = Transfer.objects.get()
    assert (moving.to_warehouse.code, moving.status) == ("wh-002", "IN_TRANSIT")
    page = clerk.get(reverse("admin:inventory_transfer_change", args=[moving.pk]))
    assert page.status_code == 200
    assert clerk.get(reverse("admin:inventory_stocklevel_change", args=[there.pk])).status_code == 404
    listed = clerk.get(reverse("admin:inventory_stocklevel_changelist"), {"q": level.product.sku}, follow=True)
    assert "wh-002" not in listed.content.decode().replace(f"{moving.public_id}", "")
    assert clerk.get(reverse("admin:inventory_transfer_receive", args=[moving.pk])).status_code == 404
    for action in ("cancel", "redirect"):
        assert clerk.get(reverse(f"admin:inventory_transfer_{action}", args=[moving.pk])).status_code == 200
    rows = reverse("admin:inventory_stocklevel_transfer_rows")
    page = clerk.get(rows, {"level": str(level.pk)})
    assert list(dict(page.context["form"].fields["to_warehouse"].choices)) == ["wh-002"]


def test_clerk_drafts_changes_and_sends_to_any_but_from_their_own_alone() -> None:
    level, far = make_level(10), make_level(10, "wh-002")
    mine, others = sent(level, 1, is_draft=True), sent(far, 1, to="wh-001", is_draft=True)
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    for action in ("change_draft", "send"):
        assert clerk.get(reverse(f"admin:inventory_transfer_{action}", args=[mine.pk])).status_code == 200
        assert clerk.get(reverse(f"admin:inventory_transfer_{action}", args=[others.pk])).status_code == 404
    url = reverse("admin:inventory_transfer_send", args=[mine.pk])
    opened = form_on(clerk.get(url))
    assert post(clerk, url, version=opened["version"]).status_code == 200
    mine.refresh_from_db()
    assert mine.status == "IN_TRANSIT"


def test_client_of_a_store_still_sends_within_its_stores_alone(api: Api, make_api: Any) -> None:
    level = make_level(10)
    make_warehouse("wh-009")
    limited = make_api(stores=("main",))
    body = {"items": lines((level, 1), fromWarehouseId="wh-001", toWarehouseId="wh-009")}
    assert body_of(limited.post("transfer", body), 422)["code"] == "unknown_warehouse"
    moving = sent(level, 2)
    redirect = f"transfer/{moving.public_id}/redirect"
    assert body_of(limited.post(redirect, {"toWarehouseId": "wh-009"}), 422)["code"] == "unknown_warehouse"
    body_of(api.post(redirect, {"toWarehouseId": "wh-009"}))


def test_warehouse_that_closes_before_the_levels_are_made_takes_nothing() -> None:
    level = make_level(10)
    close()
    with pytest.raises(WarehouseInactive):
        sent(level, 1)
    assert not StockLevel.objects.filter(warehouse__code="wh-002").exclude(product=make_product()).exists()

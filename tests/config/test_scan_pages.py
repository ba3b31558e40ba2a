"""Scans over HTTP: the walk of a count, places, and finding what a code names. Each scan is done once, in order."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inventory.models import StockCount, StockCountLine, StockLevel
from inventory.services.counts import entering
from inventory.services.counts.opening import OpenRequest, open_count
from tests.factories import ACTOR, make_level, make_product, make_warehouse
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:inventory_{name}", args=arguments)


def scan_of(code: str = "", **fields: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "code": code, "quantity": 1, "at": timezone.now().isoformat(), **fields}


def sent(browser: Client, url: str, *scans: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcomes of these scans."""
    answer = browser.post(url, json.dumps({"scans": scans}), content_type="application/json")
    assert answer.status_code == 200, answer.content.decode()
    outcomes: list[dict[str, Any]] = json.loads(answer.content)["outcomes"]
    assert [outcome["id"] for outcome in outcomes] == [scan["id"] for scan in scans]
    return outcomes


def count_all(warehouse: str = "wh-001", **fields: Any) -> StockCount:
    open_count(OpenRequest(ACTOR, warehouse, "ALL", **fields))
    return StockCount.objects.latest("id")


def line_of(count: StockCount, level: StockLevel) -> StockCountLine:
    return StockCountLine.objects.get(count=count, level=level)


# --- the walk of a count ---------------------------------------------------------------------------------------------


def test_each_scan_of_a_product_counts_one_unit_and_a_figure_replaces_them(clerk: Client) -> None:
    first, second = make_level(33, zone="A", shelf="1"), make_level(44, zone="A", shelf="2")
    count = count_all()
    url = at("stockcount_walk_scans", count.pk)
    scans = [scan_of(first.product.sku), scan_of(second.product.sku), scan_of(first.product.sku)]
    outcomes = sent(clerk, url, *scans)
    assert [(outcome["status"], outcome["line"]["quantity"]) for outcome in outcomes] == [
        ("added", 1),
        ("added", 1),
        ("added", 2),
    ]
    line = line_of(count, second)
    outcome = sent(clerk, url, scan_of(line=str(line.pk), total=40))[0]
    assert (outcome["status"], outcome["line"]["quantity"]) == ("added", 40)
    assert sent(clerk, url, scan_of(second.product.sku, total=41))[0]["line"]["quantity"] == 41
    counted = StockCountLine.objects.filter(count=count).order_by("level__shelf").values_list("counted", flat=True)
    assert list(counted) == [2, 41]


def test_scan_that_is_sent_again_counts_once(clerk: Client) -> None:
    level = make_level(5)
    count = count_all()
    url = at("stockcount_walk_scans", count.pk)
    again, other = scan_of(level.product.sku), scan_of(level.product.sku)
    assert [outcome["status"] for outcome in sent(clerk, url, again, other)] == ["added", "added"]
    assert [outcome["status"] for outcome in sent(clerk, url, again, other)] == ["repeat", "repeat"]
    assert line_of(count, level).counted == 2
    changed = {**again, "code": "other"}
    assert sent(clerk, url, changed | {"total": 7, "code": level.product.sku})[0]["status"] == "refused"
    assert line_of(count, level).counted == 2


@pytest.mark.parametrize("code", ["95385074", "5", "NO-SUCH", "0", "x" * 400, "A\0B", "", "   ", "1000000"])
def test_unknown_code_is_reported_and_never_a_number(clerk: Client, code: str) -> None:
    level = make_level(5)
    count = count_all()
    outcome = sent(clerk, at("stockcount_walk_scans", count.pk), scan_of(code))[0]
    assert outcome["status"] == "unknown"
    assert outcome["message"]
    assert line_of(count, level).counted is None


def test_product_that_is_not_in_the_count_is_refused(clerk: Client) -> None:
    level = make_level(5, zone="A")
    elsewhere = make_level(5, "wh-002", product=make_product(sku="LAMP-1", barcode="95385074"))
    count = count_all()
    for code in ("95385074", "LAMP-1"):
        outcome = sent(clerk, at("stockcount_walk_scans", count.pk), scan_of(code))[0]
        assert (outcome["status"], outcome["line"]) == ("refused", None)
    assert elsewhere.product.sku == "LAMP-1"
    assert line_of(count, level).counted is None
    outcome = sent(clerk, at("stockcount_walk_scans", count.pk), scan_of(line=str(uuid4()), total=3))[0]
    assert outcome["status"] == "refused"


def test_code_of_two_products_asks_which(clerk: Client) -> None:
    first = make_level(5, product=make_product(sku="A-1", barcode="4006381333931"))
    make_level(5, product=make_product(sku="A-2", barcode="4006381333931"))
    count = count_all()
    url = at("stockcount_walk_scans", count.pk)
    outcome = sent(clerk, url, scan_of("4006381333931"))[0]
    assert outcome["status"] == "ambiguous"
    assert [choice["sku"] for choice in outcome["choices"]] == ["A-1", "A-2"]
    chosen = sent(clerk, url, scan_of("4006381333931", choice=outcome["choices"][0]["key"]))[0]
    assert (chosen["status"], chosen["line"]["sku"]) == ("added", "A-1")
    assert line_of(count, first).counted == 1


def test_place_label_leads_to_the_first_line_there_that_is_open(clerk: Client) -> None:
    first = make_level(5, zone="B", aisle="02", shelf="1", product=make_product(sku="A-1"))
    second = make_level(5, zone="B", aisle="02", shelf="1", product=make_product(sku="A-2"))
    make_level(5, zone="C")
    count = count_all()
    url = at("stockcount_walk_scans", count.pk)
    outcome = sent(clerk, url, scan_of("wh-001/B-02-1"))[0]
    assert (outcome["status"], outcome["line"]["sku"], outcome["line"]["quantity"]) == ("place", "A-1", None)
    sent(clerk, url, scan_of("A-1"))
    assert sent(clerk, url, scan_of("b-02-1"))[0]["line"]["key"] == str(line_of(count, second).pk)
    assert sent(clerk, url, scan_of("wh-001/Z-9"))[0]["status"] == "refused"
    assert sent(clerk, url, scan_of("wh-001/B-02-1", total=3))[0]["status"] == "unknown"
    assert line_of(count, first).counted == 1


def test_second_count_is_scanned_on_the_recount_list_alone(clerk: Client) -> None:
    far, near = make_level(10, zone="A"), make_level(10, zone="B")
    count = count_all(recount_share="0.1")
    walk, recount = at("stockcount_walk_scans", count.pk), at("stockcount_recount_scans", count.pk)
    sent(clerk, walk, scan_of(far.product.sku, total=3), scan_of(near.product.sku, total=10))
    assert "recount list" in sent(clerk, walk, scan_of(far.product.sku, total=2))[0]["message"]
    outcomes = sent(clerk, recount, *[scan_of(far.product.sku) for _ in range(3)], scan_of(near.product.sku))
    assert [outcome["status"] for outcome in outcomes] == ["added", "added", "added", "refused"]
    line = line_of(count, far)
    assert (line.counted, line.recounted, line.needs_recount) == (2, 3, False)


def test_scans_of_a_count_that_is_over_are_refused(clerk: Client) -> None:
    level = make_level(5)
    count = count_all()
    entering.cancel_count(entering.CancelCountRequest(ACTOR, count.pk))
    outcome = sent(clerk, at("stockcount_walk_scans", count.pk), scan_of(level.product.sku))[0]
    assert outcome["status"] == "refused"
    assert "closed" in outcome["message"]


def test_scans_of_a_count_need_the_right_and_the_reach() -> None:
    make_level(5)
    url = at("stockcount_walk_scans", count_all().pk)
    body = json.dumps({"scans": [scan_of("A-1")]})
    answers = [
        browser_of(make_staff(*who)).post(url, body, content_type="application/json").status_code
        for who in (("viewer",), ("warehouse", "wh-009"), ("warehouse", "wh-001"))
    ]
    assert answers == [403, 404, 200]
    stranger = Client(headers={"Host": "localhost"}).post(url, body, content_type="application/json")
    assert stranger.status_code == 302


@pytest.mark.parametrize("typed", ["95385074", "4006381333931", "00012345678905", "LAMP-1", "612345"])
def test_code_in_the_field_of_the_quantity_is_never_counted(clerk: Client, typed: str) -> None:
    level = make_level(5)
    make_product(sku="LAMP-1", barcode="612345")
    count = count_all()
    path = at("stockcount_walk", count.pk)
    form = clerk.get(path).context["form"].initial
    answer = clerk.post(path, {"once": form["once"], "line": form["line"], "counted": typed})
    assert answer.status_code == 422
    assert line_of(count, level).counted is None


def test_figure_that_a_person_is_asked_about_is_not_taken_without_the_question(clerk: Client) -> None:
    level = make_level(5)
    count = count_all()
    url, line = at("stockcount_walk_scans", count.pk), str(line_of(count, level).pk)
    outcomes = sent(clerk, url, scan_of(line=line, total=1_001), scan_of(level.product.sku, total=1_000_000))
    assert [outcome["status"] for outcome in outcomes] == ["refused", "refused"]
    assert line_of(count, level).counted is None
    assert sent(clerk, url, scan_of(line=line, total=1_000))[0]["status"] == "added"


# --- places ----------------------------------------------------------------------------------------------------------


def place_page(name: str, warehouse: str = "wh-001", page: str = "place") -> str:
    return f"{at(f'stocklevel_{page}')}?warehouse={warehouse}&place={name}"


def test_place_shows_what_is_there_and_what_can_be_done(clerk: Client) -> None:
    level, other = make_level(7, zone="B", aisle="02", shelf="1"), make_level(9, zone="C")
    page = clerk.get(place_page("b-02-1")).content.decode()
    assert level.product.sku in page
    assert other.product.sku not in page
    assert "wh-001/B-02-1" in page
    assert "Count this place" in page
    assert "Put away here" in page
    viewer = browser_of(make_staff("viewer"))
    page = viewer.get(place_page("B-02-1")).content.decode()
    assert level.product.sku in page
    assert "Count this place" not in page
    assert "Put away here" not in page
    assert viewer.post(place_page("B-02-1", page="count_place")).status_code == 403
    assert viewer.get(place_page("B-02-1", page="put_away")).status_code == 403
    assert browser_of(make_staff("warehouse", "wh-009")).get(place_page("B-02-1")).status_code == 404


@pytest.mark.parametrize("name", ["", "x" * 65, "A%E2%80%8B"])
def test_name_that_no_place_can_have_is_not_there(clerk: Client, name: str) -> None:
    make_level(1)
    assert clerk.get(place_page(name)).status_code == 404


def test_count_of_a_place_has_what_is_there_and_is_opened_once(clerk: Client) -> None:
    level = make_level(7, zone="B", aisle="02", shelf="1")
    make_level(9, zone="C")
    first = clerk.post(place_page("B-02-1", page="count_place"))
    assert first.headers["Location"].startswith(at("stockcount_walk", StockCount.objects.get().pk))
    assert clerk.post(place_page("B-02-1", page="count_place")).status_code == 302
    assert StockCount.objects.get().lines.get().level == level
    assert clerk.post(place_page("Z-1", page="count_place")).status_code == 302
    assert clerk.get(place_page("B-02-1", page="count_place")).status_code == 405
    assert StockCount.objects.count() == 1


def test_scanned_products_are_put_away_once_and_in_order(clerk: Client) -> None:
    level = make_level(7, zone="A", shelf="1")
    other = make_product(sku="NEW-1")
    to_b, to_c = place_page("B-02-1", page="put_away_scans"), place_page("C-1", page="put_away_scans")
    scan = scan_of(level.product.sku)
    outcome = sent(clerk, to_b, scan)[0]
    assert (outcome["status"], outcome["line"]["quantity"]) == ("added", 7)
    assert "it was at A-1" in outcome["message"]
    assert sent(clerk, to_c, scan_of(level.product.sku))[0]["status"] == "added"
    assert sent(clerk, to_b, scan)[0]["status"] == "repeat"
    level.refresh_from_db()
    assert (level.zone, level.aisle, level.shelf) == ("C", "1", "")
    outcomes = sent(clerk, to_b, scan_of(other.sku), scan_of("NO-SUCH"), scan_of("wh-001/D-1"))
    assert [outcome["status"] for outcome in outcomes] == ["refused", "unknown", "place"]
    assert "place=D-1" in outcomes[2]["address"]
    too_long = place_page("ABCDEFGHIJK-1", page="put_away_scans")
    assert sent(clerk, too_long, scan_of(level.product.sku))[0]["status"] == "refused"


# --- finding ---------------------------------------------------------------------------------------------------------


def found(browser: Client, code: str, page: str = "/admin/", **fields: Any) -> dict[str, Any]:
    return sent(browser, f"{at('stocklevel_find')}?page={page}", scan_of(code, quantity=None, **fields))[0]


def test_scan_leads_to_the_stock_of_a_product_or_to_a_place() -> None:
    lamp = make_level(3, product=make_product(sku="LAMP-1", barcode="4006381333931"), zone="B", aisle="02", shelf="1")
    far = make_level(3, "wh-002", product=lamp.product)
    clerk, anybody = browser_of(make_staff("warehouse", "wh-001")), browser_of(make_staff("warehouse"))
    of_level = at("stocklevel_change", lamp.pk)
    assert found(clerk, "4006381333931")["address"] == of_level
    assert found(clerk, "LAMP-1", at("stocklevel_changelist"))["address"] == of_level
    assert found(anybody, "LAMP-1")["address"] == f"{at('stocklevel_changelist')}?q=LAMP-1"
    of_product = at("product_change", lamp.product_id)
    assert found(clerk, "LAMP-1", at("product_changelist"))["address"] == of_product
    assert found(clerk, "wh-001/B-02-1")["address"] == place_page("B-02-1")
    assert found(clerk, "b-02-1")["address"] == place_page("B-02-1")
    assert found(clerk, "wh-002/B-02-1")["status"] == "unknown"
    assert found(clerk, "NO-SUCH")["status"] == "unknown"
    assert found(clerk, "")["status"] == "unknown"
    assert far.warehouse.code == "wh-002"


def test_code_with_several_meanings_asks_which(clerk: Client) -> None:
    make_warehouse("wh-002")
    level = make_level(3, product=make_product(sku="B-02-1"), zone="B", aisle="02", shelf="1")
    outcome = found(clerk, "B-02-1")
    assert outcome["status"] == "ambiguous"
    keys = [choice["key"] for choice in outcome["choices"]]
    assert keys == [str(level.product_id), "place:wh-001/B-02-1"]
    assert found(clerk, "B-02-1", choice=keys[0])["address"] == at("stocklevel_change", level.pk)
    assert found(clerk, "B-02-1", choice=keys[1])["address"] == place_page("B-02-1")

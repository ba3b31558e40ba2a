"""Marks of frozen goods in counts, transfers, movements and alerts; place labels and shared codes on scan pages."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inventory.models import (
    LowStockAlert,
    Movement,
    Product,
    ReceivingDraftLine,
    StockCount,
    StockCountLine,
    StockDocument,
    Transfer,
)
from inventory.services.counts.opening import OpenRequest, open_count
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import MoveLine, TransferRequest
from tests.drafts import begin_delivery, begin_transfer, draft_form
from tests.factories import ACTOR, make_level, make_product, make_warehouse
from tests.staff import post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

MARK = "Frozen"
SHARED = "95385074"


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:inventory_{name}", args=arguments)


def text_of(browser: Client, url: str) -> str:
    answer = browser.get(url, follow=True)
    assert answer.status_code == 200
    return answer.content.decode().split("<main", 1)[1]


def freeze(product: Product) -> None:
    Product.objects.filter(pk=product.pk).update(frozen_at=timezone.now(), freeze_reason="lot 7")


def count_all(**fields: Any) -> StockCount:
    open_count(OpenRequest(ACTOR, "wh-001", "ALL", **fields))
    return StockCount.objects.latest("id")


def outcome_of(browser: Client, url: str, code: str, **fields: Any) -> dict[str, Any]:
    body = {"scans": [{"id": str(uuid4()), "code": code, **fields}]}
    answer = browser.post(url, json.dumps(body), content_type="application/json")
    assert answer.status_code == 200
    (outcome,) = answer.json()["outcomes"]
    return dict(outcome)


# -------------------------------------------------------------------------------------------------------------- marks


def test_count_marks_frozen_goods_on_each_of_its_pages_and_in_scans(clerk: Client, manager: Client) -> None:
    frozen, plain = make_level(10, zone="A"), make_level(10, zone="B")
    elsewhere = make_level(5, "wh-002")
    count = count_all(recount_share="0.1")
    pages = {name: at(f"stockcount_{name}", count.pk) for name in ("change", "walk", "recount", "post_count")}
    scans = at("stockcount_walk_scans", count.pk)
    assert not any(MARK in text_of(manager, url) for url in pages.values())
    freeze(frozen.product)
    freeze(elsewhere.product)
    line = StockCountLine.objects.get(level=frozen)
    walk = text_of(clerk, pages["walk"])
    assert re.search(r"data-warning>Frozen: lot 7</strong>", walk)
    assert walk.count('data-warned="Frozen: lot 7"') == 1
    place = make_level(1, zone="Q", product=make_product(sku="Q-1"))
    assert MARK not in outcome_of(clerk, scans, "wh-001/B")["message"]
    led = outcome_of(clerk, scans, "wh-001/A")
    added = outcome_of(clerk, scans, frozen.product.sku)
    typed = outcome_of(clerk, scans, "", line=str(line.pk), total=3)
    for outcome in (led, added, typed):
        assert outcome["message"].endswith("Frozen: lot 7"), outcome
        assert outcome["line"]["warning"] == "Frozen: lot 7"
    refused = outcome_of(clerk, scans, elsewhere.product.sku)
    assert (refused["status"], MARK in refused["message"]) == ("refused", True)
    assert outcome_of(clerk, scans, plain.product.sku)["line"]["warning"] == ""
    assert place.on_hand == 1
    for browser, name in ((manager, "change"), (manager, "recount"), (manager, "post_count"), (clerk, "walk")):
        assert MARK in text_of(browser, pages[name]), name
    assert 'flow-differs">Frozen: lot 7</strong></span><a' in text_of(clerk, pages["recount"])


def test_transfers_movements_documents_and_alerts_mark_frozen_goods(manager: Client) -> None:
    level, plain = make_level(2, reorder_point=5), make_level(10)
    make_warehouse("wh-002")
    lines = tuple(MoveLine(each.product_id, None, 1, "wh-001", "wh-002") for each in (level, plain))
    transfers.start_transfer(TransferRequest(ACTOR, lines))
    alert = LowStockAlert.objects.create(
        level=level, severity="LOW", available=1, reorder_point=5, opened_at=timezone.now()
    )
    post(manager, at("stocklevel_receive", level.pk), quantity="1", remark="found")
    movement = Movement.objects.filter(level=level).latest("id")
    pages = [
        at("transfer_change", Transfer.objects.latest("id").pk),
        at("stockdocument_change", StockDocument.objects.latest("created_at").pk),
        at("movement_changelist"),
        at("movement_change", movement.pk),
        at("lowstockalert_change", alert.pk),
        at("lowstockalert_acknowledge", alert.pk),
    ]
    assert not any(MARK in text_of(manager, url) for url in pages)
    freeze(level.product)
    for url in pages:
        assert MARK in text_of(manager, url), url
    assert text_of(manager, pages[0]).count(f">{MARK}</span>") == 1


# ------------------------------------------------------------------------------------------------------- place labels


def test_place_label_is_no_unknown_code_on_the_pages_of_drafts(clerk: Client) -> None:
    make_level(5, zone="B", aisle="02", shelf="1")
    for draft in (begin_delivery(clerk), begin_transfer(clerk)):
        address = re.search('data-scan-url="([^"]+)"', text_of(clerk, draft))
        assert address is not None
        for code in ("wh-001/B-02-1", "b-02-1"):
            outcome = outcome_of(clerk, address[1], code)
            assert outcome["status"] == "refused"
            assert "wh-001/B-02-1 is a place" in outcome["message"]
        assert outcome_of(clerk, address[1], "B-02-9")["status"] == "unknown"
        page = clerk.post(draft, draft_form(clerk, draft) | {"do": "add", "code": "B-02-1"}, follow=True)
        assert "wh-001/B-02-1 is a place" in page.content.decode()


# ------------------------------------------------------------------------------------------------------- shared codes


def test_draft_offers_the_products_of_a_shared_code_without_scripts(clerk: Client) -> None:
    level = make_level(5, product=make_product(sku=SHARED))
    other = make_level(5, product=make_product(sku="LAMP-1", barcode=SHARED))
    for draft in (begin_delivery(clerk), begin_transfer(clerk)):
        for product in (level.product, other.product):
            given = draft_form(clerk, draft) | {"do": "review", "code": SHARED}
            answer = clerk.post(draft, given)
            asked = answer.headers["Location"]
            page = text_of(clerk, asked)
            assert f"{SHARED} is the code of several products. Which one is it?" in page
            keys = re.findall('value="choose:([^"]+)"', page)
            assert set(keys) == {str(level.product_id), str(other.product_id)}
            form = draft_form(clerk, asked) | {"do": f"choose:{product.pk}"}
            for _again in range(2):
                clerk.post(draft, form)
            page = text_of(clerk, draft)
            assert "choose:" not in page
            field = re.search(f'name="units-{product.pk}"[^>]*value="([^"]*)"', page)
            assert field is not None
            assert field[1] == "1", "sent twice, added once"
    assert ReceivingDraftLine.objects.count() == 2


def test_walk_offers_the_lines_of_a_shared_code_without_scripts(clerk: Client) -> None:
    levels = [
        make_level(5, product=make_product(sku=SHARED)),
        make_level(5, product=make_product(sku="LAMP-1", barcode=SHARED)),
    ]
    count = count_all()
    url = at("stockcount_walk", count.pk)
    given = draft_form(clerk, url) | {"counted": SHARED}
    answer = clerk.post(url, given)
    assert answer.status_code == 422
    page = answer.content.decode().split("<main", 1)[1]
    assert "Which one is it?" in page
    lines = {str(pk) for pk in StockCountLine.objects.filter(level__in=levels).values_list("pk", flat=True)}
    links = re.findall(rf'<a class="flow-link" href="([^"]+\?line=([^"]+))">[^<]*(?:{SHARED}|LAMP-1)', page)
    assert {line for _, line in links} == lines
    for address, line in links:
        assert f'value="{line}"' in text_of(clerk, address)
    assert not StockCountLine.objects.filter(counted__isnull=False).exists()

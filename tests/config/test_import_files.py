"""Who may import what, and files that can't be read."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from audit.console.imports import tables
from inventory.models import StockLevel
from tests.audit.test_tables import workbook_of
from tests.config.import_pages import BOOKINGS, LEVELS_CSV, LINES, PRODUCTS, SETTINGS, confirm, faults, look, taken
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# -------------------------------------------------------------------------------------------------- who, and what files


@pytest.mark.parametrize(
    ("group", "warehouses", "may"),
    [
        ("viewer", (), set()),
        ("warehouse", (), {BOOKINGS}),
        ("warehouse", ("wh-001",), {BOOKINGS}),
        ("manager", (), {BOOKINGS, SETTINGS, PRODUCTS}),
        ("manager", ("wh-001",), {BOOKINGS, SETTINGS}),
        ("administrator", (), {BOOKINGS, SETTINGS, PRODUCTS}),
    ],
)
def test_groups_import_what_they_may_change(group: str, warehouses: tuple[str, ...], may: set[str]) -> None:
    browser = browser_of(make_staff(group, *warehouses))
    every = {BOOKINGS, SETTINGS, PRODUCTS}
    assert {url for url in every if browser.get(url).status_code == 200} == may
    assert {url for url in every if look(browser, url, "x").status_code != 403} == may
    assert {url for url in every if browser.post(url, {"do": "import", "plan": "x"}).status_code != 403} == may
    lists = [reverse(f"admin:inventory_{name}_changelist") for name in ("stocklevel", "product")]
    linked = "".join(browser.get(url).content.decode() for url in lists)
    assert {url for url in every if f'"{url}"' in linked} == may


def test_limited_manager_sets_and_takes_away_settings_of_reach_alone() -> None:
    mine, other = make_level(1, reorder_point=1), make_level(1, "wh-009", reorder_point=1)
    browser = browser_of(make_staff("manager", "wh-001"))
    rows = [f"{row.product.sku},{row.warehouse.code},9" for row in (mine, other)]
    assert faults(look(browser, SETTINGS, "sku,warehouse,reorder_point", *rows)) == [(3, "warehouse")]
    assert b"wh-009" not in taken(browser, LEVELS_CSV)
    looked = look(browser, SETTINGS, "sku,warehouse,reorder_point", rows[0])
    confirm(browser, looked, SETTINGS)
    mine.refresh_from_db()
    assert mine.reorder_point == 9


def test_preview_is_its_readers_own_and_ends_with_the_key_that_guards_it(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(1)
    looked = look(manager, SETTINGS, "sku,warehouse,reorder_point", f"{level.product.sku},wh-001,9")
    sealed = looked.context["dialog"].sealed
    other = browser_of(make_staff("manager"))
    for browser, plan in ((other, sealed), (manager, sealed[:-2]), (manager, ""), (manager, "a:b:c")):
        answer = browser.post(SETTINGS, {"do": "import", "plan": plan})
        assert (answer.status_code, "too old" in answer.content.decode()) == (422, True)
    assert manager.post(PRODUCTS, {"do": "import", "plan": sealed}).status_code == 422
    monkeypatch.setattr("audit.console.imports.page.lifetime", lambda: timedelta(seconds=-1))
    assert manager.post(SETTINGS, {"do": "import", "plan": sealed}).status_code == 422
    level.refresh_from_db()
    assert level.reorder_point is None


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "picture": b"\x89PNG\r\n\x1a\n\x00\x00",
    "latin": "sku,warehouse,quantity,type,reason,reference,name\nGröße".encode("latin-1"),
    "wrong header": b"article,place\nA,b\n",
    "no key": b"name,reorder_point\nA,1\n",
    "formula": workbook_of(["sku", "warehouse", "name"], ["A", "wh-001", "=1+1"]),
    "broken zip": workbook_of(["sku"])[:200],
    "too wide": b",".join(b"c%d" % number for number in range(400)),
    "nul": b"sku,warehouse,name\nA\x00,b,c\n",
    "one long cell": b"sku,name,warehouse\n" + b"x" * 200_000,
    "old": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_unreadable_file_gets_a_message(manager: Client, url: str, content: bytes) -> None:
    answer = look(manager, url, content=content)
    page = answer.context["dialog"]
    assert (answer.status_code, page.step) in [(422, "choose"), (422, "faults"), (200, "columns")]
    assert answer.context["form"].errors or page.preview.faults or page.mapping.columns


def test_file_is_bounded_in_bytes_and_rows(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_level(1)
    assert manager.post(SETTINGS, {"do": "look"}).status_code == 422
    monkeypatch.setattr("audit.console.imports.page.MOST_BYTES", 100)
    answer = look(manager, PRODUCTS, "sku,name", *(f"NEW-{number},New" for number in range(20)))
    assert (answer.status_code, "larger than" in answer.content.decode()) == (422, True)
    monkeypatch.undo()
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    assert faults(look(manager, PRODUCTS, "sku,name", *(f"NEW-{number},New" for number in range(4)))) == [(5, "")]


def _settings(levels: list[StockLevel]) -> list[str]:
    return ["sku,warehouse,reorder_point", *(f"{level.product.sku},wh-001,77" for level in levels)]


def _bookings(levels: list[StockLevel]) -> list[str]:
    return [LINES, *(f"{level.product.sku},wh-001,7,RECEIPT,r," for level in levels)]


def _products(levels: list[StockLevel]) -> list[str]:
    new = [f"N{level.pk},New,{level.product.sku}" for level in levels]
    return ["sku,name,variant_of", *(f"{level.product.sku},Other," for level in levels), *new]


@pytest.mark.parametrize(("url", "lines"), [(SETTINGS, _settings), (BOOKINGS, _bookings), (PRODUCTS, _products)])
def test_statements_do_not_grow_with_the_rows(manager: Client, url: str, lines: Callable[..., list[str]]) -> None:
    counts = []
    for number in (2, 30):
        content = "\n".join(lines([make_level(1) for _ in range(number)])).encode()
        with CaptureQueriesContext(connection) as asked:
            looked = look(manager, url, content=content)
            answer = manager.post(url, {"do": "import", "plan": looked.context["dialog"].sealed})
        assert answer.status_code == 302
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_empty_file_to_begin_with_has_the_columns(manager: Client, url: str) -> None:
    page = manager.get(url)
    expected = [column.name for column in page.context["dialog"].columns if column.is_read]
    assert taken(manager, f"{url}?template=csv").decode("utf-8-sig").split() == [",".join(expected)]
    book = load_workbook(io.BytesIO(taken(manager, f"{url}?template=xlsx")))
    assert [cell.value for cell in book.active[1]] == expected

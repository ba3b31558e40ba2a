"""Imports in the background, their progress, and their documents."""

from contextlib import nullcontext
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.console.imports import page, tasks
from audit.models import FileImport
from config import bodies
from inventory.models import Movement, Product, StockDocument
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import import_stock
from tests.config.import_pages import BOOKINGS, LINES, PRODUCTS, SETTINGS, confirm, look, shown
from tests.config.import_steps import dialog, send_columns
from tests.factories import ACTOR, counters, hold, make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# --------------------------------------------------------------------------------------------------- in the background


def to_the_background(browser: Client, url: str, *lines: str) -> FileImport:
    """Upload a file that is read in the background, and have it read."""
    answer = look(browser, url, *lines)
    assert answer.status_code == 302
    file = FileImport.objects.get()
    waiting = browser.get(answer["Location"])
    assert (dialog(waiting).step, file.state) == ("working", "READING")
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    return file


def at(url: str, file: FileImport) -> str:
    return f"{url}?file={file.pk}"


@pytest.fixture
def all_in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "AT_ONCE_BYTES", 10)
    monkeypatch.setattr(page, "AT_ONCE_ROWS", 0)


@pytest.mark.usefixtures("all_in_background")
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_large_file_is_read_and_imported_in_the_background_once(manager: Client, url: str) -> None:
    level = make_level(10, reorder_point=1)
    sku = level.product.sku
    lines = {
        SETTINGS: ("sku,warehouse,reorder_point", f"{sku},wh-001,7"),
        BOOKINGS: (LINES, f"{sku},wh-001,5,RECEIPT,r,PO-1"),
        PRODUCTS: ("sku,name", f"{sku},Other", "NEW,New"),
    }[url]
    file = to_the_background(manager, url, *lines)
    looked = manager.get(at(url, file))
    assert (dialog(looked).step, dialog(looked).progress["working"]) == ("preview", False)
    for _ in range(2):
        answer = manager.post(url, {"do": "import", "plan": str(file.pk)})
        assert answer["Location"] == at(url, file)
    state = manager.get(f"{at(url, file)}&progress").json()
    assert state == {"working": True, "begun": False, "waiting": False, "done": 0, "rows": len(lines) - 1}
    for _ in range(2):
        tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert file.state == "DONE"
    assert bytes(file.content) == b""
    done = manager.get(at(url, file))
    assert dialog(done).step == "done"
    assert file.outcome in done.content.decode()
    level.refresh_from_db()
    changed = {
        SETTINGS: level.reorder_point == 7,
        BOOKINGS: level.on_hand == 15,
        PRODUCTS: Product.objects.count() == 2,
    }
    assert changed[url]
    FileImport.objects.update(state="IMPORTING")  # As if the worker had died before it could say that it was done.
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    level.refresh_from_db()
    assert (file.state, level.on_hand <= 15, Movement.objects.filter(reference="PO-1").count() <= 1) == (
        "DONE",
        True,
        True,
    )


@pytest.mark.usefixtures("all_in_background")
def test_columns_are_asked_for_after_a_large_file_was_read(manager: Client) -> None:
    level = make_level(10, reorder_point=1)
    file = to_the_background(manager, SETTINGS, "Artikel;Lager;Melde", f"{level.product.sku};wh-001;8")
    asked = manager.get(at(SETTINGS, file))
    chosen = {"column-0": "sku", "column-1": "warehouse", "column-2": "reorder_point"}
    assert send_columns(manager, SETTINGS, asked, **chosen).status_code == 302
    tasks.work_on_file(str(file.pk))
    assert shown(manager.get(at(SETTINGS, file))) == [
        (2, f"{level.product.sku}, wh-001", [("Reorder point", "1", "8")])
    ]


@pytest.mark.usefixtures("all_in_background")
def test_what_stops_a_large_import_is_shown_and_nothing_is_booked(manager: Client) -> None:
    level = make_level(10)
    sku = level.product.sku
    file = to_the_background(manager, BOOKINGS, LINES, f"{sku},wh-001,8,SHIPMENT,r,", f"{sku},wh-001,1,RECEIPT,r,")
    hold((level, 9))
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    tasks.work_on_file(str(file.pk))
    answer = manager.get(at(BOOKINGS, file))
    assert (dialog(answer).step, [fault.row for fault in dialog(answer).preview.faults]) == ("faults", [2])
    assert counters(level) == (10, 9)


@pytest.mark.usefixtures("all_in_background")
def test_who_may_not_import_any_more_imports_nothing_in_the_background(manager: Client) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    User.objects.get(username="mia").groups.set([Group.objects.get(name="viewer")])
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert (file.state, counters(level)) == ("READ", (10, 0))
    assert "no longer have permission to import this" in str(file.preview)
    assert manager.get(at(BOOKINGS, file)).status_code == 403


@pytest.mark.usefixtures("all_in_background")
def test_error_of_a_worker_ends_the_work_with_a_message(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    FileImport.objects.update(plan=b"not a plan")
    with pytest.raises(Exception, match="incorrect header"):
        tasks.work_on_file(str(file.pk))
    answer = manager.get(at(BOOKINGS, file))
    assert (dialog(answer).step, "error was logged" in answer.content.decode()) == ("again", True)


@pytest.mark.usefixtures("all_in_background")
def test_without_a_worker_the_page_says_so_and_the_work_is_sent_again(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    monkeypatch.setattr(tasks.work_on_file.app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(tasks.work_on_file.app, "_pool", None)
    assert manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)}).status_code == 302
    early = timezone.now() - timezone.timedelta(minutes=2)
    FileImport.objects.update(asked_at=early, seen_at=early)
    waiting = manager.get(at(BOOKINGS, file))
    assert dialog(waiting).progress["waiting"]
    file.refresh_from_db()
    assert file.seen_at is not None
    assert file.seen_at > early
    FileImport.objects.update(seen_at=early)
    tasks.tidy_file_imports()
    file.refresh_from_db()
    assert file.seen_at > early
    cancelled = manager.post(BOOKINGS, {"do": "cancel", "plan": str(file.pk)}, follow=True)
    assert dialog(cancelled).step == "preview"
    tasks.work_on_file(str(file.pk))
    assert counters(level) == (10, 0)
    FileImport.objects.update(created_at=timezone.now() - timezone.timedelta(days=2))
    assert tasks.tidy_file_imports() == 1


@pytest.mark.usefixtures("all_in_background")
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_progress_of_each_kind_of_file_is_reported_by_rows(
    manager: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for module in ("audit.db.statements.MOST_ROWS", "inventory.services.stock.imports.BATCH"):
        monkeypatch.setattr(module, 2)
    levels = [make_level(1, reorder_point=1) for _ in range(5)]
    header, cells = {
        SETTINGS: ("sku,warehouse,reorder_point", "wh-001,7"),
        BOOKINGS: (LINES, "wh-001,5,RECEIPT,r,PO-1"),
        PRODUCTS: ("sku,name", "Other"),
    }[url]
    file = to_the_background(manager, url, header, *(f"{level.product.sku},{cells}" for level in levels))
    manager.post(url, {"do": "import", "plan": str(file.pk)})
    seen: list[int] = []
    monkeypatch.setattr(tasks, "_progress_of", lambda _file: nullcontext(seen.append))
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert (file.state, seen) == ("DONE", [2, 4, 5])


def test_progress_is_counted_by_rows(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    levels = [make_level(1) for _ in range(6)]
    content = "\n".join([LINES, *(f"{level.product.sku},wh-001,1,RECEIPT,r," for level in levels)])
    monkeypatch.setattr("inventory.services.stock.imports.BATCH", 2)
    import_stock(ACTOR, read_file("a", content.encode()), progress=seen.append)
    assert seen == [2, 4, 6]


def test_files_of_a_person_are_few_and_their_bodies_larger_than_others(manager: Client) -> None:
    for number in range(25):
        look(manager, PRODUCTS, "sku,name", f"A{number},x")
    assert FileImport.objects.count() == 20
    assert bodies._limit_of_staff(PRODUCTS) > page.MOST_BYTES > bodies._limit_of_staff("/admin/")


def test_imported_file_has_a_document_with_its_page_and_undo_and_says_what_was_reversed(manager: Client) -> None:
    level = make_level(10)
    line = f"{level.product.sku},wh-001,5,RECEIPT,r,PO-1"
    page_text = confirm(manager, look(manager, BOOKINGS, LINES, line, name="monday.csv"), BOOKINGS).content.decode()
    document = StockDocument.objects.get()
    address = reverse("admin:inventory_stockdocument_change", args=[document.pk])
    undo = reverse("admin:inventory_stockdocument_reverse", args=[document.pk])
    assert document.pk == FileImport.objects.get().pk
    assert f'href="{address}">{document}' in page_text
    assert f'href="{undo}" data-dialog' in page_text
    assert str(document) in manager.get(at(BOOKINGS, FileImport.objects.get())).content.decode()
    shown_page = manager.get(address).content.decode()
    assert "monday.csv" in shown_page
    assert level.product.name in shown_page
    manager.post(undo, {"once": str(uuid4()), "reason": "by mistake"})
    assert counters(level) == (10, 0)
    looked = look(manager, BOOKINGS, LINES, line)
    assert "1 row was booked before and reversed since, and is imported again" in looked.content.decode()
    confirm(manager, looked, BOOKINGS)
    assert counters(level) == (15, 0)
    movement = Movement.objects.latest("created_at")
    named = StockDocument.objects.latest("created_at")
    page_of_movement = manager.get(reverse("admin:inventory_movement_change", args=[movement.pk])).content.decode()
    assert f">{named.short_number}<" in page_of_movement
    found = manager.get(reverse("admin:inventory_movement_changelist"), {"q": named.short_number})
    assert [row.pk for row in found.context["cl"].result_list] == [movement.pk]


def test_preview_asks_once_about_units_far_beyond_the_usual(manager: Client) -> None:
    level, other = make_level(10), make_level(3000)
    first, second = level.product.sku, other.product.sku
    rows = (
        f"{first},wh-001,45781,RECEIPT,r,A",
        f"{first},wh-001,1000,RECEIPT,r,B",
        f"{second},wh-001,30001,RECEIPT,r,C",
    )
    calm = f"{second},wh-001,30000,RECEIPT,r,D"
    looked = look(manager, BOOKINGS, LINES, *rows, calm)
    texts = [doubt.text for doubt in dialog(looked).doubts]
    assert [text.partition(":")[0] for text in texts] == ["Row 2", "Row 4"]
    assert "45,781, that is 45 thousand 781 units. The usual is about 10." in texts[0]
    assert "Please check: nothing has been done yet." in looked.content.decode()
    sent = {"do": "import", "plan": dialog(looked).sealed}
    for more in ({}, {"sure": "x"}):
        asked = manager.post(BOOKINGS, sent | more)
        assert (asked.status_code, counters(level)) == (422, (10, 0))
    assert "76,782" not in manager.post(BOOKINGS, sent | {"sure": dialog(asked).sure}, follow=True).content.decode()
    assert (counters(level), counters(other)) == ((46_791, 0), (63_001, 0))
    # Rows that were booked before are asked about when they are ticked. None of them is left out by accident.
    again = look(manager, BOOKINGS, LINES, *rows[:1], calm.replace(",D", ",E"))
    assert (dialog(again).doubts, dialog(again).preview.doubtful_booked) == ([], [2])
    sent = {"do": "import", "plan": dialog(again).sealed, "again": "2"}
    asked = manager.post(BOOKINGS, sent)
    assert [doubt.text.partition(":")[0] for doubt in dialog(asked).doubts] == ["Row 2"]
    assert 'name="again" value="2" checked' in asked.content.decode()
    manager.post(BOOKINGS, sent | {"sure": dialog(asked).sure})
    assert counters(level) == (46_791 + 45_781, 0)
    calm_only = look(manager, BOOKINGS, LINES, calm.replace(",D", ",F"))
    assert dialog(calm_only).doubts == []
    confirm(manager, calm_only, BOOKINGS)

"""Exports of many rows: written in the background, once, for the person who asked, as far as they may see."""

import csv
import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook
from uuid_utils.compat import uuid7

from audit.console import exports, workbooks
from audit.console.large_exports import tasks, writing
from audit.list_exports import ListExport, ListExportPiece
from audit.models import StaffAccess
from inventory.models import Movement
from tests.config.test_trails import write_movement
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

PAGE = "/admin/exports/"
own_connection = writing._own_connection
MOVEMENTS = reverse("admin:inventory_movement_export_csv")
LEVELS = reverse("admin:inventory_stocklevel_export_xlsx")


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than two rows are many, and the worker is another connection only where a test says so."""
    monkeypatch.setattr("audit.console.base.COUNTED_AT_MOST", 2)
    monkeypatch.setattr(writing, "_own_connection", lambda: nullcontext(connection))
    monkeypatch.setattr(tasks, "send", lambda export: None)


def asked(browser: Client, url: str = MOVEMENTS, **query: str) -> ListExport:
    """Ask for an export of many rows."""
    answer = browser.get(url, query)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    return ListExport.objects.order_by("-created_at")[0]


def written(export: ListExport) -> ListExport:
    """Have a worker write it."""
    tasks.write_export(str(export.pk))
    export.refresh_from_db()
    return export


def file_of(browser: Client, export: ListExport) -> bytes:
    answer = browser.get(reverse("admin:export_file", args=[export.pk, export.kind]))
    assert answer.status_code == 200
    assert export.file_name in answer["Content-Disposition"]
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def make_movements(number: int, warehouse: str = "wh-001", **fields: Any) -> None:
    level = make_level(5, warehouse)
    for _ in range(number):
        write_movement(level, timezone.now(), **fields)


def test_many_rows_are_written_once_in_pieces_with_the_filters_of_the_list(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_movements(4, reference="=cmd()")
    monkeypatch.setattr(writing, "PIECE_BYTES", 100)
    monkeypatch.setattr(exports, "ROWS_OF_CURSOR", 2)
    export = asked(manager, q="=cmd()")
    assert asked(manager, q="=cmd()") == export, "the same is not written twice at a time"
    assert (export.state, export.rows_done) == ("WRITING", 0)
    assert "Waiting for a worker" in manager.get(PAGE).content.decode()
    written(written(export))
    assert (export.state, export.rows_done, export.attempts) == ("DONE", 4, 1)
    assert export.pieces.count() > 2  # type: ignore[attr-defined]
    content = file_of(manager, export)
    assert len(content) == export.size_bytes
    rows = rows_of(content)[1:]
    keys = Movement.objects.filter(reference="=cmd()").order_by("-created_at", "-id").values_list("pk", flat=True)
    assert [row[0] for row in rows] == [str(pk) for pk in keys]
    assert {row[11] for row in rows} == {"'=cmd()"}, "formulas are guarded"
    shown = manager.get(PAGE).content.decode()
    assert reverse("admin:export_file", args=[export.pk, "csv"]) in shown
    assert "4 rows" in shown


def test_few_rows_are_answered_at_once(manager: Client) -> None:
    make_movements(1)
    answer = manager.get(MOVEMENTS)
    assert (answer.status_code, ListExport.objects.count()) == (200, 0)
    assert len(rows_of(b"".join(answer.streaming_content))) == 3  # type: ignore[attr-defined]


def test_rows_beyond_those_of_a_sheet_go_to_the_next(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_ON_A_SHEET", 2)
    levels = [make_level(1) for _ in range(5)]
    export = written(asked(manager, LEVELS))
    book = load_workbook(io.BytesIO(file_of(manager, export)), read_only=True)
    sheets = [list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets]
    assert [len(rows) for rows in sheets] == [3, 3, 2]
    assert len({rows[0] for rows in sheets}) == 1, "each sheet has the header"
    assert sorted(row[0] for rows in sheets for row in rows[1:]) == sorted(level.product.sku for level in levels)


def test_all_lists_with_exports_are_written_as_they_are_answered_at_once(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursors read what the pages of rows read: the same file, in the same order."""
    monkeypatch.setattr(exports, "ROWS_OF_CURSOR", 2)
    make_movements(3)
    for url in (
        MOVEMENTS,
        reverse("admin:audit_auditentry_export_csv"),
        reverse("admin:inventory_product_export_csv"),
        reverse("admin:inventory_stocklevel_export_csv"),
        reverse("admin:inventory_lowstockalert_export_csv"),
    ):
        with pytest.MonkeyPatch.context() as few:
            few.setattr("audit.console.base.COUNTED_AT_MOST", 10_000)
            at_once = b"".join(manager.get(url, {"day": "all"} if "audit" in url or "movement" in url else {}))
        answer = manager.get(url, {"day": "all"} if "audit" in url or "movement" in url else {})
        if answer.status_code == 302:
            assert file_of(manager, written(ListExport.objects.latest("created_at"))) == at_once


def test_who_may_not_see_a_list_any_more_gets_no_file(manager: Client) -> None:
    make_movements(4)
    before, after = asked(manager), written(asked(manager, day="all"))
    mia = User.objects.get(username="mia")
    mia.groups.set([Group.objects.get(name="viewer")])
    written(before)
    assert before.state == "FAILED"
    assert "permissions or your warehouses have changed" in manager.get(PAGE).content.decode()
    assert manager.get(reverse("admin:export_file", args=[after.pk, "csv"])).status_code == 403
    assert not before.pieces.exists()  # type: ignore[attr-defined]


def test_file_has_the_rows_of_the_warehouses_at_the_time_and_is_given_while_they_are_in_reach() -> None:
    make_movements(4), make_movements(4, "wh-009")
    user = make_staff("manager", "wh-001")
    browser = browser_of(user)
    export = written(asked(browser))
    assert {row[4] for row in rows_of(file_of(browser, export))[1:]} == {"wh-001"}
    waiting = asked(browser, day="all")
    StaffAccess.objects.filter(user=user).update(warehouse_codes=["wh-001", "wh-009"])
    assert len(rows_of(file_of(browser, export))) == export.rows_done + 1
    assert written(waiting).state == "FAILED", "what is written has one reach"
    StaffAccess.objects.filter(user=user).update(warehouse_codes=["wh-009"])
    assert browser.get(reverse("admin:export_file", args=[export.pk, "csv"])).status_code == 403


def test_exports_of_others_are_neither_shown_nor_given(manager: Client) -> None:
    make_movements(4)
    export = written(asked(manager))
    other = browser_of(make_staff("manager"))
    assert str(export.pk) not in other.get(PAGE).content.decode()
    assert other.get(f"{PAGE}?progress").json() == {}
    assert other.get(reverse("admin:export_file", args=[export.pk, "csv"])).status_code == 404
    assert other.post(reverse("admin:export_cancel", args=[export.pk])).status_code == 404
    assert manager.get(reverse("admin:export_file", args=[export.pk, "xlsx"])).status_code == 404
    assert ListExport.objects.filter(pk=export.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_and_a_cancelled_export_stops_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker reads in transactions on one connection, and writes pieces and progress on another one."""
    monkeypatch.setattr(writing, "_own_connection", own_connection)
    monkeypatch.setattr(writing, "PIECE_BYTES", 100)
    make_movements(4)
    browser = browser_of(make_staff())
    export, seen = asked(browser), []
    keep = writing.Keeper.keep

    def look_and_cancel() -> None:
        seen.append(browser.get(f"{PAGE}?progress").json()[str(export.pk)]["done"])
        if len(seen) == 3:
            assert browser.post(reverse("admin:export_cancel", args=[export.pk])).status_code == 302
        connection.close()

    def keep_and_look(keeper: Any, piece: bytes) -> None:
        keep(keeper, piece)
        with ThreadPoolExecutor(1) as browsers:
            browsers.submit(look_and_cancel).result()

    monkeypatch.setattr(writing.Keeper, "keep", keep_and_look)
    written(export)
    assert (export.state, seen) == ("CANCELLED", [0, 0, 1])
    assert not ListExportPiece.objects.exists()
    assert "Cancelled" in browser.get(PAGE).content.decode()
    browser.post(reverse("admin:export_cancel", args=[export.pk]))
    assert not ListExport.objects.exists()


def test_export_without_its_worker_says_so_and_is_written_anew_three_times(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_movements(4)
    export = asked(manager)
    sent: list[ListExport] = []
    monkeypatch.setattr(tasks, "send", sent.append)
    early = timezone.now() - timedelta(minutes=2)
    ListExport.objects.update(created_at=early)
    assert manager.get(f"{PAGE}?progress").json()[str(export.pk)]["is_stuck"]
    for attempt in range(1, 4):
        dead = uuid7()
        ListExport.objects.update(token=dead, begun_at=early, seen_at=early, attempts=attempt)
        ListExportPiece.objects.create(export=export, number=0, content=zlib.compress(b"of a worker that died"))
        shown = manager.get(PAGE).content.decode()
        assert "Another one begins the file again" in shown or "Waiting" in shown
        assert len(sent) == attempt + 1
        ListExportPiece.objects.all().delete()
    written(export)
    assert (export.state, export.failure) == (
        "FAILED",
        "The worker stopped 3 times while it wrote the file. Tell an administrator.",
    )
    ListExport.objects.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    assert manager.get(f"{PAGE}?progress").json() == {}
    assert tasks.tidy_exports() == 1


def test_worker_that_lost_its_export_to_another_writes_no_more(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_movements(4)
    export = asked(manager)
    ListExport.objects.update(token=uuid7(), begun_at=timezone.now(), seen_at=timezone.now())
    written(export)
    assert (export.state, export.pieces.count()) == ("WRITING", 0)  # type: ignore[attr-defined]
    ListExport.objects.update(token=None)
    assert written(export).state == "DONE"


def test_errors_end_an_export_with_a_message_or_are_tried_again(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_movements(4)
    export = asked(manager)

    def broken(error: Exception) -> Any:
        def raise_it(*_: Any) -> None:
            raise error

        return raise_it

    monkeypatch.setattr(writing, "require_allowed", broken(OperationalError("gone")))
    with pytest.raises(OperationalError):
        tasks.write_export(str(export.pk))
    export.refresh_from_db()
    assert export.state == "WRITING"
    monkeypatch.setattr(writing, "require_allowed", broken(ZeroDivisionError()))
    ListExport.objects.update(token=None)
    with pytest.raises(ZeroDivisionError):
        tasks.write_export(str(export.pk))
    export.refresh_from_db()
    assert (export.state, export.failure) == ("FAILED", "The export failed; the error was logged.")


@pytest.mark.parametrize(("limit", "words"), [("MOST_BYTES", "larger than 2 GiB"), ("MOST_SECONDS", "an hour")])
def test_file_has_a_limit(manager: Client, monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    make_movements(4)
    monkeypatch.setattr(writing, limit, -1)
    export = written(asked(manager))
    assert (export.state, words in export.failure) == ("FAILED", True)


def test_person_has_three_exports_at_a_time(manager: Client) -> None:
    make_movements(4)
    for day in ("7", "30", "all"):
        asked(manager, day=day)
    year = Movement.objects.latest("created_at").created_at.year
    answer = manager.get(MOVEMENTS, {"day": str(year)}, follow=True)
    assert "Wait for one of them, or cancel it" in answer.content.decode()
    assert ListExport.objects.count() == 3

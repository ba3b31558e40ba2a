"""Who may have a file read, and that nothing of it is read while a database connection is held."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from import_export.resources import Resource

from audit.console.imports import work, workbooks
from audit.console.imports.leases import reading_lease
from audit.console.imports.tables import Unreadable
from audit.db import pool
from audit.models import ReadingLease
from inventory.admin.stock import adjustment_files
from inventory.models import StockLevel
from tests.audit.test_tables import workbook_of
from tests.config.import_pages import BOOKINGS, LINES, PRODUCTS, SETTINGS, faults, look
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def a_setting(level: StockLevel) -> list[str]:
    return ["sku,warehouse,reorder_point", f"{level.product.sku},wh-001,9"]


def test_person_has_one_file_read_at_a_time(manager: Client) -> None:
    level = make_level(1)
    lines = a_setting(level)
    with reading_lease(User.objects.get(username="mia").pk):
        for url in (SETTINGS, BOOKINGS, PRODUCTS):
            answer = look(manager, url, *lines)
            assert faults(answer) == [(1, "")]
            assert "another file of yours" in unescape(answer.content.decode())
        colleague = browser_of(make_staff("manager"))
        assert look(colleague, SETTINGS, *lines).context["dialog"].step == "preview"
    assert look(manager, SETTINGS, *lines).context["dialog"].step == "preview"
    assert look(manager, SETTINGS, *lines, "x").context["dialog"].step == "faults"
    assert not ReadingLease.objects.exists()


def test_lease_of_a_process_that_was_killed_ends_by_itself() -> None:
    person = make_staff("manager").pk
    with ExitStack() as killed:
        killed.enter_context(reading_lease(person))
        (lease,) = ReadingLease.objects.all()
        assert timedelta(seconds=20) < lease.ends_at - timezone.now() < timedelta(minutes=1)
        ReadingLease.objects.update(ends_at=timezone.now() - timedelta(milliseconds=1))
        with reading_lease(person):
            killed.close()  # It wasn't killed after all: its end leaves the next one's lease alone.
            with pytest.raises(Unreadable), reading_lease(person):
                pass
    assert not ReadingLease.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_file_is_read_while_a_connection_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(1)
    browser = browser_of(make_staff("manager"))
    monkeypatch.setattr(pool, "is_pooled", lambda: True)
    held: list[bool] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            held.append(connection.connection is not None)
            return function(*arguments, **options)

        return noted

    for owner, name in (
        (work, "open_sheet"),
        (work, "table_of"),
        (workbooks, "_answer"),
        (Resource, "import_row"),
        (adjustment_files, "file_of"),
    ):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name)))
    for url, (header, *rows) in {
        SETTINGS: a_setting(level),
        BOOKINGS: [LINES, f"{level.product.sku},wh-001,7,RECEIPT,r,"],
        PRODUCTS: ["sku,name", f"{level.product.sku},Other"],
    }.items():
        table = [header.split(","), *(row.split(",") for row in rows)]
        for content in ("\n".join([header, *rows]).encode(), workbook_of(*table)):
            held.clear()
            assert look(browser, url, content=content).context["dialog"].step == "preview"
            assert len(held) >= 2
            assert not any(held), url

"""Pages of reconciliations and findings in the console."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime

from inventory.models import ReconciliationFinding, ReconciliationRun, StockLevel
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

FINDINGS = "/admin/inventory/reconciliationfinding/"


@pytest.fixture
def level() -> StockLevel:
    """The level that the findings are about."""
    return make_level(10)


def make_run(findings: int = 0, *, ago: timedelta = timedelta()) -> ReconciliationRun:
    now = timezone.now() - ago
    return ReconciliationRun.objects.create(
        started_at=now,
        finished_at=now + timedelta(seconds=3),
        scope="everything",
        actor="reconciliation",
        levels_checked=7,
        finding_count=findings,
    )


def make_finding(run: ReconciliationRun, **fields: Any) -> ReconciliationFinding:
    defaults = {"kind": "ON_HAND", "subject_id": uuid4(), "expected": 12, "actual": 10, "detail": "on hand is 10"}
    return ReconciliationFinding.objects.create(run=run, **{**defaults, **fields})


def shown(browser: Client, **asked: Any) -> set[Any]:
    return {row.pk for row in browser.get(FINDINGS, asked).context["cl"].result_list}


def test_finding_shows_subject_place_expected_and_actual_units_and_repair(level: StockLevel) -> None:
    run = make_run(2)
    left = make_finding(run, level=level)
    mended = make_finding(
        run, level=level, repaired_at=timezone.now(), repaired_by="mia", repair_reason="restored from a backup"
    )
    manager = browser_of(make_staff("manager"))
    listed = manager.get(FINDINGS).content.decode()
    for words in ("On hand against the ledger", level.product.sku, "wh-001", "-2", "Left as it was", "Corrected"):
        assert words in listed
    page = manager.get(reverse("admin:inventory_reconciliationfinding_change", args=[mended.pk])).content.decode()
    for words in ("restored from a backup", "mia", "on hand is 10"):
        assert words in page
    assert page.count(date_format(localtime(run.started_at), "DATETIME_FORMAT")) >= 1
    assert "&#x27;" not in page
    assert reverse("admin:inventory_stocklevel_change", args=[level.pk]) in page
    assert (shown(manager, repaired="no"), shown(manager, repaired="yes")) == ({left.pk}, {mended.pk})


def test_findings_are_narrowed_by_run_and_kind(level: StockLevel) -> None:
    before, last = make_run(1, ago=timedelta(days=1)), make_run(2)
    ReconciliationRun.objects.create(started_at=timezone.now(), actor="still at work")
    old = make_finding(before)
    on_hand, reserved = make_finding(last), make_finding(last, kind="RESERVED", level=level)
    manager = browser_of(make_staff("manager"))
    assert shown(manager) == {old.pk, on_hand.pk, reserved.pk}
    assert shown(manager, run="last") == {on_hand.pk, reserved.pk}
    assert shown(manager, run=before.pk) == {old.pk}
    assert shown(manager, run="no-id") == set()
    assert shown(manager, run=last.pk, kind__exact="RESERVED") == {reserved.pk}
    assert shown(manager, q=level.product.sku) == {reserved.pk}
    assert shown(manager, q=str(before.pk)) == {old.pk}


def test_dashboard_leads_to_what_the_last_run_found_and_the_list_has_as_many() -> None:
    make_finding(make_run(1, ago=timedelta(days=1)))
    last = make_run(2)
    make_finding(last)
    make_finding(last)
    manager = browser_of(make_staff("manager"))
    cards = {str(card.title): card.figures for card in manager.get("/admin/").context["cards"]}
    found, looked_at, when = cards["Reconciliation"]
    assert manager.get(found.link).context["cl"].result_count == found.value == 2
    assert str(looked_at.value) in manager.get(looked_at.link).content.decode()
    assert manager.get(when.link).context["cl"].result_count == 2


def test_manager_of_one_warehouse_sees_its_findings_alone(level: StockLevel) -> None:
    run = make_run(3)
    mine = make_finding(run, level=level)
    make_finding(run, level=make_level(1, "wh-009"))
    make_finding(run, kind="ORPHAN", expected=None, actual=None)
    limited = browser_of(make_staff("manager", "wh-001"))
    assert shown(limited) == {mine.pk}
    assert limited.get(reverse("admin:inventory_reconciliationrun_changelist")).status_code == 403
    assert browser_of(make_staff("warehouse")).get(FINDINGS).status_code == 403


def test_run_that_was_cut_off_has_no_end() -> None:
    cut_off = ReconciliationRun.objects.create(started_at=timezone.now(), actor="ada")
    manager = browser_of(make_staff("manager"))
    assert manager.get(reverse("admin:inventory_reconciliationrun_change", args=[cut_off.pk])).status_code == 200
    listed = manager.get(reverse("admin:inventory_reconciliationrun_changelist")).content.decode()
    assert "–" in listed

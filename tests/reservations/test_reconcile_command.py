"""Reconciliation by command, by the nightly task and over HTTP."""

import re
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management.base import OutputWrapper
from django.utils import timezone

from audit.roles import Role
from inventory.management.progress import progress_bar
from inventory.models import (
    Product,
    ReconciliationRun,
)
from reservations.services.bookkeeping.reconciliation import NIGHTLY, reconcile
from reservations.tasks import reconcile as task
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import (
    ACTOR,
    counters,
    make_level,
    make_product,
    make_variant,
    make_warehouse,
    receive,
    recorded,
)
from tests.reservations.reconciling import command, repair, sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# ------------------------------------------------------------------------------------------- command, task and HTTP


def test_the_command_says_that_nothing_is_wrong() -> None:
    make_level(10)
    assert command() == (0, "1 levels checked (everything), 0 findings.\n")


def test_the_command_prints_a_table_and_its_status_says_that_something_is_wrong() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    status, text = command()
    sku = Product.objects.get(pk=level.product_id).sku
    heading, row, last = text.splitlines()
    assert status == 1
    assert heading.split() == ["KIND", "SKU", "WAREHOUSE", "EXPECTED", "ACTUAL", "REPAIRED", "DETAIL"]
    assert row.split()[:6] == ["ON_HAND", sku, "wh-001", "10", "11", "no"]
    assert last == "1 levels checked (everything), 1 findings."


def test_the_command_repairs_with_a_reason_and_then_nothing_is_wrong() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    status, text = command("--repair", "--reason", "after the restore", "--actor", "olga")
    assert (status, counters(level)) == (0, (10, 0))
    assert text.endswith("1 findings, 1 repaired.\n")
    entry = recorded("inventory_stock_reconciled")[0]
    assert (entry.actor, entry.source, entry.changes["reason"]) == ("olga", "command", "after the restore")
    assert command()[0] == 0


def test_the_command_takes_a_warehouse_and_a_product_by_either_name() -> None:
    level = make_level(10)
    sku = Product.objects.get(pk=level.product_id).sku
    make_level(10, "wh-002")
    assert command("--warehouse", "wh-002")[1].startswith("1 levels checked (warehouse wh-002)")
    for name in (sku, str(level.product_id)):
        assert command("--product", name)[1].startswith(f"1 levels checked (product {sku})")
    assert command("--product", sku, "--warehouse", "wh-002")[1].startswith("0 levels")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repair"], "--reason"),
        (["--repair", "--reason", "  "], "--reason"),
        (["--reason", "why"], "--repair"),
        (["--repair", "--reason", "x" * 501], "500"),
        (["--warehouse", "nowhere"], "no warehouse nowhere"),
        (["--product", "nothing"], "no product nothing"),
        (["--actor", " "], "--actor"),
    ],
)
def test_wrong_usage_has_a_status_of_its_own_and_does_nothing(arguments: list[str], says: str) -> None:
    status, text = command(*arguments)
    assert status == 2
    assert says in text
    assert not ReconciliationRun.objects.exists()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_alone() -> None:
    screen, log = Terminal(), StringIO()
    for out in (screen, log):
        with progress_bar(OutputWrapper(out), "levels", 2000) as progress:
            progress(1000)
            progress(2000)
    assert log.getvalue() == ""
    assert re.findall(r"[\d,]+ of [\d,]+ levels", screen.getvalue())[-1] == "2,000 of 2,000 levels"
    assert screen.getvalue().endswith("\r\033[K")


def test_the_nightly_task_repairs_nothing_and_says_how_much_is_wrong() -> None:
    from config.celery import app  # noqa: PLC0415 - the settings must be ready

    level = make_level(10)
    assert task() == 0
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    assert (task(), counters(level)) == (1, (11, 0))
    assert ReconciliationRun.objects.latest("started_at").actor == NIGHTLY.name
    assert app.conf.beat_schedule["reconcile"]["task"] == task.name


def test_over_http_the_last_finished_run_and_its_findings(api: Api) -> None:
    assert api.get("reconciliation").json() == {"run": None, "items": [], "next": None}  # type: ignore[attr-defined]
    parent = make_product()
    level, variant = make_level(10), receive(make_variant(parent), 10)
    reconcile(ACTOR)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    run = reconcile(ACTOR)
    ReconciliationRun.objects.create(started_at=timezone.now(), actor="not finished")
    first = api.get("reconciliation?limit=1").json()  # type: ignore[attr-defined]
    assert first["run"]["reconciliationId"] == str(run.id)
    assert (first["run"]["findingCount"], first["run"]["levelsChecked"], first["run"]["scope"]) == (2, 2, "everything")
    second = api.get(f"reconciliation?limit=1&cursor={first['next']}").json()  # type: ignore[attr-defined]
    assert second["next"] is None
    items = {item["subjectId"]: item for item in first["items"] + second["items"]}
    assert set(items) == {str(level.id), str(variant.id)}
    of_variant = items[str(variant.id)]
    assert (of_variant["productId"], of_variant["variantId"]) == (str(parent.id), str(variant.product_id))
    assert (of_variant["expected"], of_variant["actual"], of_variant["warehouseId"]) == (10, 11, "wh-001")
    assert "repairedAt" not in of_variant
    repair()
    (one, _) = api.get("reconciliation?kind=ON_HAND").json()["items"]  # type: ignore[attr-defined]
    assert (one["repairedBy"], one["repairReason"]) == ("tests", "drill")
    assert api.get("reconciliation?kind=RESERVED").json()["items"] == []  # type: ignore[attr-defined]


def test_over_http_for_managers_of_all_stores_alone(make_api: Callable[..., Api]) -> None:
    make_warehouse()
    problem(make_api(Role.WAREHOUSE).get("reconciliation"), 403, "permission_denied")
    problem(make_api(Role.MANAGER, stores=("main",)).get("reconciliation"), 403, "permission_denied")

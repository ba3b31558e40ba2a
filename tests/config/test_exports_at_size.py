"""Exports that are made during the request apply the filters of a list once, however many rows are read at a time."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.console import exports
from audit.db.lookups import among
from inventory.models import StockLevel
from inventory.services.low_stock import alerts as low_stock
from tests.config.test_trails import write_movement
from tests.factories import make_level, make_product, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def make_low(number: int) -> list[str]:
    """Make low levels with open alerts. Returns their SKUs in order."""
    levels = [receive(make_product(), 1, "wh-001") for _ in range(number)]
    StockLevel.objects.filter(pk__in=[level.pk for level in levels]).update(reorder_point=5, max_stock_level=20)
    low_stock.raise_missed()
    return sorted(level.product.sku for level in levels)


def read(browser: Client, name: str, **asked: str) -> tuple[list[list[str]], list[str]]:
    """The rows of an export, and its statements."""
    with CaptureQueriesContext(connection) as caught:
        answer: Any = browser.get(reverse(f"admin:{name}_export_csv"), asked)
        content = b"".join(answer.streaming_content)
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:], [query["sql"] for query in caught]


@pytest.mark.parametrize(
    "case",
    [
        ("inventory_stocklevel", {"severity": "any"}, '"may_be_low"', 1),
        ("inventory_lowstockalert", {}, '"resolved_at" IS NULL', 4),
        ("inventory_movement", {"type__exact": "RECEIPT", "day": "all"}, "'RECEIPT'", 1),
        ("inventory_product", {"is_active__exact": "1"}, 'AND "inventory_product"."is_active"', 1),
    ],
)
def test_rows_of_an_export_are_looked_for_once_however_many_are_read_at_a_time(
    manager: Client, monkeypatch: pytest.MonkeyPatch, case: tuple[str, dict[str, str], str, int]
) -> None:
    """Each case is a list, its filters, their condition in SQL, and the number of statements for each batch."""
    name, asked, condition, of_each_batch = case
    make_low(7)
    make_level(50)
    found = []
    for at_a_time in (1000, 2):
        monkeypatch.setattr(exports, "_BATCH", at_a_time)
        found.append(read(manager, name, **asked))
    (rows, few), (same, many) = found
    assert rows == same
    assert len(rows) >= 7
    looked = [[sql for sql in statements if condition in sql and "COUNT(" not in sql] for statements in (few, many)]
    assert len(looked[0]) == len(looked[1]) > 0, looked[1]
    batches = -(-len(rows) // 2)
    assert len(many) - len(few) == (batches - 1) * of_each_batch


def test_order_and_rows_of_an_export_are_those_of_its_list(manager: Client) -> None:
    skus = make_low(5)
    make_level(50)
    rows, _ = read(manager, "inventory_stocklevel", severity="any")
    assert [row[0] for row in rows] == skus


def test_ids_of_a_batch_are_one_parameter(manager: Client) -> None:
    level = make_level(5)
    moved = write_movement(level, timezone.now())
    one = type(moved).objects.filter(among("level", [level.pk]))
    several = type(moved).objects.filter(among("level", [level.pk, make_level(5).pk, moved.pk]))
    assert moved in one
    assert moved in several
    assert not StockLevel.objects.filter(among("pk", [])).exists()
    statements = [rows.query.sql_with_params() for rows in (one, several)]
    assert statements[0][0] == statements[1][0]
    assert len(statements[0][1]) == len(statements[1][1])

"""The command that imports stock changes from a file, and products by their codes."""

import io
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from inventory.models import Product
from tests.factories import (
    counters,
    make_level,
    make_product,
    make_warehouse,
    recorded,
)
from tests.inventory.import_files import HEADER, command, on_hand, places, run, sku

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "stock.csv"


def test_the_command_imports_and_says_how_much(csv: Path) -> None:
    level = make_level(10)
    csv.write_text(f"{HEADER}\n{sku(level)},wh-001,1,RECEIPT,r,\n")
    assert command(str(csv), "--dry-run") == (0, "1 lines would be applied.\n", "")
    assert counters(level) == (10, 0)
    assert command(str(csv), "--actor", "olga") == (0, "1 lines applied.\n", "")
    assert recorded("inventory_stock_adjusted")[-1].actor == "olga"
    assert command(str(csv)) == (0, "0 lines applied, 1 imported before.\n", "")
    assert counters(level) == (11, 0)


def test_the_command_prints_every_bad_cell_with_file_row_and_column(csv: Path) -> None:
    level = make_level(10)
    csv.write_text(f"{HEADER}\n{sku(level)},wh-001,1,RECEIPT,r,\nA,wh-001,0,RECEIPT,,\n")
    status, out, errors = command(str(csv))
    assert (status, counters(level)) == (1, (10, 0))
    assert out == "0 lines applied, 1 bad: none is applied unless all are good (--skip-bad).\n"
    assert errors.splitlines() == [f"{csv}:3 reason is empty", f"{csv}:3 quantity must not be 0"]
    status, out, _ = command(str(csv), "--skip-bad")
    assert (status, out, counters(level)) == (1, "1 lines applied, 1 bad.\n", (11, 0))


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(10)
    content = f"{HEADER}\n{sku(level)},wh-001,1,RECEIPT,r,\nB,wh-001,1,RECEIPT,r,\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert command("-", "--skip-bad") == (1, "1 lines applied, 1 bad.\n", "stdin:3 sku there is no product B\n")
    assert counters(level) == (11, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["nowhere.csv"], "nowhere.csv can't be read"), (["."], "can't be read"), (["-", "--actor", ""], "--actor")],
)
def test_wrong_usage_has_a_status_of_its_own(arguments: list[str], says: str) -> None:
    status, _, errors = command(*arguments)
    assert status == 2
    assert says in errors


def test_too_large_a_file_is_refused(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inventory.management.commands.import_stock._MOST_BYTES", 10)
    csv.write_text(HEADER)
    status, _, errors = command(str(csv))
    assert (status, "split it" in errors) == (2, True)


# ------------------------------------------------------------------------------------------------------------ the SKUs


def test_a_sku_is_found_in_any_case() -> None:
    product = make_product(sku="Shirt-Ä")
    make_warehouse()
    assert run("shirt-ä,wh-001,1,RECEIPT,r,a", "SHIRT-A\u0308\u00a0,wh-001,2,RECEIPT,r,b").applied == 2
    assert on_hand(product) == 3


def test_a_sku_of_several_products_is_asked_for_unless_one_spells_it_so() -> None:
    make_warehouse()
    older, younger = make_product(sku="F12"), make_product()
    Product.objects.filter(pk=younger.pk).update(sku="F12\u200b", sku_key="f12", sku_twin=1)
    assert places(run("f12,wh-001,1,RECEIPT,r,").bad) == [(2, "sku")]
    assert run("F12,wh-001,1,RECEIPT,r,").applied == 1
    assert on_hand(older) == 1


def test_the_barcode_of_another_product_does_not_stand_in_for_a_sku() -> None:
    make_warehouse()
    product = make_product(sku="4006381333931")
    make_product(barcode="4006381333931")
    assert run("4006381333931,wh-001,1,RECEIPT,r,").applied == 1
    assert on_hand(product) == 1


def test_the_command_ships_frozen_goods_only_with_a_reason(csv: Path) -> None:
    frozen, plain = make_level(10), make_level(10)
    Product.objects.filter(pk=frozen.product_id).update(frozen_at=timezone.now(), freeze_reason="lot 7")
    rows = [f"{sku(plain)},wh-001,2,SHIPMENT,x,", f"{sku(frozen)},wh-001,3,SHIPMENT,x,"]
    csv.write_text(
        "\n".join([HEADER, *rows, f"{sku(frozen)},wh-001,1,RECEIPT,x,", f"{sku(frozen)},wh-001,-1,ADJUSTMENT,x,"])
    )
    for options in ((), ("--dry-run",)):
        status, _, errors = command(str(csv), *options)
        assert status == 1
        assert "stock.csv:3 sku" in errors
        assert "is frozen" in errors
        assert "--freeze-override" in errors
        assert on_hand(frozen.product) == on_hand(plain.product) == 10
    assert command(str(csv), "--freeze-override", " ")[0] == 2
    assert command(str(csv), "--freeze-override", "x" * 301)[0] == 2
    assert command(str(csv), "--freeze-override", "back to the maker", "--dry-run")[0] == 0
    assert on_hand(frozen.product) == 10
    status, out, _ = command(str(csv), "--freeze-override", "back to the maker")
    assert (status, "4 lines applied" in out) == (0, True)
    assert (on_hand(plain.product), on_hand(frozen.product)) == (8, 7)
    kept = [entry.changes for entry in recorded("inventory_stock_adjusted") if "freezeOverride" in entry.changes]
    assert [(entry["type"], entry["freezeOverride"]) for entry in kept] == [("SHIPMENT", "back to the maker")]


def test_a_bad_line_of_frozen_goods_is_skipped_like_others(csv: Path) -> None:
    frozen, plain = make_level(10), make_level(10)
    Product.objects.filter(pk=frozen.product_id).update(frozen_at=timezone.now(), freeze_reason="lot 7")
    csv.write_text("\n".join([HEADER, *(f"{sku(level)},wh-001,2,SHIPMENT,x," for level in (plain, frozen))]))
    status, out, _ = command(str(csv), "--skip-bad")
    assert (status, "1 lines applied" in out) == (1, True)
    assert (on_hand(plain.product), on_hand(frozen.product)) == (8, 10)

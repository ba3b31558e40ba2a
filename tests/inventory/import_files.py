"""Helpers for tests that import files of stock changes."""

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from audit.console.imports.tables import RowFault
from inventory.models import Product, StockLevel
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.imports import Imported, import_stock
from tests.factories import (
    ACTOR,
)

HEADER = ",".join(COLUMNS)


def file_of(*lines: str, header: str = HEADER) -> ImportFile:
    return read_file("stock.csv", "\n".join([header, *lines]).encode())


def sku(level: StockLevel) -> str:
    return Product.objects.get(pk=level.product_id).sku


def run(*lines: str, **options: Any) -> Imported:
    return import_stock(ACTOR, file_of(*lines), **options)


def places(bad: tuple[RowFault, ...]) -> list[tuple[int, str]]:
    return [(cell.row, cell.column) for cell in bad]


def on_hand(product: Product, warehouse: str = "wh-001") -> int:
    return StockLevel.objects.get(product=product, warehouse__code=warehouse).on_hand


# --------------------------------------------------------------------------------------------------------- the command


def command(*arguments: str) -> tuple[int, str, str]:
    """Run the command. Returns its exit status, stdout and stderr."""
    out, errors = StringIO(), StringIO()
    try:
        call_command("import_stock", *arguments, stdout=out, stderr=errors)
    except SystemExit as exit_:
        return int(exit_.code or 0), out.getvalue(), errors.getvalue()
    except CommandError as error:
        return error.returncode, "", str(error)
    return 0, out.getvalue(), errors.getvalue()

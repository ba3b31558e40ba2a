"""`python -m benchmarks.importing service|plain FILE`: import a CSV file, in a process of its own, and time it."""

import io
import json
import sys
import time
from pathlib import Path

import django

from benchmarks.subject import SKUS


def write_csv(file: Path, lines: int) -> None:
    """Write a CSV file of receipts with this number of lines, for the products in turn."""
    with file.open("w") as opened:
        opened.write("sku,warehouse,quantity,type,reason,reference\n")
        for number in range(lines):
            product = 1 + number * 3989 % SKUS
            opened.write(f"SKU-{product},wh-001,{1 + number % 5},RECEIPT,delivery,PO-{number // 100}\n")


def main() -> None:
    """Import and print the seconds it took. The caller reads the number of applied lines from the tables."""
    django.setup()
    contestant, file = sys.argv[1:]
    started_at = time.perf_counter()
    if contestant == "plain":
        from benchmarks.plain.services import import_stock  # noqa: PLC0415 - of one of two projects

        import_stock(Path(file), "benchmark")
    else:
        from django.core.management import call_command  # noqa: PLC0415 - needs no database for the other one

        call_command("import_stock", file, stdout=io.StringIO())
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started_at}) + "\n")


if __name__ == "__main__":
    main()

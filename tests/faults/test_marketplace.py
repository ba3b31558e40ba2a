"""The example of docs/guides/marketplace.md keeps a copy that equals the stock, though it is killed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.house import REPOSITORY, House, Load, Web, call, eventually

EXAMPLE = REPOSITORY / "docs/guides/marketplace/replica.py"
_SELLABLE = """
SELECT product_id || ' ' || warehouse.code, greatest(available - min_stock_level, 0)
FROM inventory_stocklevel level JOIN inventory_warehouse warehouse ON warehouse.id = warehouse_id
"""


@pytest.fixture
def web(house: House) -> Iterator[Web]:
    web = Web(house)
    yield web
    web.kill()


class Example:
    """A process of the example, with its file."""

    def __init__(self, house: House, folder: Path) -> None:
        self.file, self.output = folder / "replica.json", folder / "output"
        self._environment = {
            "PATH": os.defpath,
            "ADDRESS": f"http://127.0.0.1:{house.port}",
            "TOKEN": house.token,
            "STORE": "main",
            "REPLICA_FILE": os.fspath(self.file),
        }
        self.start()

    def start(self) -> None:
        with self.output.open("ab") as output:
            command = [sys.executable, os.fspath(EXAMPLE)]
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def copy(self) -> dict[str, int]:
        """What the file has: sellable units by product and warehouse."""
        if not self.file.exists():
            return {}
        _, _, levels = json.loads(self.file.read_text())
        return {
            f"{article} {warehouse}": level["sellable"]
            for article, warehouses in levels.items()
            for warehouse, level in warehouses.items()
        }

    def printed(self) -> dict[str, int]:
        """The last units that were printed, by product and warehouse."""
        lines = [line.split() for line in self.output.read_text().splitlines() if not line.startswith("Starting")]
        return {f"{article} {warehouse}": int(units) for article, warehouse, units in lines}


def sellable_in(house: House) -> dict[str, Any]:
    """The sellable units of the database, by product and warehouse."""
    with house.database() as database:
        return dict(database.execute(_SELLABLE).fetchall())


def test_the_replica_equals_the_stock(house: House, web: Web, tmp_path: Path) -> None:
    sellable = partial(sellable_in, house)

    def settles(units: Callable[[], dict[str, Any]] = sellable) -> None:
        eventually(
            lambda: example.copy() == units() == example.printed(),
            f"the copy, which printed {example.output.read_text()[-2000:]}",
        )

    with Load(house) as load:
        load.run(0.2)
        example = Example(house, tmp_path)
        for _ in range(3):
            load.run(0.5)
            example.kill()
            example.start()
        load.run(0.5)
        web.kill()
        web.start()
        load.run(0.5)
    assert not load.failures
    settles()

    product = house.products[0]
    path = f"/api/v1/products/{product}"
    assert call(house, "POST", f"{path}/freeze", {"reason": "a recall"})[0] == 200
    settles(lambda: sellable() | {f"{product} wh-001": 0})
    assert call(house, "POST", f"{path}/unfreeze", {"reason": "false alarm"})[0] == 200
    settles()

    example.kill()
    cursor, products, levels = json.loads(example.file.read_text())
    levels[product]["wh-001"] = {"version": 0, "sellable": -1}  # As if events were missing.
    example.file.write_text(json.dumps([cursor, products, levels]))
    line = {"productId": product, "warehouseId": "wh-001", "quantity": 1, "type": "RECEIPT", "reason": "new"}
    assert call(house, "PUT", "/api/v1/inventory/adjust", {"adjustments": [line]})[0] == 200
    example.start()
    settles()
    assert "Starting anew" in example.output.read_text()
    example.kill()

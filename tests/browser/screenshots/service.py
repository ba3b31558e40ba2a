"""The demonstration whose pages the pictures show, and a day's work in it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reservations.management.demo_catalogue import product_id
from tests.browser.screenshots import ROOT

_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Service:
    """A demonstration that runs: its address, the password of all its accounts, and tokens by role."""

    address: str
    password: str
    tokens: dict[str, str]

    def call(self, method: str, path: str, body: Any, role: str = "manager") -> Any:
        """Call the API. Returns the answer; raises HTTPError for a refusal."""
        request = urllib.request.Request(
            f"{self.address}/api/v1/inventory/{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.tokens[role]}", "Content-Type": "application/json"},
            method=method,
        )
        with _OPENER.open(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def demonstration() -> Iterator[Service]:
    """`python -m config.demo` on a free loopback port, with data of its own, which are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="inventory-screenshots-"))
    # The servers may run under another account, which needs access to the folder.
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.defpath,
        "DATA_DIR": os.fspath(folder / "var"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEBUG": "true",
        # Ends with this process, as it does with make.
        "MAKELEVEL": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.demo", "--env-file", os.fspath(folder / "var" / "demo.env")],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", process, folder / "log")
        credentials = json.loads((folder / "var" / "demo.json").read_text())
        yield Service(f"http://127.0.0.1:{port}", credentials["staff"]["password"], credentials["tokens"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        deadline = time.monotonic() + 20
        while (folder / "var" / "embedded.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), _OPENER.open(address, timeout=5):
            return
        time.sleep(0.1)
    sys.exit(f"The service did not start:\n{log.read_text(errors='replace')}")


def work(service: Service) -> None:
    """Make a day's documents: transfers in several states, an open count, a loss that breaks a hold."""
    way = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}

    def transfer(*lines: tuple[str, int], **more: Any) -> str:
        items = [{"productId": str(product_id(sku)), "quantity": quantity, **way} for sku, quantity in lines]
        return str(service.call("POST", "transfer", {"items": items, **more})["transferId"])

    arrived = transfer(("PILLOW-AIR", 4), ("COVER-65", 2), reference="TR-0411")
    service.call("POST", f"transfer/{arrived}/receive", {})
    partly = transfer(("BOTTLE-750", 24), ("SPORK", 20), ("MUG-TI", 4), reference="TR-0412")
    items = [{"productId": str(product_id("BOTTLE-750")), "quantityReceived": 18}]
    service.call("POST", f"transfer/{partly}/receive", {"items": items})
    transfer(("PEGS-10", 30), ("TARP-3X3", 3), reference="TR-0413")
    transfer(("SOCK-HIKE-36-38", 10), reference="TR-0414", draft=True)

    scope = {"warehouseId": "wh-001", "scope": "ZONE", "recountShare": 0.1}
    count = service.call("POST", "counts", {**scope, "zone": "G"})["countId"]
    for sku, counted in (("COMPASS", 11), ("FIRST-AID", 30), ("KNIFE", 12)):
        line = {"productId": str(product_id(sku)), "counted": counted}
        service.call("PUT", f"counts/{count}/lines", {"lines": [line]})

    lines = [{"productId": str(product_id(sku))} for sku in ("TENT-4P", "GAS-450")]
    short = service.call("POST", "counts", {"warehouseId": "wh-001", "scope": "PRODUCTS", "products": lines})["countId"]
    for line, counted in zip(lines, (0, 30), strict=True):
        service.call("PUT", f"counts/{short}/lines", {"lines": [{**line, "counted": counted}]})
    for sku, sold in (("JKT-RAIN-L", 2), ("BOOT-MID-42", 1), ("PACK-22-Green", 3), ("MAT-FOAM", 2), ("POT-1L", 14)):
        line = {"productId": str(product_id(sku)), "warehouseId": "wh-001", "quantity": sold, "type": "SHIPMENT"}
        service.call("PUT", "adjust", {"adjustments": [{**line, "reason": "sold at the counter"}]})
    loss = {"productId": str(product_id("PACK-65")), "warehouseId": "wh-001", "quantity": -1, "type": "ADJUSTMENT"}
    service.call("PUT", "adjust", {"adjustments": [{**loss, "reason": "torn by the forklift", "force": True}]})

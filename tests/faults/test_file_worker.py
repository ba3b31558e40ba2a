"""A large file through a web server, Redis and a worker, each a process as in the demonstration."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from audit.console.imports.page import AT_ONCE_BYTES, AT_ONCE_ROWS
from config import demo
from tests.books import assert_books_balance
from tests.faults.house import PATIENCE_SECONDS, REPOSITORY, House, Web, eventually

PAGE = "/admin/inventory/stocklevel/import-changes/"
ROWS = AT_ONCE_ROWS + 1
BOUNDARY, TOKEN = "the-end-of-a-part", "t" * 32
_CLERK = """
import django, json
django.setup()
from inventory.models import Product
from tests.staff import browser_of, make_staff
session = browser_of(make_staff("warehouse", "wh-001", name="clerk")).cookies["sessionid"].value
print(json.dumps({"session": session, "sku": Product.objects.first().sku}))
"""


@contextmanager
def worker(house: House) -> Iterator[None]:
    """The worker of the demonstration, without its scheduler: nothing sends lost messages again."""
    command = demo.commands("127.0.0.1", house.port, house.data_dir)["worker"]
    process = subprocess.Popen(
        [sys.executable, "-m", "config.demo", "run", str(os.getpid()), *command],
        cwd=REPOSITORY,
        env=house.environment(),
    )
    try:
        yield
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def ask(house: House, session: str, path: str, **fields: str) -> tuple[int, str, str]:
    """Send a GET, or a form with these fields. Returns status, Location and body."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE_SECONDS)
    headers = {"Cookie": f"sessionid={session}; csrftoken={TOKEN}", "X-CSRFToken": TOKEN}
    names = {name: f'"{name}"; filename="big.csv"' if name == "file" else f'"{name}"' for name in fields}
    parts = [
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={names[name]}\r\n\r\n{value}\r\n"
        for name, value in fields.items()
    ]
    headers |= {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if fields else {}
    body = "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode() if fields else None
    with closing(connection):
        connection.request("POST" if fields else "GET", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()


def test_large_file_is_read_and_booked_by_the_worker_and_its_progress_is_shown(house: House) -> None:
    known = json.loads(house.python("-c", _CLERK))
    session, reason = known["session"], "r" * (AT_ONCE_BYTES // ROWS)
    lines = (f"{known['sku']},wh-001,1,RECEIPT,{reason},PO-{number}" for number in range(ROWS))
    content = "\n".join(["sku,warehouse,quantity,type,reason,reference", *lines])
    web = Web(house)
    try:
        with worker(house):
            status, address, _ = ask(house, session, PAGE, do="look", file=content)
            assert status == 302
            assert f"{ROWS:,}" in ended(house, session, address)[1]
            plan = re.search(r"file=([\w-]+)", address)
            assert plan
            assert ask(house, session, PAGE, do="import", plan=plan[1])[:2] == (302, address)
            states, page = ended(house, session, address)
            assert f"{ROWS:,} rows booked" in page
            assert {state["rows"] for state in states[:-1]} <= {ROWS}
    finally:
        web.kill()
    with house.database() as database:
        assert_books_balance(database)
        assert database.execute("SELECT count(*) FROM inventory_movement WHERE reference LIKE 'PO-%'").fetchone() == (
            ROWS,
        )


def ended(house: House, session: str, address: str) -> tuple[list[dict[str, Any]], str]:
    """Wait until the worker has ended. Returns what the page asked for meanwhile, and the page then."""
    states: list[dict[str, Any]] = []

    def is_done() -> bool:
        states.append(json.loads(ask(house, session, f"{address}&progress")[2]))
        return not states[-1]["working"]

    eventually(is_done, "the worker")
    assert states[-1]["begun"], states
    return states, ask(house, session, address)[2]

"""A complete service for tests: servers in a folder of their own, a web server, and callers who retry."""

import atexit
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import environ
import psycopg
import pytest
from psycopg.types.json import Jsonb

from config import demo, embedded

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS: Final = 60.0
# Committed rows survive a killed server, but not a power cut.
_POSTGRES: Final = "-c fsync=off -c full_page_writes=off"
_INSERT_EVENT: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload) VALUES (%s, 'test', 'k', 'TestEvent', %s)
"""
_SEED: Final = """
import django, json
django.setup()
from audit.authentication import issue_token
from tests.factories import make_client, make_level, make_store
make_store("main", "wh-001")
levels = [make_level(100000) for _ in range(4)]
print(json.dumps({"token": issue_token(make_client()), "products": [str(level.product_id) for level in levels]}))
"""


class House:
    """Servers of their own, migrated, with four products of 100,000 units each.

    ``postgres_options`` are added to PostgreSQL's command line. The database is a copy of one that is made once in this
    process (``_first``); only that one is migrated.
    """

    def __init__(self, postgres_options: str = "", *, is_first: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="inventory faults "))
        self.folder.chmod(0o711)
        self.data_dir = self.folder / "var"
        if not is_first:
            self.data_dir.mkdir()
            subprocess.run(["cp", "-a", _first().data_dir / "postgres", self.data_dir], check=True)
        urls = embedded.urls(
            self.data_dir, postgres=True, redis=True, postgres_options=f"{_POSTGRES} {postgres_options}"
        )
        self.urls = {"DATABASE_URL": str(urls.database_url), "REDIS_URL": str(urls.redis_url)}
        self._seed: dict[str, Any] = self._make_seed() if is_first else _first()._seed
        self.token: str = self._seed["token"]
        self.products: list[str] = self._seed["products"]
        self.port = free_port()

    def _make_seed(self) -> dict[str, Any]:
        self.python("manage.py", "migrate", "--verbosity", "0", seconds=4 * PATIENCE_SECONDS)
        return dict(json.loads(self.python("-c", _SEED)))

    def close(self) -> None:
        """Stop the servers and delete the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop the servers."""
        facts = self.status()
        embedded.leave(self.data_dir)
        os.kill(facts["supervisor_pid"], signal.SIGTERM)
        eventually(lambda: not (self.data_dir / "embedded.json").exists(), "the servers to stop")

    def status(self) -> dict[str, Any]:
        """The content of embedded.json."""
        facts: dict[str, Any] = json.loads((self.data_dir / "embedded.json").read_text())
        return facts

    def environment(self, **more: str) -> dict[str, str]:
        """The environment for processes of this service."""
        return {
            "PATH": os.defpath,
            "DATA_DIR": os.fspath(self.data_dir),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DEBUG": "true",
            "LOG_LEVEL": "ERROR",
            **self.urls,
            **more,
        }

    def python(self, *arguments: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Run Python. Returns its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write_event(self, text: str) -> None:
        """Write an event with this text in its payload."""
        with self.database() as database:
            database.execute(_INSERT_EVENT, [uuid4(), Jsonb({"text": text})])

    @contextmanager
    def database(self) -> "Iterator[psycopg.Connection[Any]]":
        """A connection for checks."""
        parsed = environ.Env.db_url_config(self.urls["DATABASE_URL"])
        with psycopg.connect(host=parsed["HOST"], user=parsed["USER"], dbname=parsed["NAME"], autocommit=True) as own:
            yield own


@cache
def _first() -> House:
    """A house whose servers have stopped, and whose database the others copy."""
    first = House(is_first=True)
    first.stop()
    atexit.register(shutil.rmtree, first.folder, ignore_errors=True)
    return first


class Web:
    """The web server, started as in the demonstration; ``application`` is another one to serve."""

    def __init__(self, house: House, *, application: str = "config.asgi:application", **environment: str) -> None:
        self.house = house
        self._application = application
        self._environment = environment
        self.output = house.folder / f"web-{uuid4()}.log"
        self.start()

    def start(self) -> None:
        """Start and wait until it is ready."""
        command = demo.commands("127.0.0.1", self.house.port, self.house.data_dir)["web"]
        command += ["--application", self._application]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.demo", "run", str(os.getpid()), *command],
                cwd=REPOSITORY,
                env=self.house.environment(**self._environment),
                stdout=output,
                stderr=output,
            )
        eventually(self._is_ready, f"the web server, which said {self.output.read_text()!r}")

    def kill(self) -> None:
        """Kill the server with kill -9. Its workers end with it."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        eventually(self._is_port_free, "the workers to end")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        try:
            return call(self.house, "GET", "/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _is_port_free(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.house.port)) != 0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(port: int, path: str) -> int:
    """The status of an answer to a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def eventually(happened: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until it has happened. Fails after a bounded time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def call(
    house: House, method: str, path: str, body: Any = None, *, key: str | None = None, seconds: float = 15
) -> tuple[int, Any, str]:
    """Send a request. Returns status, body and content type."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=seconds)
    headers = {"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null"), response.headers.get("Content-Type", "")


@dataclass
class Load:
    """Callers who hold, sell, extend and release, with idempotency keys, and repeat unanswered requests."""

    house: House
    threads: int = 6
    held: dict[str, str] = field(default_factory=dict)
    """Acknowledged reservations, by cart."""
    ended: dict[str, str] = field(default_factory=dict)
    """The acknowledged final statuses, by reservation."""
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._shop, args=(n,), daemon=True) for n in range(self.threads)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), (self.answers, self.failures)

    def run(self, seconds: float) -> None:
        """Run the callers until all are working, and then for some seconds."""
        enough = len(self.held) + 10
        eventually(lambda: len(self.held) >= enough or bool(self.failures), "holds to be acknowledged")
        time.sleep(seconds)

    def _shop(self, number: int) -> None:
        chance = random.Random(number)
        while not self._stop.is_set() and not self.failures:
            cart = f"cart-{uuid4()}"
            products = chance.sample(self.house.products, 2)
            items = [{"productId": product, "quantity": chance.randint(1, 3)} for product in products]
            status, body = self._insist("POST", "reserve", {"cartId": cart, "items": items})
            if status != 201:
                self.failures.append(f"reserve: {status} {body}")
                return
            self.held[cart] = body["reservationId"]
            self._go_on(chance.choice(["consume", "release", "extend", "nothing", "basket"]), cart, items)

    def _go_on(self, verb: str, cart: str, items: list[dict[str, Any]]) -> None:
        mine = {"reservationId": self.held[cart]}
        calls: dict[str, tuple[str, str, dict[str, Any]]] = {
            "consume": ("POST", "consume", {**mine, "orderId": f"order-of-{cart}"}),
            "release": ("POST", "release", mine),
            "extend": ("POST", "extend", mine),
            "basket": ("PUT", f"carts/{cart}", {"items": [{**item, "quantity": 2} for item in items]}),
        }
        if verb in calls:
            status, body = self._insist(*calls[verb])
            dead = body.get("code") == "reservation_expired" or body.get("status") == "EXPIRED"
            if status != 200 and not dead and not (verb == "basket" and status == 201):
                self.failures.append(f"{verb}: {status} {body}")
            elif verb in {"consume", "release"}:
                self.ended[cart] = "EXPIRED" if dead else {"consume": "CONSUMED", "release": "RELEASED"}[verb]

    def _insist(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        key = str(uuid4())
        full = path if path.startswith("/") else f"/api/v1/inventory/{path}"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                status, answer, kind = call(self.house, method, full, body, key=key)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                self.answers["lost"] += 1
                time.sleep(0.05)
                continue
            self.answers[f"{status} {answer.get('code', '') if status >= 400 else ''}".strip()] += 1
            if status >= 400 and (kind != "application/problem+json" or status == 500):
                self.failures.append(f"{path}: {status} {kind} {answer}")
                return status, answer
            if status != 503 and answer.get("code") != "idempotency_in_progress":
                return status, answer
            time.sleep(0.05)
        self.failures.append(f"{path}: no answer within {PATIENCE_SECONDS} s")
        return 0, {}

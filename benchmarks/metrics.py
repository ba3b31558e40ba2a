"""`python -m benchmarks.metrics [--turns N]`: the cost of metrics in CPU time of Python and PostgreSQL per hot reserve.

One process answers requests of its own through the ASGI application, as many at a time as connections would be open,
and switches metrics off and on from turn to turn: what else the machine does disturbs both alike.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from benchmarks.cluster import Cluster, free_port, processes
from benchmarks.cpu import spent_seconds
from benchmarks.service import Service

_CONNECTIONS: Final = 16
_SCRAPES: Final = 20
_INTERVAL_SECONDS: Final = 15
"""How often Prometheus asks, as docs/guides/monitor.md proposes."""


class Loop:
    """Sends a number of requests through the application, ``_CONNECTIONS`` at a time."""

    def __init__(self, application: Any, path: str, authorization: str, bodies: Sequence[str]) -> None:
        self._application = application
        self._bodies = [body.encode() for body in bodies]
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "client": ["127.0.0.1", 1],
            "server": ["127.0.0.1", 80],
            "scheme": "http",
            "http_version": "1.1",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"content-type", b"application/json"),
                (b"authorization", authorization.encode()),
            ],
        }
        self.failures = 0

    async def send(self, number: int) -> None:
        """Send so many requests."""
        bodies = iter(self._bodies[:number])
        await asyncio.gather(*(self._connection(bodies) for _ in range(_CONNECTIONS)))

    async def _connection(self, bodies: Any) -> None:
        for body in bodies:
            scope = {**self._scope, "headers": [*self._scope["headers"], (b"content-length", b"%d" % len(body))]}

            async def receive(body: bytes = body) -> dict[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start" and message["status"] != 201:
                    self.failures += 1

            await self._application(scope, receive, send)


async def compare(loop: Loop, database: Sequence[int], turns: int, requests: int) -> dict[str, list[float]]:
    """The CPU time of a request in microseconds, turn by turn: of Python with metrics off, on and off again, which is
    the control; and of PostgreSQL."""
    from audit.metrics import store  # noqa: PLC0415 - after the settings

    makers = {metric: metric._make for metric in store.counted_metrics()}
    found: dict[str, list[float]] = {"off": [], "on": [], "off again": [], "PostgreSQL": []}
    for turn in range(-3, turns):
        if turn == -1:  # The first are to warm up.
            gc.collect()
            gc.freeze()
        for step in range(3):
            name = ("off", "on", "off again")[(turn + step) % 3]
            for metric, make in makers.items():
                metric.attach(make if name == "on" else None)
            began, of_database = time.process_time(), spent_seconds(*database)
            await loop.send(requests)
            own = 1e6 * (time.process_time() - began) / requests
            if turn >= 0:
                found[name].append(own)
                found["PostgreSQL"].append(1e6 * (spent_seconds(*database) - of_database) / requests)
    return found


def measure(turns: int, requests: int) -> None:
    """Print the CPU time of a request without metrics and with them, and that of a scrape."""
    with tempfile.TemporaryDirectory(prefix="inventory-metrics-") as folder:
        cluster = Cluster.start(Path(folder))
        service = Service(cluster, "metrics")
        service.seed(10_000)
        port, counting = free_port(), Path(folder, "metrics")
        os.environ.update(service.environment(METRICS_PORT=str(port), METRICS_DIR=os.fspath(counting)))
        from config.asgi import application  # noqa: PLC0415 - after the environment
        from config.metrics import programs  # noqa: PLC0415

        target = service.target("reserve", 0)
        loop = Loop(
            application, target.path, target.authorization, service.bodies("reserve", requests, hot=True, lines=1)
        )
        found = asyncio.run(compare(loop, processes(Path(folder)), turns, requests))
        if loop.failures:
            raise SystemExit(f"{loop.failures} requests failed.")
        for name, values in found.items():
            sys.stdout.write(f"{name}: {_spread(values)} µs CPU a request\n")
        both = statistics.median(found["off"]) + statistics.median(found["PostgreSQL"])
        for name in ("on", "off again"):
            more = [other - off for off, other in zip(found["off"], found[name], strict=True)]
            share = 100 * statistics.median(more) / both
            sys.stdout.write(f"{name} beside off, turn by turn: {_spread(more)} µs, {share:.1f} % of {both:.0f} µs\n")
        programs.begin_web()
        sys.stdout.write(f"{_scrapes(port)}\n")


def _scrapes(port: int) -> str:
    took, before = [], 0.0
    for turn in range(-1, _SCRAPES):
        if turn == 0:  # The first starts the server.
            before = time.process_time()
        began = time.perf_counter()
        size = len(_scrape(port))
        if turn >= 0:
            took.append(1000 * (time.perf_counter() - began))
    each = 1000 * (time.process_time() - before) / _SCRAPES
    share = each / 10 / _INTERVAL_SECONDS
    return f"a scrape: {_spread(took)} ms, {each:.1f} ms CPU ({share:.2f} % of a core every 15 s), {size:,} bytes"


def _scrape(port: int) -> bytes:
    while True:
        asked = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            asked.request("GET", "/metrics")
            return asked.getresponse().read()
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            asked.close()


def _spread(values: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.1f} (quartiles {low:.1f} to {high:.1f})"


def main() -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--turns", type=int, default=16, help="how often metrics are switched off and on")
    parser.add_argument("--requests", type=int, default=2000, help="how many requests each time")
    given = parser.parse_args()
    measure(given.turns, given.requests)


if __name__ == "__main__":
    main()

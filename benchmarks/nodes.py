"""`python -m benchmarks.nodes`: reserves of one product with many processes, two services, and a synchronous standby.

Everything shares one machine: what more processes cost shows, and not what more machines would bring. The cases take
turns; each figure is the median.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import load, standby
from benchmarks.client import Load
from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Cluster, processes, served
from benchmarks.cpu import listener_of, spent_seconds
from benchmarks.service import Service

CONNECTIONS: Final = 64
BODIES: Final = 5_000
HOT_SKUS: Final = 8
_BASKET: Final = [1, 2, 3, 4, 5]
_POOL: Final = "8"
"""Six web processes together have fewer than the 100 connections of PostgreSQL's default."""
_SETTLE_SECONDS: Final = 0.3
_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
ONE: Final = "one"
MANY: Final = "many"
OTHER: Final = "other"
Choose = Callable[[int, int], list[int]]
"""The products of a basket, by the number of the node and of the request."""


@dataclass(frozen=True)
class Case:
    """A load on some servers at the same time, each with its share of the connections."""

    title: str
    servers: tuple[str, ...]
    products: Choose
    has_standby: bool = False


CASES: Final = (
    Case("HOT, one process", (ONE,), lambda _node, _n: [0]),
    Case("HOT, one service of 4 processes", (MANY,), lambda _node, _n: [0]),
    Case("HOT, two services", (ONE, OTHER), lambda _node, _n: [0]),
    Case("baskets in opposite order, two services", (ONE, OTHER), lambda node, _n: _BASKET[:: -1 if node else 1]),
    Case("8 hot SKUs, two services", (ONE, OTHER), lambda _node, n: [1 + n % HOT_SKUS]),
    Case("8 hot SKUs, each at one service", (ONE, OTHER), lambda node, n: [1 + n % HOT_SKUS // 2 * 2 + node]),
    Case("HOT, one process, synchronous standby", (ONE,), lambda _node, _n: [0], has_standby=True),
)


@dataclass
class Figures:
    """The results of a case's turns: requests a second, and microseconds of CPU for each."""

    per_second: list[float] = field(default_factory=list)
    web_us: list[float] = field(default_factory=list)
    postgres_us: list[float] = field(default_factory=list)
    deadlocks: int = 0


class Nodes:
    """The servers of one database."""

    def __init__(self, service: Service, ports: dict[str, int]) -> None:
        self._service = service
        self._ports = ports
        self._web = {name: listener_of(port) for name, port in ports.items()}
        self._postgres = processes(service.cluster.data_dir)[1]

    def measure(self, case: Case, seconds: float, figures: Figures) -> None:
        """Perform a turn of a case, and check the books after it."""
        deadlocks, before = self._deadlocks(), self._spent(case)
        with ThreadPoolExecutor(len(case.servers)) as threads:
            loads = [threads.submit(self._load, case, node, seconds) for node in range(len(case.servers))]
            found = [each.result() for each in loads]
        time.sleep(_SETTLE_SECONDS)  # The requests that were unanswered when the load ended.
        requests, spent = sum(each.requests for each in found), self._spent(case)
        if failures := sum(each.failures for each in found):
            raise BenchmarkFailed(f"{case.title}: {failures} of {requests} requests failed")
        figures.per_second.append(sum(each.per_second for each in found))
        figures.web_us.append((spent[0] - before[0]) / requests * 1e6)
        figures.postgres_us.append((spent[1] - before[1]) / requests * 1e6)
        figures.deadlocks += self._deadlocks() - deadlocks
        self._service.check_books()
        self._service.restore()

    def _load(self, case: Case, node: int, seconds: float) -> Load:
        service = self._service
        bodies = [json.dumps(service.body("reserve", n, case.products(node, n))) for n in range(BODIES)]
        target = service.target("reserve", self._ports[case.servers[node]])
        return load.apply(target, bodies, connections=CONNECTIONS // len(case.servers), seconds=seconds)

    def _spent(self, case: Case) -> tuple[float, float]:
        return spent_seconds(*(self._web[name] for name in case.servers)), spent_seconds(self._postgres)

    def _deadlocks(self) -> int:
        with self._service.cluster.connect(self._service.database) as connection:
            row = connection.execute(_DEADLOCKS).fetchone()
            return int(row[0]) if row else 0


def measure(given: argparse.Namespace) -> dict[str, Figures]:
    """Measure all cases in turns; those with a standby after the others."""
    cluster = Cluster.start(given.data_dir.resolve(), standby.OPTIONS)
    service = Service(cluster, "bench_nodes")
    results = {case.title: Figures() for case in CASES}
    with contextlib.ExitStack() as servers:
        servers.callback(cluster.drop, service.database)
        service.seed(given.closed)
        service.restore()  # The client's own audit entries.
        ports = {}
        for name, workers in ((ONE, 1), (OTHER, 1), (MANY, 4)):
            log = cluster.data_dir / f"nodes_{name}.log"
            serving = served(service.application, service.environment(DATABASE_POOL_SIZE=_POOL), log, workers=workers)
            ports[name] = servers.enter_context(serving)
        nodes = Nodes(service, ports)
        for has_standby in (False, True):
            following: AbstractContextManager[None] = standby.follow(cluster) if has_standby else nullcontext()
            with following:
                _take_turns(nodes, [case for case in CASES if case.has_standby is has_standby], given, results)
    return results


def _take_turns(nodes: Nodes, cases: Sequence[Case], given: argparse.Namespace, results: dict[str, Figures]) -> None:
    for turn in range(-1, given.repeats):  # The first turn warms up.
        for case in cases:
            nodes.measure(case, given.seconds, results[case.title] if turn >= 0 else Figures())


def table(results: dict[str, Figures]) -> str:
    """The results as a table in Markdown."""
    rows = ["| | requests/s | web CPU, µs | PostgreSQL CPU, µs | deadlocks |", "| --- " * 5 + "|"]
    for title, each in results.items():
        rate, web, postgres = (statistics.median(f) for f in (each.per_second, each.web_us, each.postgres_us))
        rows.append(f"| {title} | {rate:,.0f} | {web:.0f} | {postgres:.0f} | {each.deadlocks} |")
    return "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    """Measure and print a table. Returns 1 if there was a deadlock or a run can't be trusted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--closed", type=int, default=10_000)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "var" / "bench_nodes")
    try:
        results = measure(parser.parse_args(arguments))
    except BenchmarkFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(table(results))
    return int(any(each.deadlocks for each in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
